"""The collection of structures that the potential does not know."""

from __future__ import annotations

import json

import numpy as np
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from search.state.fingerprint import distances
from search.state.individual import Individual
from search.state.individual_table import IndividualTable
from search.state.unknown import UnknownStructures

TOLERANCE = 0.05


def _individual(id_: int, energy: float, seed: int) -> Individual:
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(3.0, 6.0, 3))
    atoms = Atoms("Cu2Au", rng.random((3, 3)) @ cell, cell=cell, pbc=True)
    return Individual(
        id_, 0, "random", (), 1, energy, float("nan"), 10.0, "aborted: unknown", atoms,
        uncertainty=0.3,
    )  # fmt: skip


offers = st.lists(st.tuples(st.floats(-5.0, 5.0), st.integers(0, 12)), min_size=1, max_size=30).map(
    lambda pairs: [_individual(i, *pair) for i, pair in enumerate(pairs)]
)


@settings(deadline=None, max_examples=60)
@given(offers, st.integers(1, 6))
def test_it_is_bounded_distinct_and_lowest_first(offered: list[Individual], capacity: int) -> None:
    kept = UnknownStructures(("Au", "Cu"), TOLERANCE, capacity)
    for individual in offered:
        there = kept.add(individual)
        assert there == (individual in kept.members)
        energies = [member.energy for member in kept.members]
        assert energies == sorted(energies)
        assert len(kept) <= capacity
    for i in range(1, len(kept)):
        apart = distances(kept.fingerprints[i], np.array(kept.fingerprints[:i]))
        assert apart.min() >= TOLERANCE
    # the lowest of all is there, and so is the lower of any two that are alike
    assert kept.members[0].energy == min(individual.energy for individual in offered)
    if len(kept) < capacity:
        for individual in offered:
            alone = kept.emptied()
            alone.add(individual)
            apart = distances(alone.fingerprints[0], np.array(kept.fingerprints))
            lower = [m for m, d in zip(kept.members, apart, strict=True) if d < TOLERANCE]
            assert any(member.energy <= individual.energy for member in lower) or not lower


@settings(deadline=None, max_examples=20)
@given(offers)
def test_it_comes_back_from_storage(offered: list[Individual]) -> None:
    kept, table = UnknownStructures(("Au", "Cu"), TOLERANCE), IndividualTable()
    for individual in offered:
        table.append(individual)
        kept.add(individual)
    again = kept.emptied()
    again.restore(json.loads(json.dumps(kept.pack())), table)
    assert [repr(member) for member in again.members] == [repr(member) for member in kept.members]
    np.testing.assert_array_equal(again.fingerprints, kept.fingerprints)
    newcomer = _individual(0, -6.0, 40)
    assert again.add(newcomer) == kept.add(newcomer)
