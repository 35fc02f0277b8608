from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from search.create.operators import (
    ATOMIC_ENERGIES,
    NoChildError,
    heredity,
    lattice_mutation,
    permutation,
    rattle,
)
from search.create.random_crystals import RandomSymmetric
from search.geometry import DistanceLimits

COUNTS = {"Mg": 4, "Si": 2, "O": 8}
LIMITS = DistanceLimits.from_radii(list(COUNTS), 0.7)


def _parents(seed: int, n: int = 2) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    generator = RandomSymmetric(LIMITS)
    return [generator.generate(COUNTS, 160.0 * rng.uniform(0.9, 1.2), rng) for _ in range(n)]


def _check(child: Atoms, parents: list[Atoms]) -> None:
    assert sorted(child.numbers) == sorted(parents[0].numbers)
    assert (np.diff(child.numbers) >= 0).all()
    assert not LIMITS.violated(child)
    assert np.isfinite(child.positions).all()
    volumes = [parent.get_volume() for parent in parents]
    assert min(volumes) * 0.999 < child.get_volume() < max(volumes) * 1.001


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_heredity_keeps_composition_distances_and_volume(seed: int) -> None:
    parents = _parents(seed)
    try:
        child = heredity(parents[0], parents[1], LIMITS, np.random.default_rng(seed))
    except NoChildError as error:
        assert str(error)
        return
    _check(child, parents)


@pytest.mark.parametrize("operator", [permutation, lattice_mutation, rattle])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_mutations_keep_composition_distances_and_volume(
    operator: Callable[..., Atoms], seed: int
) -> None:
    (parent,) = _parents(seed, 1)
    try:
        child = operator(parent, LIMITS, np.random.default_rng(seed))
    except NoChildError as error:
        assert str(error)
        return
    _check(child, [parent])


def test_most_children_live() -> None:
    """Moving atoms apart leaves few children that fail."""
    parents = _parents(3, 6)
    rng = np.random.default_rng(0)
    alive = 0
    for _ in range(40):
        i, j = rng.choice(6, 2, replace=False)
        try:
            heredity(parents[i], parents[j], LIMITS, rng)
            alive += 1
        except NoChildError:
            continue
    assert alive >= 36


def test_heredity_of_a_crystal_with_itself_uncut_is_that_crystal() -> None:
    """Slabs that come from one structure join to layers of that structure."""
    from search.state.fingerprint import distances, fingerprint

    parent = bulk("NaCl", "rocksalt", a=5.6, cubic=True) * (1, 1, 2)
    limits = DistanceLimits({"Na-Na": 1.5, "Cl-Na": 1.5, "Cl-Cl": 1.5})
    child = heredity(parent, parent, limits, np.random.default_rng(2))
    one, other = (fingerprint(atoms, ("Cl", "Na")) for atoms in (parent, child))
    random = RandomSymmetric(limits).generate(
        {"Na": 8, "Cl": 8}, parent.get_volume(), np.random.default_rng(1)
    )
    unrelated = fingerprint(random, ("Cl", "Na"))
    assert distances(one, other[None])[0] < distances(one, unrelated[None])[0]


def test_slabs_follow_atomic_energies() -> None:
    """Where a parent says which of its atoms are well bound, those are passed on more often."""
    parents = _parents(11, 2)
    rng = np.random.default_rng(4)
    fractions = parents[0].get_scaled_positions()
    good = fractions[:, 0] < 0.5
    parents[0].set_array(ATOMIC_ENERGIES, np.where(good, -1.0, 1.0))
    from search.create.operators import _slab

    inherited = []
    for _ in range(200):
        _, outside = _slab(parents[0], 0.5, rng)
        inherited.append(good[~outside].mean() - good.mean())
    assert np.mean(inherited) > 0.15


def test_permutation_swaps_elements_and_nothing_else() -> None:
    parent = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    limits = DistanceLimits.from_radii(("Na", "Cl"))
    child = permutation(parent, limits, np.random.default_rng(0))
    every = DistanceLimits(dict.fromkeys(("Na-Na", "Cl-Na", "Cl-Cl"), 5.0))
    assert every.shortest(child).min() == pytest.approx(2.8)
    assert every.shortest(child)[1, 1] == pytest.approx(2.8)  # sodium next to sodium now


def test_reasons_are_given() -> None:
    copper = bulk("Cu", cubic=True)
    limits = DistanceLimits({"Cu-Cu": 2.0})
    rng = np.random.default_rng(0)
    with pytest.raises(NoChildError, match="one element"):
        permutation(copper, limits, rng)
    with pytest.raises(NoChildError, match="differ in composition"):
        heredity(copper, copper * (2, 1, 1), limits, rng)
    with pytest.raises(NoChildError, match="too near"):
        rattle(copper, DistanceLimits({"Cu-Cu": 3.5}), rng)
