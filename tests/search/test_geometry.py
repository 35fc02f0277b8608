from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import minkowski_reduce
from hypothesis import given, settings
from hypothesis import strategies as st

from search.cells import may_be_supercell, reduced, reduced_cell
from search.geometry import DistanceLimits, volume


def _skewed(rng: np.random.Generator) -> np.ndarray:
    """A cell with short vectors, disguised by unimodular combinations."""
    cell = rng.normal(0, 1, (3, 3)) + 4 * np.eye(3)
    for _ in range(4):
        i, j = rng.choice(3, 2, replace=False)
        cell[i] += int(rng.integers(-2, 3)) * cell[j]
    return cell


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_reduced_cell_is_the_same_lattice_and_as_short_as_minkowski(seed: int) -> None:
    cell = _skewed(np.random.default_rng(seed))
    short = reduced_cell(cell)
    change = short @ np.linalg.inv(cell)
    np.testing.assert_allclose(change, np.round(change), atol=1e-8)
    assert volume(short) == pytest.approx(volume(cell))
    expected = np.sort(np.linalg.norm(minkowski_reduce(cell)[0], axis=1))
    np.testing.assert_allclose(np.sort(np.linalg.norm(short, axis=1)), expected, rtol=1e-6)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_shortest_distances_agree_with_ase(seed: int) -> None:
    from ase.neighborlist import neighbor_list

    rng = np.random.default_rng(seed)
    atoms = Atoms("NaClNaCl", scaled_positions=rng.random((4, 3)), cell=_skewed(rng), pbc=True)
    limits = DistanceLimits({"Na-Na": 6.0, "Cl-Na": 6.0, "Cl-Cl": 6.0})
    i, j, d = neighbor_list("ijd", atoms, 6.0)
    shortest = limits.shortest(atoms)
    for a, x in enumerate(limits.elements):
        for b, y in enumerate(limits.elements):
            pairs = (atoms.symbols[i] == x) & (atoms.symbols[j] == y)
            assert shortest[a, b] == pytest.approx(d[pairs].min())


def test_violation_is_by_pair_and_named() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    assert not DistanceLimits({"Na-Na": 3.9, "Cl-Cl": 3.9, "Na-Cl": 2.7}).violated(atoms)
    tight = DistanceLimits({"Na-Na": 3.9, "Cl-Cl": 3.9, "Na-Cl": 2.9})
    assert tight.violated(atoms)
    assert tight.describe(atoms) == "Cl-Na at 2.80 Å"
    assert DistanceLimits({"Na-Na": 4.0, "Cl-Cl": 3.0, "Na-Cl": 2.0}).violated(atoms)


def test_missing_pair_and_foreign_element_are_errors() -> None:
    with pytest.raises(ValueError, match="Na-Na"):
        DistanceLimits({"Na-Cl": 2.0, "Cl-Cl": 2.0})
    with pytest.raises(ValueError, match="other than"):
        DistanceLimits({"Cu-Cu": 2.0}).violated(bulk("Au"))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_pushing_apart_ends_with_all_distances_allowed_or_says_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    atoms = Atoms("Cu8", scaled_positions=rng.random((8, 3)), cell=np.eye(3) * 5.2, pbc=True)
    limits = DistanceLimits({"Cu-Cu": 1.9})
    if limits.push_apart(atoms):
        assert not limits.violated(atoms)


def test_pushing_apart_cannot_help_a_cell_that_is_too_short() -> None:
    atoms = Atoms("Cu", cell=[1.0, 6.0, 6.0], pbc=True)
    assert not DistanceLimits({"Cu-Cu": 1.9}).push_apart(atoms)


def test_reduced_crystal_is_the_same_crystal() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.set_cell(np.array([[1, 0, 0], [2, 1, 0], [-1, 3, 1]]) @ atoms.cell.array)
    atoms.calc = None
    small = reduced(atoms)
    limits = DistanceLimits({"Na-Na": 6.0, "Cl-Na": 6.0, "Cl-Cl": 6.0})
    np.testing.assert_allclose(limits.shortest(small), limits.shortest(atoms))
    assert np.linalg.det(small.cell.array) > 0


@pytest.mark.parametrize(("width", "found"), [(0.0, True), (0.03, True), (0.4, False)])
def test_translations_of_a_supercell_are_found(width: float, found: bool) -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)
    atoms.positions += np.random.default_rng(0).normal(0.0, width, atoms.positions.shape)
    assert may_be_supercell(atoms, 0.3) == found
    assert not may_be_supercell(bulk("NaCl", "rocksalt", a=5.6), 0.3)
