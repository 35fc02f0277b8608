"""Powder patterns as a diffractometer measures them, which no two are alike a calculated one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.analysis.diffraction.xrd import XRDCalculator
from pymatgen.core import Structure

#: The two lines of Cu K-alpha and their parts of the intensity, and what the page computes with, Å.
DOUBLET = ((1.540593, 2 / 3), (1.544427, 1 / 3))
MEAN = 1.54184


@dataclass(frozen=True)
class Measurement:
    """
    What is between a crystal and its measured pattern.

    Parameters
    ----------
    strain : float
        By how much the lengths of the real crystal are larger than those of the structure.
    zero : float
        Shift of all angles, degrees.
    counts : float
        Of the strongest line above the background; the noise is that of counting.
    broadening : float
        Of the lines, whose widths grow with the angle.
    texture : float
        Deviation of the logarithms of intensities.
    """

    strain: float = 0.0
    zero: float = 0.0
    counts: float = 10000.0
    broadening: float = 1.0
    texture: float = 0.0

    def of(self, structure: Structure, seed: int = 0) -> NDArray[np.float64]:
        """
        Measure a crystal: both lines of Cu K-alpha, air, a halo of glass, and noise.

        Parameters
        ----------
        structure : pymatgen.core.Structure
            In the conventional cell.
        seed : int
            Of noise and texture.

        Returns
        -------
        ndarray
            2 theta (degrees) and counts, shape (n_steps, 2).
        """
        random = np.random.default_rng(seed)
        real = structure.copy()
        real.scale_lattice((1 + self.strain) ** 3 * real.volume)
        lines = XRDCalculator(MEAN).get_pattern(real, two_theta_range=(5, 90))
        strengths = np.array(lines.y) * random.lognormal(0, self.texture, len(lines.y))
        angles = np.arange(10, 80, 0.02)
        counts = np.zeros_like(angles)
        for angle, strength in zip(lines.x, strengths, strict=True):
            for wavelength, part in DOUBLET:
                sine = np.sin(np.radians(angle / 2)) * wavelength / MEAN
                if sine < 1:
                    place = 2 * np.degrees(np.arcsin(sine)) + self.zero
                    counts += part * strength * self._line(angles, place)
        counts *= self.counts / counts.max()
        air, glass = np.exp(-angles / 20), np.exp(-(((angles - 24) / 6) ** 2))
        counts += self.counts * (0.08 + 0.15 * air + 0.25 * glass)
        return np.c_[angles, random.poisson(counts)]

    def _line(self, angles: NDArray[np.float64], place: float) -> NDArray[np.float64]:
        """Half Gaussian, half Lorentzian, of a width after Caglioti (1958), and of equal area."""
        tangent = np.tan(np.radians(place / 2))
        width = np.sqrt(self.broadening * (0.02 * tangent**2 - 0.01 * tangent + 0.02))
        x = (angles - place) / width
        return (0.5 / (1 + 4 * x**2) + 0.5 * np.exp(-4 * np.log(2) * x**2)) / width


def as_text(pattern: NDArray[np.float64]) -> str:
    """Two columns, as files of patterns have them."""
    return "\n".join(f"{angle:.2f} {counts:.0f}" for angle, counts in pattern)
