"""The hull of a system, and the distance above it as a fitness."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from search.composition_parsing import parse_space
from search.options import EvolutionOptions
from search.relax.relaxed import Relaxed
from search.relax.trust import Trust
from search.state.above_hull import AboveHull
from search.state.evolution import Evolution
from search.state.fitness import Fitness
from search.state.hull import Hull, HullPoint
from search.state.individual import Individual

ELEMENTS = ("Mg", "Si", "O")

amounts = st.tuples(*[st.integers(0, 4) for _ in ELEMENTS]).filter(any)
energies = st.floats(-5.0, 5.0).map(lambda energy: round(energy, 3))
phases = st.lists(
    st.builds(
        lambda row, energy: HullPoint(
            {s: n for s, n in zip(ELEMENTS, row, strict=True) if n}, energy
        ),
        amounts,
        energies,
    ),
    max_size=25,
)
corners = st.tuples(*[energies for _ in ELEMENTS]).map(
    lambda found: [HullPoint({s: 1}, e) for s, e in zip(ELEMENTS, found, strict=True)]
)


@settings(max_examples=30, deadline=None)
@given(corners, phases)
def test_the_hull_is_that_of_pymatgen(ends: list[HullPoint], more: list[HullPoint]) -> None:
    points = [*ends, *more]
    hull = Hull(ELEMENTS, points)
    entries = [PDEntry(Composition(p.counts), p.energy * sum(p.counts.values())) for p in points]
    oracle = PhaseDiagram(entries)
    for point in points:
        expected = oracle.get_hull_energy_per_atom(Composition(point.counts))
        assert hull.energy(point.counts) == pytest.approx(expected, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(phases)
def test_nothing_lies_below_the_hull_and_its_vertices_lie_on_it(points: list[HullPoint]) -> None:
    """Also where corners are missing, or all points."""
    hull = Hull(ELEMENTS, points)
    above = [point.energy - hull.energy(point.counts) for point in points]
    assert min(above, default=0.0) > -1e-9
    assert all(abs(above[i]) < 1e-9 for i in hull.vertices)


@settings(max_examples=20, deadline=None)
@given(corners, phases, st.tuples(*[energies for _ in ELEMENTS]))
def test_other_zeros_of_the_elements_change_no_distance(
    ends: list[HullPoint], more: list[HullPoint], zeros: tuple[float, ...]
) -> None:
    shift = dict(zip(ELEMENTS, zeros, strict=True))
    points = [*ends, *more]
    moved = [
        HullPoint(c, e + sum(n * shift[s] for s, n in c.items()) / sum(c.values()))
        for c, e in points
    ]
    one, other = Hull(ELEMENTS, points), Hull(ELEMENTS, moved)
    for before, after in zip(points, moved, strict=True):
        apart = before.energy - one.energy(before.counts)
        assert after.energy - other.energy(after.counts) == pytest.approx(apart, abs=1e-8)


@settings(max_examples=20, deadline=None)
@given(corners, phases, phases)
def test_more_phases_never_raise_the_hull(
    ends: list[HullPoint], some: list[HullPoint], more: list[HullPoint]
) -> None:
    before, after = Hull(ELEMENTS, [*ends, *some]), Hull(ELEMENTS, [*ends, *some, *more])
    for point in [*ends, *some, *more]:
        assert after.energy(point.counts) <= before.energy(point.counts) + 1e-9


def test_blocks_mix_by_their_atoms() -> None:
    """Of the seven atoms of Mg2SiO4 four are in 2 MgO, and three in SiO2."""
    ends = [HullPoint({"Mg": 1, "O": 1}, -6.0), HullPoint({"Si": 1, "O": 2}, -8.0)]
    hull = Hull(("MgO", "SiO2"), ends)
    assert hull.energy({"Mg": 2, "Si": 1, "O": 4}) == pytest.approx((4 * -6.0 + 3 * -8.0) / 7)


def member(symbols: str, energy: float, uncertainty: float | None = None) -> Individual:
    """A structure of a search; only its contents and energy matter."""
    atoms = Atoms(symbols, cell=np.eye(3) * 9.0, pbc=True)
    return Individual(0, 0, "random", (), 1, energy, np.nan, 9.0, "converged", atoms,
                      uncertainty=uncertainty)  # fmt: skip


def test_the_fitness_follows_what_is_found() -> None:
    fitness = AboveHull(("Mg", "Si"))
    found = [member("Mg", -1.0), member("Si", -5.0)]
    first = fitness.learned(found)
    atoms = member("Mg2Si", 0.0).structure
    assert first.of(Relaxed(atoms, 3 * -2.5, "converged")) == pytest.approx(-2.5 + 7.0 / 3)
    second = first.learned([*found, member("Mg2Si", -2.5)])
    assert second.of(Relaxed(atoms, 3 * -2.5, "converged")) == 0.0
    assert second.of(Relaxed(atoms, 3 * -2.4, "converged")) == pytest.approx(0.1)
    assert second.energy_at(0.1, atoms) == pytest.approx(-2.4)
    assert second.learned([*found, member("Mg2Si", -2.5), member("MgSi", 0.0)]) is second
    assert Fitness.read(json.loads(json.dumps(second.as_dict()))) == second


def test_uncertainty_counts_against_a_structure_and_lets_it_make_no_hull() -> None:
    fitness = AboveHull(("Mg", "Si")).trusting(Trust(caution=2.0))
    ends = [member("Mg", -1.0), member("Si", -5.0)]
    doubtful, sure = member("MgSi", -4.0, uncertainty=0.2), member("MgSi", -3.7)
    hull = fitness.learned([*ends, doubtful, sure])
    assert hull.of_energy(sure.energy, None, sure.structure) == 0.0
    assert hull.of_energy(doubtful.energy, 0.2, doubtful.structure) == pytest.approx(0.1)


def test_references_stay_on_the_hull() -> None:
    space = parse_space("Mg-Si", atoms_max=6)
    fitness = AboveHull.of_space(space, [HullPoint({"Mg": 2, "Si": 1}, -9.0)])
    learned = fitness.learned([member("Mg", -1.0), member("Si", -5.0), member("Mg2Si", -2.5)])
    assert learned.hull.energy({"Mg": 2, "Si": 1}) == pytest.approx(-9.0)
    assert learned.of_energy(-2.5, None, member("Mg2Si", 0.0).structure) == pytest.approx(6.5)


def test_plain_energies_do_not_compare_compositions() -> None:
    with pytest.raises(ValueError, match="only be compared by their own hull"):
        Evolution(parse_space("Mg-Si"), EvolutionOptions(), fitness=Fitness(pressure=10.0))
    with pytest.raises(ValueError, match="only be compared by their own hull"):
        Evolution(parse_space("Mg-Si"), fitness=AboveHull(("Mg", "Al")))
