"""Transition pressures from enthalpies and volumes at few pressures, against exact curves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from nnp.units import KBAR
from workflows.enthalpy_lines import EnthalpyLine, crossings


class Murnaghan:
    """A phase of known equation of state: energy (eV/atom), volume (Å³/atom), modulus (kbar)."""

    def __init__(self, energy: float, volume: float, modulus: float) -> None:
        self.energy, self.zero, self.modulus, self.k = energy, volume, modulus, 4.0

    def volume(self, pressure: float) -> float:
        """At a pressure in kbar."""
        return self.zero * (1 + self.k * pressure / self.modulus) ** (-1 / self.k)

    def enthalpy(self, pressure: float) -> float:
        """The integral of the volume, eV/atom."""
        scale = self.zero * self.modulus / (self.k - 1) / KBAR
        stretch = 1 + self.k * pressure / self.modulus
        return self.energy + scale * (stretch ** (1 - 1 / self.k) - 1)

    def line(self, *pressures: float) -> EnthalpyLine:
        """Points of it."""
        return EnthalpyLine(
            pressures, [self.enthalpy(p) for p in pressures], [self.volume(p) for p in pressures]
        )


OPEN, MIDDLE, DENSE = (
    Murnaghan(0.0, 12.5, 700.0), Murnaghan(0.015, 11.4, 900.0), Murnaghan(0.2, 7.8, 3000.0),
)  # fmt: skip


def exact(one: Murnaghan, other: Murnaghan) -> float:
    """Pressure (kbar) at which two phases have the same enthalpy."""
    return brentq(lambda p: one.enthalpy(p) - other.enthalpy(p), 0.0, 400.0)


def test_three_points_give_transition_pressures_to_a_tenth_of_a_kbar() -> None:
    lines = [phase.line(0.0, 75.0, 150.0) for phase in (DENSE, OPEN, MIDDLE)]
    first, second = crossings(lines)
    assert (first.below, first.above) == (1, 2)
    assert (second.below, second.above) == (2, 0)
    assert first.pressure == pytest.approx(exact(OPEN, MIDDLE), abs=0.1)
    assert second.pressure == pytest.approx(exact(MIDDLE, DENSE), abs=0.1)
    assert first.between == (0.0, 75.0)


def test_the_slope_of_the_line_is_the_volume() -> None:
    line = OPEN.line(0.0, 75.0, 150.0)
    for pressure in (0.0, 30.0, 75.0, 110.0, 150.0):
        step = 0.01 if pressure < 150.0 else -0.01
        change = (line.at(pressure + step) - line.at(pressure)) / step * KBAR
        assert line.volume_at(pressure) == pytest.approx(float(change), rel=1e-4)
        assert line.at(pressure) == pytest.approx(OPEN.enthalpy(pressure), abs=5e-4)
    assert line.volume_at(75.0) == pytest.approx(OPEN.volume(75.0), rel=1e-9)
    assert np.isnan(line.at([-1.0, 151.0])).all()


def test_a_phase_that_is_gone_beyond_a_pressure_gives_way_without_a_crossing() -> None:
    """Relaxed at 150 kbar it became another one: it has no point there."""
    lowest = Murnaghan(-1.0, 12.5, 400.0)
    (only,) = crossings([lowest.line(0.0, 75.0), MIDDLE.line(0.0, 75.0, 150.0)])
    assert only.pressure is None
    assert only.between == (0.0, 150.0)


def test_a_transition_at_a_point_and_lines_of_one_point() -> None:
    meeting = exact(OPEN, MIDDLE)
    (only,) = crossings([OPEN.line(0.0, meeting, 100.0), MIDDLE.line(0.0, meeting, 100.0)])
    assert only.pressure == pytest.approx(meeting, abs=1e-3)
    assert crossings([OPEN.line(0.0)]) == []
    assert crossings([OPEN.line(0.0, 100.0), DENSE.line(0.0)]) == []
    assert OPEN.line(5.0).at(5.0) == OPEN.enthalpy(5.0)
    assert OPEN.line(5.0).volume_at(5.0) == OPEN.volume(5.0)
