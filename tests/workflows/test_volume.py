"""The volume adjustment on equations of state that are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.workflows.samples import copper
from workflows.documents.schemas import PressurePoint
from workflows.stages.melt import relieve, scale_volume
from workflows.stages.volume import EquilibriumVolumeMaker, join_point


def adjust(
    maker: EquilibriumVolumeMaker, pressure: Callable[[float], float], start: float, noise: float
) -> tuple[PressurePoint, int, str | None]:
    """Drive the maker's decisions with a pressure-volume curve in place of dynamics."""
    generator = np.random.default_rng(4)
    volumes = maker.spread(start)
    points: list[PressurePoint] = []
    rounds = 0
    while True:
        rounds += 1
        for volume in volumes:
            measured = pressure(volume) + generator.normal(0, noise)
            points = join_point(
                points, PressurePoint(volume=volume, pressure=measured, error=noise)
            )
        best = maker.best(points)
        if maker.accepts(best) or maker.gives_up(points, rounds):
            return best, rounds, maker.conclude(copper(), points, []).warning
        volumes = maker.spread(maker.next_volume(points))


@pytest.mark.parametrize("side_by_side", [1, 2])
@pytest.mark.parametrize("start", [18.0, 25.0, 40.0])
@pytest.mark.parametrize("modulus", [40.0, 300.0])
def test_root_of_a_smooth_equation_of_state_is_found(
    start: float, modulus: float, side_by_side: int
) -> None:
    maker = EquilibriumVolumeMaker(max_pressure=2.0, max_error=2.0, side_by_side=side_by_side)
    best, rounds, warning = adjust(
        maker, lambda v: -modulus * math.log(v / 25.0) * (25.0 / v), start, 0.5
    )
    assert abs(best.pressure) <= 2.0
    assert best.volume == pytest.approx(25.0, rel=4.0 / modulus)
    assert rounds <= 8
    assert warning is None


def test_an_uncertain_average_is_run_on_until_it_is_certain() -> None:
    maker = EquilibriumVolumeMaker(max_pressure=3.0, max_error=1.5)
    best, rounds, _ = adjust(maker, lambda v: -100 * math.log(v / 25.0), 25.0, 2.0)
    assert best.error <= 1.5
    assert rounds >= 2


def test_a_gas_ends_with_a_warning_at_its_smallest_pressure() -> None:
    maker = EquilibriumVolumeMaker(max_pressure=0.5, max_error=1.0, max_rounds=30)
    best, rounds, warning = adjust(maker, lambda v: 200.0 / v, 20.0, 0.01)
    assert rounds < 30
    assert best.volume > 50.0
    assert "cavitate" in warning


def test_averages_of_one_volume_join_by_inverse_variance() -> None:
    first = PressurePoint(volume=20.0, pressure=4.0, error=1.0)
    joined = join_point([first], PressurePoint(volume=20.0, pressure=1.0, error=2.0))
    assert len(joined) == 1
    assert joined[0].pressure == pytest.approx((4.0 + 0.25) / 1.25)
    assert joined[0].error == pytest.approx(1 / math.sqrt(1.25))


def test_scaling_keeps_fractional_coordinates_and_velocities() -> None:
    structure = copper().add_site_property("velocities", [[0.0, 0.0, 1e-3]] * 32)
    scaled = scale_volume(structure, structure.volume * 1.1)
    assert scaled.volume == pytest.approx(structure.volume * 1.1)
    assert np.allclose(scaled.frac_coords, structure.frac_coords)
    assert scaled.site_properties["velocities"] == structure.site_properties["velocities"]


def test_relief_acts_only_beyond_its_limit() -> None:
    structure = copper()
    for pressure, change in ((30.0, 0.0), (90.0, 0.2), (-90.0, -0.2), (1000.0, 0.3)):
        relieved = relieve(structure, pressure, 50.0, 200.0, 0.3)
        assert relieved.volume / structure.volume - 1 == pytest.approx(change)


def test_the_structure_handed_on_has_the_volume_that_is_reported() -> None:
    """The best point may be an older one than the configuration at hand."""
    points = [
        PressurePoint(volume=12.0, pressure=15.0, error=3.0),
        PressurePoint(volume=13.0, pressure=-3.0, error=4.0),
    ]
    document = EquilibriumVolumeMaker().conclude(copper(), points, [])
    assert document.volume == 13.0
    assert document.structure.volume / len(document.structure) == pytest.approx(13.0)
