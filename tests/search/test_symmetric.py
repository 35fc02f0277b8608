from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from search.create.operators import NoChildError
from search.create.random_crystals import RandomSymmetric
from search.create.symmetric_operators import orbit_mutation, orbit_permutation
from search.create.wyckoff import ORDERS, space_group
from search.geometry import DistanceLimits
from search.symmetry import find_space_group
from search.symmetry_operations import Symmetry

COUNTS = {"Mg": 4, "Si": 2, "O": 8}
LIMITS = DistanceLimits.from_radii(list(COUNTS), 0.7)


def _parent(seed: int, groups: tuple[int, ...] = tuple(range(3, 231))) -> Atoms:
    rng = np.random.default_rng(seed)
    return RandomSymmetric(LIMITS, groups).generate(COUNTS, 180.0, rng)


def test_orders_of_all_groups() -> None:
    for number in range(1, 231):
        assert ORDERS[number - 1] == space_group(number).sites[0].multiplicity


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_operations_map_the_crystal_on_itself(seed: int) -> None:
    atoms = _parent(seed)
    symmetry = Symmetry.of(atoms)
    fractions = atoms.get_scaled_positions()
    for rotation, translation, image in zip(
        symmetry.rotations, symmetry.translations, symmetry.images, strict=True
    ):
        apart = fractions @ rotation.T + translation - fractions[image]
        assert np.abs((apart - np.round(apart)) @ atoms.cell.array).max() < 0.1
        assert sorted(image) == list(range(len(atoms)))
    assert sum(len(orbit) for orbit in symmetry.orbits()) == len(atoms)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_subgroups_are_groups_whose_order_divides(seed: int) -> None:
    symmetry = Symmetry.of(_parent(seed))
    part = symmetry.subgroup(np.random.default_rng(seed))
    assert len(symmetry.rotations) % len(part.rotations) == 0
    names = {tuple(np.round(r).astype(int).ravel()) for r in part.rotations}
    assert tuple(np.eye(3, dtype=int).ravel()) in names
    for a in part.rotations:
        for b in part.rotations:
            assert tuple(np.round(a @ b).astype(int).ravel()) in names
    # every operation of the subgroup still maps atoms on atoms
    assert all(sorted(image) == list(range(part.images.shape[1])) for image in part.images)


@pytest.mark.parametrize("operator", [orbit_mutation, orbit_permutation])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_children_keep_composition_distances_and_volume(
    operator: Callable[..., Atoms], seed: int
) -> None:
    parent = _parent(seed)
    try:
        child = operator(parent, LIMITS, np.random.default_rng(seed))
    except NoChildError as error:
        assert str(error)
        return
    assert sorted(child.numbers) == sorted(parent.numbers)
    assert not LIMITS.violated(child)
    assert child.get_volume() == pytest.approx(parent.get_volume(), rel=1e-3)


def test_children_keep_symmetry_and_differ() -> None:
    """Half the children have at least the parent's operations, and none is the parent again."""
    kept, total = 0, 0
    for seed in range(30):
        parent = _parent(seed, (62, 14, 19, 136, 167))
        before = len(Symmetry.of(parent).rotations)
        try:
            child = orbit_mutation(parent, LIMITS, np.random.default_rng(seed))
        except NoChildError:
            continue
        total += 1
        kept += len(Symmetry.of(child).rotations) >= before
    assert total > 15
    assert kept >= 0.4 * total


def test_strain_keeps_the_crystal_system() -> None:
    salt = bulk("NaCl", "rocksalt", a=5.6)
    symmetry = Symmetry.of(salt)
    strain = symmetry.strain(salt.cell.array, np.random.default_rng(0).normal(size=(3, 3)))
    np.testing.assert_allclose(strain, np.eye(3) * strain[0, 0], atol=1e-9)
    hcp = bulk("Mg", "hcp", a=3.2, c=5.2)
    strain = Symmetry.of(hcp).strain(hcp.cell.array, np.diag([0.1, 0.0, 0.3]))
    np.testing.assert_allclose(strain, np.diag([0.05, 0.05, 0.3]), atol=1e-9)


def test_special_positions_stay_special() -> None:
    salt = bulk("NaCl", "rocksalt", a=5.6)
    limits = DistanceLimits.from_radii(("Na", "Cl"))
    assert np.abs(Symmetry.of(salt).freedom(0)).max() < 1e-12
    swapped = orbit_permutation(salt, limits, np.random.default_rng(0))
    assert find_space_group(swapped).number == 225


def test_reasons_are_given() -> None:
    copper = bulk("Cu")
    with pytest.raises(NoChildError, match="no two orbits"):
        orbit_permutation(copper, DistanceLimits({"Cu-Cu": 2.0}), np.random.default_rng(0))
