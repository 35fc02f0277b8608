"""
The volume of zero pressure, and how well it is known, from a fit to noisy pressures.

Where another pressure is aimed at, zero is where the pressure is that one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workflows.documents.dynamics import PressurePoint

#: Volumes farther than this from the one of the smallest pressure (relative) are no part of a fit:
#: there the pressure is no straight line in the logarithm of the volume.
FIT_RANGE = 0.15
#: Standard errors by which a slope must differ from none: the error of a root by a slope that may
#: be anything is anything, too.
SIGNIFICANT = 3.0


@dataclass(frozen=True)
class ZeroPressure:
    """
    Where a line through noisy pressures is zero.

    Attributes
    ----------
    volume : float
        Å³/atom.
    relative_error : float
        Standard error of the volume, relative to it.
    bulk_modulus : float
        kbar, the slope of the pressure against the logarithm of the volume, without its sign.
    inside : bool
        Whether the volume lies among those of the fit, or beyond them by no more than its error.
    """

    volume: float
    relative_error: float
    bulk_modulus: float
    inside: bool

    @property
    def pressure_error(self) -> float:
        """Standard error (kbar) of the pressure at the volume."""
        return self.relative_error * self.bulk_modulus


def fit_zero_pressure(
    points: Sequence[PressurePoint], least_modulus: float, reach: float = FIT_RANGE
) -> ZeroPressure | None:
    """
    Fit a line to pressures near zero against the logarithm of the volume.

    Every run near the root counts by its own standard error, so that several short runs tell what
    none of them does.

    Parameters
    ----------
    points : sequence of PressurePoint
        Average pressures of runs, of which the one aimed at is taken away.
    least_modulus : float
        kbar; a flatter line is no liquid's.
    reach : float
        Relative difference of volumes up to which a point counts.

    Returns
    -------
    ZeroPressure or None
        None where fewer than two volumes have an error, or the line is not surely steep enough.
    """
    known = [p for p in points if 0 < p.error < math.inf and math.isfinite(p.pressure)]
    if len(known) < 2:
        return None
    middle = min(known, key=lambda point: abs(point.pressure)).volume
    near = [point for point in known if abs(point.volume / middle - 1) <= reach]
    if len(near) < 2:
        return None
    strains = np.log([point.volume / middle for point in near])
    pressures = np.array([point.pressure for point in near])
    weights = 1 / np.array([point.error for point in near])
    (slope, constant), covariance = np.polyfit(strains, pressures, 1, w=weights, cov="unscaled")
    # points that scatter by more than their errors say have larger errors
    spread = float(np.sum((weights * (pressures - constant - slope * strains)) ** 2))
    covariance = covariance * max(1.0, spread / max(1, len(near) - 2))
    if not -slope > max(least_modulus, SIGNIFICANT * math.sqrt(covariance[0, 0])):
        return None
    root = -constant / slope
    gradient = np.array([constant / slope**2, -1 / slope])
    error = math.sqrt(gradient @ covariance @ gradient)
    inside = strains.min() - error <= root <= strains.max() + error
    return ZeroPressure(middle * math.exp(root), error, -float(slope), bool(inside))
