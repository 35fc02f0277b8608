"""Plane waves and k-points, as documents keep them."""

from __future__ import annotations

from dataclasses import dataclass

from monty.json import MSONable


@dataclass(frozen=True)
class PlaneWaves(MSONable):
    """
    Plane waves and k-points of a calculation.

    Attributes
    ----------
    cutoff : float
        eV
    mesh : tuple of int
        Divisions of the reciprocal cell, centred on Gamma.
    """

    cutoff: float
    mesh: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        a, b, c = self.mesh
        object.__setattr__(self, "mesh", (a, b, c))  # JSON has no tuples
