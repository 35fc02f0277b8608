"""Powder diffraction patterns of crystals, for a page that compares them with a measured one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure

#: Cu K-alpha, the mean of its two lines, Å.
WAVELENGTH = 1.54184
#: Degrees of 2 theta.
RANGE = (5.0, 90.0)
#: Weaker reflections are left out, % of the strongest one.
WEAKEST = 0.2


def powder_pattern(structure: Structure) -> list[list[Any]]:
    """
    Compute the reflections of a powder with Cu K-alpha.

    Parameters
    ----------
    structure : pymatgen.core.Structure
        In the conventional cell, to which the indices refer.

    Returns
    -------
    list of [float, float, str]
        2 theta in degrees, intensity in % of the strongest reflection, and indices.
    """
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    found = XRDCalculator(WAVELENGTH).get_pattern(structure, two_theta_range=RANGE)
    return [
        [round(float(angle), 3), round(float(intensity), 2), _indices(planes)]
        for angle, intensity, planes in zip(found.x, found.y, found.hkls, strict=True)
        if intensity >= WEAKEST
    ]


def _indices(planes: list[dict[str, Any]]) -> str:
    """Indices of what makes a line, the first two families of planes."""
    shown = ["".join(_index(number) for number in plane["hkl"]) for plane in planes[:2]]
    return " + ".join(shown) + (" + ..." if len(planes) > len(shown) else "")


def _index(number: int) -> str:
    return str(number) if 0 <= number <= 9 else f" {number} "
