"""Space groups within tolerances, and symmetrising."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup.symmetrize import refine_symmetry
from hypothesis import given, settings
from hypothesis import strategies as st

from search.create.random_crystals import RandomSymmetric
from search.geometry import DistanceLimits
from search.symmetrisation import higher_symmetries, symmetrised
from search.symmetry import (
    TIGHT_TOLERANCE,
    count_conventional,
    find_space_group,
    primitive_cell,
)

LIMITS = DistanceLimits.from_radii(("Mg", "Si", "O"), 0.8)


def shaken(atoms: Atoms, amplitude: float, seed: int = 0) -> Atoms:
    """The same crystal with each atom and the cell a little out of place."""
    rng = np.random.default_rng(seed)
    copy = atoms.copy()
    copy.positions += rng.normal(0.0, amplitude, copy.positions.shape)
    random = rng.normal(0.0, amplitude / 10, (3, 3))
    copy.set_cell(copy.cell.array @ (np.eye(3) + (random + random.T) / 2), scale_atoms=True)
    return copy


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_a_shaken_crystal_gets_its_symmetry_back_where_it_was(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crystal = RandomSymmetric(LIMITS).generate({"Mg": 2, "Si": 1, "O": 4}, 95.0, rng)
    group = find_space_group(crystal, 1e-4)
    start = shaken(crystal, 0.002, seed)
    exact = symmetrised(start, 0.03)
    assert exact is not None
    # spglib may see more symmetry in a random crystal within a looser tolerance
    if find_space_group(start, 0.03) == group:
        assert find_space_group(exact, 1e-4) == group
    assert (exact.numbers == start.numbers).all()
    np.testing.assert_allclose(exact.cell.array, start.cell.array, atol=0.05)
    apart = exact.get_scaled_positions() - start.get_scaled_positions()
    assert np.abs((apart - np.round(apart)) @ start.cell.array).max() < 0.06


def test_symmetrising_agrees_with_ase() -> None:
    rutile = RandomSymmetric(LIMITS, (136,)).generate(
        {"Si": 2, "O": 4}, 62.0, np.random.default_rng(1)
    )
    start = shaken(rutile, 0.004)
    ours, theirs = symmetrised(start, 0.05), start.copy()
    refine_symmetry(theirs, 0.05)
    assert ours is not None
    np.testing.assert_allclose(ours.cell.cellpar(), theirs.cell.cellpar(), atol=0.02)
    np.testing.assert_allclose(
        np.sort(ours.get_all_distances(mic=True).ravel()),
        np.sort(theirs.get_all_distances(mic=True).ravel()), atol=0.04,
    )  # fmt: skip


def test_symmetries_come_with_their_tolerances_the_highest_first() -> None:
    start = shaken(bulk("NaCl", "rocksalt", a=5.6, cubic=True), 0.01)
    variants = higher_symmetries(start)
    assert variants[0].group.symbol == "Fm-3m"
    assert find_space_group(start, TIGHT_TOLERANCE).symbol == "P1"
    for higher, lower in pairwise(variants):
        assert higher.tolerance > lower.tolerance
    for variant in variants:
        assert find_space_group(start, variant.tolerance) == variant.group
        assert len(variant.atoms) == 8
    assert higher_symmetries(bulk("NaCl", "rocksalt", a=5.6)) == []


def test_primitive_and_conventional_cells() -> None:
    salt = bulk("NaCl", "rocksalt", a=5.6, cubic=True) * (2, 1, 1)
    small = primitive_cell(salt)
    assert len(small) == 2
    assert count_conventional(small) == 8
    assert small.get_volume() == pytest.approx(5.6**3 / 4)
    assert count_conventional(bulk("Mg")) == 2
    crowded = Atoms("Cu2", positions=np.zeros((2, 3)), cell=np.eye(3) * 1e-3, pbc=True)
    assert primitive_cell(crowded) is crowded
    assert count_conventional(crowded) == 2
    assert symmetrised(crowded, 0.1) is None
    assert higher_symmetries(crowded) == []
