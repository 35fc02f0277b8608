"""Enthalpies of phases against the pressure, and where the lowest phase gives way to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline

from nnp.units import KBAR


@dataclass(frozen=True)
class EnthalpyLine:
    """
    Enthalpy of a phase between the pressures at which it was relaxed.

    The slope of an enthalpy is the volume, dH/dp = V, so that each relaxation gives the line and
    its tangent: between two of them it is their cubic of Hermite. Nothing is extrapolated.

    Parameters
    ----------
    pressures : sequence of float
        kbar, in rising order.
    enthalpies : sequence of float
        eV/atom.
    volumes : sequence of float
        Å³/atom.
    """

    pressures: Sequence[float]
    enthalpies: Sequence[float]
    volumes: Sequence[float]

    def covers(self, start: float, end: float) -> bool:
        """Whether it has points on both sides of a range of pressures (kbar), or at its ends."""
        return self.pressures[0] <= start and end <= self.pressures[-1]

    def at(self, pressures: ArrayLike) -> NDArray[np.float64]:
        """
        Enthalpies at pressures.

        Parameters
        ----------
        pressures : array_like
            kbar.

        Returns
        -------
        ndarray
            eV/atom; NaN beyond its points.
        """
        asked = np.asarray(pressures, dtype=float)
        if len(self.pressures) == 1:
            return np.where(asked == self.pressures[0], self.enthalpies[0], np.nan)
        return np.asarray(self._spline(asked), dtype=float)

    def volume_at(self, pressure: float) -> float:
        """Volume (Å³/atom) at a pressure (kbar) between its points."""
        if len(self.pressures) == 1:
            return self.volumes[0]
        return float(self._spline.derivative()(pressure)) * KBAR

    @cached_property
    def _spline(self) -> CubicHermiteSpline:
        slopes = np.asarray(self.volumes) / KBAR
        return CubicHermiteSpline(self.pressures, self.enthalpies, slopes, extrapolate=False)


@dataclass(frozen=True)
class Crossing:
    """
    Where the phase of lowest enthalpy gives way to another as the pressure rises.

    Attributes
    ----------
    below, above : int
        Phases that are the lowest at lower and at higher pressures.
    pressure : float or None
        kbar; none where one of them has no point on one side, so that the lines do not cross.
    between : tuple of float
        Neighbouring pressures of points between which it is, kbar.
    """

    below: int
    above: int
    pressure: float | None
    between: tuple[float, float]


def crossings(lines: Sequence[EnthalpyLine]) -> list[Crossing]:
    """
    Follow the lowest enthalpy from the lowest pressure to the highest.

    Parameters
    ----------
    lines : sequence of EnthalpyLine
        Of all phases.

    Returns
    -------
    list of Crossing
        In rising order of pressure.
    """
    knots = sorted({pressure for line in lines for pressure in line.pressures})
    found: list[Crossing] = []
    lowest: int | None = None
    for position, (start, end) in enumerate(pairwise(knots)):
        here = [k for k, line in enumerate(lines) if line.covers(start, end)]
        edges = [start, *_roots([lines[k] for k in here], start, end), end]
        for left, right in pairwise(edges):
            if not here:
                continue
            new = min(here, key=lambda k, p=(left + right) / 2: float(lines[k].at(p)))  # type: ignore[misc]
            if lowest is not None and new != lowest:
                crossed = left > start or _meet(lines[lowest], lines[new], start)
                before = knots[max(0, position - 1)]
                between = (start, end) if left > start else (before, end)
                found.append(Crossing(lowest, new, left if crossed else None, between))
            lowest = new
    return found


def _meet(one: EnthalpyLine, other: EnthalpyLine, pressure: float) -> bool:
    """Whether two lines have the same enthalpy at a pressure (kbar)."""
    return bool(abs(one.at(pressure) - other.at(pressure)) < 1e-9)


def _roots(lines: Sequence[EnthalpyLine], start: float, end: float) -> list[float]:
    """Pressures between two (kbar) at which any two lines, cubics there, are equal."""
    # four values settle a cubic
    nodes = start + (end - start) * (1 - np.cos(math.pi * (np.arange(4) + 0.5) / 4)) / 2
    values = [line.at(nodes) for line in lines]
    found: set[float] = set()
    for k, one in enumerate(values):
        for other in values[k + 1 :]:
            apart = np.polynomial.Polynomial.fit(nodes, one - other, 3, domain=[start, end])
            if np.abs(apart.coef).max() < 1e-12:
                continue
            roots = apart.roots()
            real = roots[np.abs(roots.imag) < 1e-9].real
            found |= {float(root) for root in real if start < root < end}
    return sorted(found)
