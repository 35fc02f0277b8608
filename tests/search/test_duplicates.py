"""Duplicates by fingerprint and energy against pymatgen's StructureMatcher."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from search.create.random_crystals import RandomSymmetric
from search.geometry import DistanceLimits
from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxer
from search.state.archive import Archive
from search.state.individual import Individual
from tests.search.pair_energy import PairEnergy


@pytest.mark.slow
def test_precision_and_recall_on_relaxed_structures(rock_salt: PairEnergy) -> None:
    """Pairs called duplicates are so for the matcher, and the other way round."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    limits = DistanceLimits({"Na-Na": 2.4, "Cl-Na": 2.2, "Cl-Cl": 2.8})
    generator, rng = RandomSymmetric(limits), np.random.default_rng(1)
    starts = [
        generator.generate({"Na": 4, "Cl": 4}, 8 * rng.uniform(12, 18), rng) for _ in range(150)
    ]
    relaxer = Relaxer(RelaxationLimits(0.01, 1.0), energy_window=None)
    relaxed = [r for r in relaxer.relax(starts, rock_salt) if r.converged]
    assert len(relaxed) > 100
    individuals = [
        Individual(i, 0, "random", (), 4, r.energy / 8, r.energy / 8, 1.0, "converged", r.atoms)
        for i, r in enumerate(relaxed)
    ]
    structures = [AseAtomsAdaptor.get_structure(r.atoms) for r in relaxed]
    matcher, options = StructureMatcher(), EvolutionOptions()
    called, same, both = 0, 0, 0
    pairs = [
        (one, other)
        for one, other in itertools.combinations(individuals, 2)
        if abs(one.energy - other.energy) < options.energy_tolerance
    ]
    for k in rng.permutation(len(pairs))[:400]:
        one, other = pairs[k]
        archive = Archive(
            ("Cl", "Na"), options.energy_tolerance, options.distance_tolerance, capacity=2
        )
        archive.add(one)
        ours = not archive.add(other).is_new
        theirs = matcher.fit(structures[one.id], structures[other.id])
        called, same, both = called + ours, same + theirs, both + (ours and theirs)
    assert same > 30
    assert both / called >= 0.98
    assert both / same >= 0.98
