"""Atoms in motion."""

from __future__ import annotations

import numpy as np
from ase import units
from numpy.typing import NDArray

from tests.fake_vasp.poscar import System
from tests.fake_vasp.settings import Settings
from tests.fake_vasp.state import ACCELERATION


class Ions:
    """
    Moving atoms and, at constant pressure, a moving cell.

    Attributes
    ----------
    masses : NDArray
        amu, shape (n, 1).
    cell, positions, velocities : NDArray
        Å, Å and Å/fs.
    strain_rate : NDArray
        Symmetric, 1/fs, shape (3, 3); zero at constant volume.
    """

    def __init__(self, system: System, masses: NDArray, velocities: NDArray) -> None:
        self.system = system
        self.masses = masses[:, None]
        self.cell = system.cell.copy()
        self.positions = system.scaled @ system.cell
        self.velocities = velocities
        self.strain_rate = np.zeros((3, 3))

    @property
    def freedom(self) -> int:
        """Degrees of freedom: the centre of mass rests."""
        return max(3 * len(self.masses) - 3, 3)

    @property
    def kinetic(self) -> float:
        """Kinetic energy in eV."""
        return float(0.5 * (self.masses * self.velocities**2).sum() / ACCELERATION)

    @property
    def temperature(self) -> float:
        """K."""
        return 2 * self.kinetic / (self.freedom * units.kB)

    def snapshot(self) -> System:
        """Present positions and velocities."""
        return self.system.moved(self.cell, self.positions, self.velocities.copy())


def draw_velocities(
    masses: NDArray, temperature: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """
    Draw velocities (Å/fs) of exactly the given temperature (K), the centre of mass at rest.

    Parameters
    ----------
    masses : NDArray
        amu, shape (n,).
    temperature : float
        K.
    generator : np.random.Generator
        Source of randomness.
    """
    m = masses[:, None]
    width = np.sqrt(units.kB * temperature * ACCELERATION / m)
    velocities = width * generator.standard_normal((len(masses), 3))
    velocities -= (m * velocities).sum(axis=0) / m.sum()
    kinetic = 0.5 * (m * velocities**2).sum() / ACCELERATION
    target = 0.5 * max(3 * len(masses) - 3, 3) * units.kB * temperature
    return velocities * np.sqrt(target / kinetic) if kinetic > 0 else velocities


def cell_inertia(settings: Settings, ions: Ions) -> float:
    """Inertia of the cell against strain, amu Å²: PMASS times the squared size of the cell."""
    return settings.pmass * float(abs(np.linalg.det(ions.cell)) ** (2 / 3))


def exponential(matrix: NDArray) -> NDArray[np.float64]:
    """Exponential of a symmetric matrix, shape (3, 3)."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.exp(values)) @ vectors.T
