"""When two crystals count as the same, and what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.io.ase import AseAtomsAdaptor

from search.state.similarity import (
    LOOSELY_RELAXED,
    TIGHTLY_RELAXED,
    MatchTolerances,
    match,
    reduced_structure,
)
from search.symmetry import find_space_group


def _disguised(atoms: Atoms) -> Atoms:
    """A supercell on other axes."""
    other = atoms * (1, 2, 1)
    other.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ other.cell.array)
    other.positions += 0.3
    return other


@pytest.mark.parametrize("tolerances", [LOOSELY_RELAXED, TIGHTLY_RELAXED])
def test_cells_do_not_matter_and_phases_do(tolerances: MatchTolerances) -> None:
    salt, cesium = (
        AseAtomsAdaptor.get_structure(bulk("NaCl", kind, a=a))
        for kind, a in (("rocksalt", 5.6), ("cesiumchloride", 3.4))
    )
    other = AseAtomsAdaptor.get_structure(_disguised(bulk("NaCl", "rocksalt", a=5.6)))
    assert match(salt, other, tolerances)
    assert not match(salt, other, tolerances, primitive=False)
    assert not match(salt, cesium, tolerances)


def test_what_is_relaxed_tightly_is_compared_strictly() -> None:
    """With the sodium ions far off their places a loose match is left, and no tight one."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    shifted = atoms.copy()
    shifted.positions[::2] += [1.2, 0.0, 0.0]
    one, other = (AseAtomsAdaptor.get_structure(a) for a in (atoms, shifted))
    assert match(one, other, LOOSELY_RELAXED)
    assert not match(one, other, TIGHTLY_RELAXED)


def test_reduced_structures_are_primitive() -> None:
    assert len(reduced_structure(_disguised(bulk("NaCl", "rocksalt", a=5.6)))) == 2


def test_space_groups_have_symbols_and_a_tolerance() -> None:
    assert find_space_group(bulk("Cu", "fcc", a=3.6)) == ("Fm-3m", 225)
    shaken = bulk("Cu", cubic=True)
    shaken.rattle(0.01, seed=0)
    assert find_space_group(shaken).number == 225
    assert find_space_group(shaken, 1e-4) == ("P1", 1)


def _strained(atoms: Atoms, rng: np.random.Generator, size: float) -> Atoms:
    """One like it, deformed, on other axes."""
    other = atoms.copy()
    strain = np.eye(3) + rng.uniform(-size, size, (3, 3))
    other.set_cell(other.cell.array @ strain, scale_atoms=True)
    return other


@pytest.mark.parametrize("size", [0.02, 0.06, 0.1])
def test_lattices_that_do_not_match_tell_what_the_matcher_tells(size: float) -> None:
    rng = np.random.default_rng(0)
    kinds = [bulk("NaCl", kind, a=4.0) for kind in ("rocksalt", "cesiumchloride", "zincblende")]
    told = []
    for _ in range(40):
        first, second = (_strained(kinds[i], rng, size) for i in rng.integers(3, size=2))
        cells = reduced_structure(first), reduced_structure(second)
        # what the matcher says of the same cells, asked by itself
        length, site, angle = LOOSELY_RELAXED
        matcher = StructureMatcher(ltol=length, stol=site, angle_tol=angle)
        told.append(bool(matcher.fit(*cells, skip_structure_reduction=True)))
        assert match(*cells, LOOSELY_RELAXED, reduced=True) is told[-1]
    assert len(set(told)) == 2
