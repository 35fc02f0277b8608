"""The volume adjustment on equations of state that are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.relax.pressure import compressed
from tests.workflows.samples import copper
from workflows.documents.dynamics import PressurePoint, SegmentDocument
from workflows.stages.melt import MeltMaker, relieve, scale_volume
from workflows.stages.volume import EquilibriumVolumeMaker, join_point
from workflows.stages.zero_pressure import FIT_RANGE, fit_zero_pressure


def adjust(
    maker: EquilibriumVolumeMaker,
    pressure: Callable[[float], float],
    start: float,
    noise: float,
    seed: int = 4,
) -> tuple[PressurePoint, int, str | None]:
    """Drive the maker's decisions with a pressure-volume curve in place of dynamics."""
    generator = np.random.default_rng(seed)
    liquid = copper()
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
        if maker.is_done(points, rounds):
            document = maker.conclude(liquid, points, [])
            found = PressurePoint(
                volume=document.volume,
                pressure=document.pressure,
                error=document.pressure_error,
            )
            return found, rounds, document.warning
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
    maker = EquilibriumVolumeMaker(max_pressure=3.0, max_error=1.5, max_volume_error=0.0)
    best, rounds, _ = adjust(maker, lambda v: -100 * math.log(v / 25.0), 25.0, 2.0)
    assert best.error <= 1.5
    assert rounds >= 2


def test_short_runs_tell_the_volume_together() -> None:
    """Pressures known to 15 kbar only, as of 48 atoms in a picosecond: joined they tell more."""
    fitted = EquilibriumVolumeMaker(max_pressure=5.0, max_error=5.0, side_by_side=2, max_rounds=30)
    alone = replace(fitted, max_volume_error=0.0)
    rounds, errors, warnings = {}, {}, {}
    for name, maker in (("fitted", fitted), ("alone", alone)):
        runs = [
            adjust(maker, lambda v: -300 * math.log(v / 25.0), start, 15.0, seed)
            for start in (20.0, 23.0, 27.0, 31.0)
            for seed in range(5)
        ]
        rounds[name] = np.mean([run[1] for run in runs])
        errors[name] = np.sqrt(np.mean([(run[0].volume / 25.0 - 1) ** 2 for run in runs]))
        warnings[name] = sum(run[2] is not None for run in runs)
    assert rounds["fitted"] < 0.7 * rounds["alone"]
    assert warnings["fitted"] < 0.5 * warnings["alone"]
    assert errors["fitted"] < min(1.1 * errors["alone"], 0.05)


@given(
    st.floats(5.0, 60.0),
    st.floats(200.0, 3000.0),
    st.lists(st.floats(-0.1, 0.1), min_size=3, max_size=8, unique_by=lambda x: round(x, 2)),
)
def test_a_line_without_noise_is_found_exactly(
    volume: float, modulus: float, strains: list[float]
) -> None:
    points = [
        PressurePoint(volume=volume * math.exp(x), pressure=-modulus * x, error=1.0)
        for x in strains
    ]
    near = [x for x in strains if abs(math.exp(x - min(strains, key=abs)) - 1) < FIT_RANGE - 0.01]
    fit = fit_zero_pressure(points, 1.0)
    # no noise, but errors of 1 kbar: a slope that they hide is none
    if fit is not None and len(near) > 1:
        assert fit.volume == pytest.approx(volume, rel=1e-6)
        assert fit.bulk_modulus == pytest.approx(modulus, rel=1e-6)


def test_the_error_of_the_fit_is_the_scatter_of_repeated_fits() -> None:
    generator = np.random.default_rng(0)
    strains = np.array([-0.12, -0.06, 0.0, 0.06])
    fits = []
    for _ in range(400):
        pressures = -250 * strains + generator.normal(0, 2.0, len(strains))
        points = [
            PressurePoint(volume=20 * math.exp(x), pressure=p, error=2.0)
            for x, p in zip(strains, pressures, strict=True)
        ]
        fits.append(fit_zero_pressure(points, 10.0))
    assert all(fit is not None for fit in fits)
    scatter = np.std([math.log(fit.volume / 20) for fit in fits])
    assert scatter == pytest.approx(np.median([fit.relative_error for fit in fits]), rel=0.25)


