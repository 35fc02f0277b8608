from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential
from search.create.random_crystals import RandomSymmetric
from search.geometry import DistanceLimits
from search.relax.limits import RelaxationLimits
from search.relax.pressure import PressurizedEnergy
from search.relax.relaxer import Relaxer
from search.relax.symmetric import SymmetricEvaluator, symmetrized
from search.symmetry_operations import Symmetry
from tests.nnp.samples import random_potential
from tests.search.pair_energy import PairEnergy

COUNTS = {"Mg": 4, "O": 8}
GROUPS = (1, 2, 14, 62, 92, 148, 194, 225)


def _crystals() -> list[Atoms]:
    """One in each of some space groups, from the triclinic to the cubic system, in any setting."""
    limits, rng = DistanceLimits.from_radii(list(COUNTS), 0.7), np.random.default_rng(0)
    found = []
    for group in GROUPS:
        atoms = RandomSymmetric(limits, (group,)).generate(COUNTS, 150.0, rng)
        atoms.rotate(rng.uniform(0, 180), rng.normal(size=3), rotate_cell=True)
        found.append(atoms)
    return found


@pytest.fixture(scope="module")
def potential() -> Potential:
    return random_potential(SymmetryFunctions.standard(tuple(COUNTS)), members=2)


def test_inequivalent_atoms_stand_for_all(potential: Potential) -> None:
    """Energies, forces, stresses, uncertainties are those of all atoms, under pressure as well."""
    structures, operations = symmetrized(_crystals())
    numbers = np.concatenate([atoms.numbers for atoms in structures])
    counts = np.array([len(atoms) for atoms in structures])
    cells = np.array([atoms.cell.array for atoms in structures])
    positions = np.concatenate([atoms.positions for atoms in structures])
    energy = PressurizedEnergy(potential, 30.0)
    full = energy.evaluator(numbers, counts)
    part = SymmetricEvaluator(energy.evaluator(numbers, counts), operations)
    weights = operations.weights()
    assert weights.sum() == len(numbers)
    assert (weights == 0.0).mean() > 0.5
    everything = full.compute(cells, positions)
    for all_atoms, few in zip(everything, part.compute(cells, positions), strict=True):
        np.testing.assert_allclose(few, all_atoms, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(part.uncertainties(), full.uncertainties(), rtol=1e-9)
    keep = np.arange(len(counts)) % 2 == 1
    rest = part.select(keep).compute(cells[keep], positions[np.repeat(keep, counts)])
    np.testing.assert_allclose(rest[0], everything[0][keep], rtol=1e-9)
    np.testing.assert_allclose(rest[1], everything[1][np.repeat(keep, counts)], atol=1e-9)


def test_weights_count_atoms_several_times(potential: Potential) -> None:
    atoms = _crystals()[1]
    plain = potential.evaluator(atoms.numbers, [len(atoms)])
    weights = np.arange(len(atoms), dtype=float)
    found = plain.weighted(weights).compute(atoms.cell.array[None], atoms.positions)
    atomic = plain.compute(atoms.cell.array[None], atoms.positions)[3]
    assert found[0][0] == pytest.approx(weights @ atomic)
    step = 1e-5
    for sign in (1, -1):
        atoms.positions[5, 1] += sign * step
        moved = plain.weighted(weights).compute(atoms.cell.array[None], atoms.positions)[0][0]
        slope = (moved - found[0][0]) / (sign * step)
        assert -found[1][5, 1] == pytest.approx(slope, rel=1e-2, abs=1e-3)
        atoms.positions[5, 1] -= sign * step
    with pytest.raises(ValueError, match="weights"):
        plain.weighted(np.ones(3))


@pytest.mark.parametrize("number", range(1, len(GROUPS)))
def test_a_symmetry_that_nearly_holds_is_made_exact(number: int) -> None:
    exact = _crystals()[number]
    shaken = exact.copy()
    shaken.rattle(5e-5, seed=number)
    before = len(Symmetry.of(exact, 1e-5).images)
    assert len(Symmetry.of(shaken, 1e-5).images) < before
    (found,), operations = symmetrized([shaken])
    assert operations.orders[0] == before
    assert len(Symmetry.of(found, 1e-5).images) == before
    assert np.abs(found.positions - shaken.positions).max() < 2e-3


def test_relaxation_keeps_the_symmetry(lennard_jones: PairEnergy) -> None:
    """No operation is lost, with and without the others in the batch."""
    structures = _crystals()
    for atoms in structures:
        atoms.numbers[:] = 18
        atoms.set_cell(atoms.cell.array * (38.0 * len(atoms) / 150.0) ** (1 / 3), scale_atoms=True)
    relaxer = Relaxer(energy_window=None, batch_size=3)
    together = relaxer.relax(structures, lennard_jones)
    for atoms, result in zip(structures, together, strict=True):
        assert result.usable
        before, after = (len(Symmetry.of(a, 1e-4).images) for a in (atoms, result.atoms))
        assert after % before == 0
        (alone,) = relaxer.relax([atoms], lennard_jones)
        assert alone.steps == result.steps
        np.testing.assert_allclose(alone.atoms.positions, result.atoms.positions, atol=1e-8)


def test_the_way_is_that_of_all_atoms(potential: Potential) -> None:
    """Few steps, before noise may break the symmetry where nothing keeps it."""
    structures = _crystals()
    limits = RelaxationLimits(max_steps=6)
    kept, free = (
        Relaxer(limits, keep_symmetry=keep).relax(structures, potential) for keep in (True, False)
    )
    for one, other in zip(kept, free, strict=True):
        assert one.status == other.status
        assert one.energy == pytest.approx(other.energy, rel=1e-7)
        assert one.atoms.cell.cellpar() == pytest.approx(other.atoms.cell.cellpar(), rel=1e-6)
