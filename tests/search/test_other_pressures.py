from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from search.state.individual import Individual
from search.state.other_pressures import lowest_at_other_pressures


def members(energies: NDArray[np.float64], volumes: NDArray[np.float64]) -> list[Individual]:
    """Structures of which nothing but energy and volume is known."""
    return [
        Individual(k, 0, "random", (), 1, float(e), float(e), float(v), "converged")
        for k, (e, v) in enumerate(zip(energies, volumes, strict=True))
    ]


@given(st.integers(0, 10_000), st.floats(-2.0, 2.0))
def test_one_of_them_has_the_lowest_enthalpy_at_any_pressure(seed: int, pressure: float) -> None:
    rng = np.random.default_rng(seed)
    energies, volumes = rng.uniform(-5.0, -4.8, 30), rng.uniform(8.0, 14.0, 30)
    ids = [member.id for member in lowest_at_other_pressures(members(energies, volumes))]
    assert int(np.argmin(energies + pressure * volumes)) in ids
    assert ids[0] == int(np.argmin(energies))


def test_they_are_the_lower_side_of_the_convex_hull() -> None:
    rng = np.random.default_rng(5)
    energies, volumes = rng.uniform(-5.0, -4.8, 50), rng.uniform(8.0, 14.0, 50)
    hull = ConvexHull(np.column_stack([volumes, energies]))
    lower = set(hull.simplices[hull.equations[:, 1] < 0].ravel().tolist())
    found = lowest_at_other_pressures(members(energies, volumes))
    assert {member.id for member in found} == lower


def test_those_far_up_and_twins_are_left_out() -> None:
    energies, volumes = np.array([-5.0, -4.9, -4.0, -5.0]), np.array([10.0, 9.0, 5.0, 10.0])
    found = lowest_at_other_pressures(members(energies, volumes))
    assert [member.id for member in found] == [0, 1]
    assert lowest_at_other_pressures([]) == []


def test_a_window_takes_more_or_fewer() -> None:
    pair = members(np.array([-5.0, -4.9]), np.array([10.0, 9.0]))
    assert [m.id for m in lowest_at_other_pressures(pair, window=0.05)] == [0]
    assert pytest.approx(-4.9) == lowest_at_other_pressures(pair, window=0.11)[-1].fitness