def test_a_flat_or_rising_line_is_no_liquids() -> None:
    points = [
        PressurePoint(volume=20 + k, pressure=p, error=1.0) for k, p in enumerate((0.0, 0.5, 1.0))
    ]
    assert fit_zero_pressure(points, 10.0) is None
    assert fit_zero_pressure(points[:1], 10.0) is None


def test_a_run_too_short_for_an_error_is_warned_of_in_words() -> None:
    points = [PressurePoint(volume=25.0, pressure=0.1, error=math.inf)]
    warning = EquilibriumVolumeMaker().conclude(copper(), points, []).warning
    assert warning is not None
    assert "0.1 kbar, with an error that so short a run does not tell" in warning


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
    for pressure, change in ((130.0, 0.0), (160.0, 10.0 / 600.0), (-300.0, -0.3)):
        relieved = relieve(structure, pressure, 50.0, 200.0, 0.3, target=100.0)
        assert relieved.volume / structure.volume - 1 == pytest.approx(change)
    for pressure, change in ((30.0, 0.0), (90.0, 0.2), (-90.0, -0.2), (1000.0, 0.3)):
        relieved = relieve(structure, pressure, 50.0, 200.0, 0.3)
        assert relieved.volume / structure.volume - 1 == pytest.approx(change)


def murnaghan(modulus: float, derivative: float = 4.5) -> Callable[[float], float]:
    """Pressure (kbar) against volume (Å³/atom), zero at 25 Å³/atom."""
    return lambda v: modulus / derivative * ((25.0 / v) ** derivative - 1.0)


@pytest.mark.parametrize("side_by_side", [1, 2])
@pytest.mark.parametrize("target", [-5.0, 10.0, 100.0, 1000.0])
@pytest.mark.parametrize("modulus", [80.0, 400.0, 1500.0])
def test_the_pressure_aimed_at_is_reached(modulus: float, target: float, side_by_side: int) -> None:
    curve = murnaghan(modulus)
    volume = 25.0 * (1 + 4.5 * target / modulus) ** (-1 / 4.5)
    maker = EquilibriumVolumeMaker(
        max_pressure=3.0, max_error=3.0, side_by_side=side_by_side, pressure=target
    )
    for start in (0.85, 1.0, 1.3):
        best, rounds, warning = adjust(maker, curve, start * volume, 1.0)
        assert warning is None
        assert rounds <= 10
        # a soft melt's volume is known to some per cent, at whatever pressure
        assert best.volume == pytest.approx(volume, rel=max(0.01, 4.0 / modulus))
        assert abs(curve(best.volume) - target) <= 10.0


@pytest.mark.parametrize("target", [-20.0, 0.0, 200.0, 1000.0])
@pytest.mark.parametrize("modulus", [200.0, 1500.0])
def test_the_melt_comes_near_the_pressure_aimed_at(modulus: float, target: float) -> None:
    """From the volume that a compound is packed in, by the corrections of one melt."""
    curve, maker = murnaghan(modulus), MeltMaker(pressure=target)
    melt = copper()
    melt = scale_volume(melt, compressed(25.0, target) * len(melt))
    for _ in range(maker.corrections):
        segment = SegmentDocument.model_construct(pressures=[curve(melt.volume / 32)] * 40)
        melt = MeltMaker.correct.original(maker, melt, [segment])
    left = abs(curve(melt.volume / 32) - target)
    assert left <= maker.max_pressure + 0.1 * abs(target)


def test_the_structure_handed_on_has_the_volume_that_is_reported() -> None:
    """The best point may be an older one than the configuration at hand."""
    points = [
        PressurePoint(volume=12.0, pressure=15.0, error=3.0),
        PressurePoint(volume=13.0, pressure=-3.0, error=4.0),
    ]
    document = EquilibriumVolumeMaker(max_volume_error=0.0).conclude(copper(), points, [])
    assert document.volume == 13.0
    assert document.structure.volume / len(document.structure) == pytest.approx(13.0)
