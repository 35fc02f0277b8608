"""The thermostats that MDALGO and SMASS choose from."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from ase import units
from numpy.typing import NDArray

from tests.fake_vasp.ions import Ions, cell_inertia
from tests.fake_vasp.settings import Settings
from tests.fake_vasp.state import ACCELERATION

#: Steps that one oscillation of Nosé's thermostat takes with SMASS = 0.
_NOSE_PERIOD = 40


class Thermostat(Protocol):
    """Changes velocities before and after every step; may store energy (eV)."""

    potential: float
    kinetic: float

    def half_step(self, ions: Ions, temperature: float, dt: float) -> None:
        """Act for half of a time step (fs) towards a temperature (K)."""


class NoThermostat:
    """Constant energy."""

    potential = kinetic = 0.0

    def half_step(self, ions: Ions, temperature: float, dt: float) -> None:
        """Do nothing."""


class Nose:
    """
    The Nosé-Hoover thermostat.

    Parameters
    ----------
    inertia : float or None
        amu Å²; none for an oscillation of forty time steps.
    """

    def __init__(self, inertia: float | None) -> None:
        self.inertia = inertia
        self.rate, self.position = 0.0, 0.0
        self.potential = self.kinetic = 0.0

    def half_step(self, ions: Ions, temperature: float, dt: float) -> None:
        """Act for half a time step."""
        heat = ions.freedom * units.kB * temperature
        if self.inertia is None:
            inertia = 2 * heat * ACCELERATION * (_NOSE_PERIOD * dt / (2 * np.pi)) ** 2
        else:
            inertia = self.inertia
        self._push(ions, heat, inertia, dt / 4)
        ions.velocities = ions.velocities * np.exp(-self.rate * dt / 2)
        self.position += self.rate * dt / 2
        self._push(ions, heat, inertia, dt / 4)
        self.potential = heat * self.position
        self.kinetic = 0.5 * inertia * self.rate**2 / ACCELERATION

    def _push(self, ions: Ions, heat: float, inertia: float, dt: float) -> None:
        self.rate += dt * ACCELERATION * (2 * ions.kinetic - heat) / inertia


class Langevin:
    """
    Friction and noise on atoms and, at constant pressure, on the cell.

    Parameters
    ----------
    frictions : NDArray
        1/fs, of every atom, shape (n, 1).
    cell_friction, cell_inertia : float
        1/fs and amu Å²; no inertia at constant volume.
    generator : np.random.Generator
        Source of the noise.
    """

    potential = kinetic = 0.0

    def __init__(
        self,
        frictions: NDArray,
        cell_friction: float,
        cell_inertia: float,
        generator: np.random.Generator,
    ) -> None:
        self.frictions, self.generator = frictions, generator
        self.cell_friction, self.cell_inertia = cell_friction, cell_inertia

    def half_step(self, ions: Ions, temperature: float, dt: float) -> None:
        """Act for half a time step; the centre of mass stays at rest."""
        keep = np.exp(-self.frictions * dt / 2)
        heat = units.kB * temperature * ACCELERATION
        noise = self.generator.standard_normal(ions.velocities.shape)
        velocities = keep * ions.velocities + np.sqrt((1 - keep**2) * heat / ions.masses) * noise
        momentum = (ions.masses * velocities).sum(axis=0)
        ions.velocities = velocities - momentum / ions.masses.sum()
        if self.cell_inertia:
            keep_cell = np.exp(-self.cell_friction * dt / 2)
            kick = self.generator.standard_normal((3, 3))
            width = np.sqrt((1 - keep_cell**2) * heat / self.cell_inertia)
            # an off-diagonal element shares its kinetic energy with its mirror image
            ions.strain_rate = keep_cell * ions.strain_rate + width * (kick + kick.T) / 2


class Rescaling:
    """Velocities scaled to the wanted temperature every so many steps (SMASS = -1)."""

    potential = kinetic = 0.0

    def __init__(self, every: int) -> None:
        self.every, self.calls = every, 0

    def half_step(self, ions: Ions, temperature: float, dt: float) -> None:
        """Act at the end of a step, which is every other call."""
        self.calls += 1
        if self.calls % (2 * self.every) == 0 and ions.temperature > 0:
            ions.velocities = ions.velocities * np.sqrt(temperature / ions.temperature)


class Andersen:
    """Atoms hit by a bath: now and then one gets a new velocity (MDALGO = 1)."""

    potential = kinetic = 0.0

    def __init__(self, probability: float, generator: np.random.Generator) -> None:
        self.probability, self.generator = probability, generator

    def half_step(self, ions: Ions, temperature: float, dt: float) -> None:
        """Act with half the probability of a time step."""
        hit = self.generator.random(len(ions.masses)) < self.probability / 2
        width = np.sqrt(units.kB * temperature * ACCELERATION / ions.masses[hit])
        velocities = ions.velocities.copy()
        velocities[hit] = width * self.generator.standard_normal((int(hit.sum()), 3))
        ions.velocities = velocities - (ions.masses * velocities).sum(axis=0) / ions.masses.sum()


def make_thermostat(settings: Settings, ions: Ions, generator: np.random.Generator) -> Thermostat:
    """Build the thermostat of a run."""
    if settings.mdalgo == 3:
        frictions = np.array(settings.langevin_gamma)[ions.system.types, None] * 1e-3
        inertia = cell_inertia(settings, ions) if settings.isif == 3 else 0.0
        return Langevin(frictions, settings.langevin_gamma_l * 1e-3, inertia, generator)
    if settings.mdalgo == 1:
        return Andersen(settings.andersen_prob, generator)
    if settings.smass >= 0:
        length = float(np.linalg.norm(ions.cell[0]))
        return Nose(settings.smass * length**2 if settings.smass > 0 else None)
    if settings.smass == -1:
        return Rescaling(settings.nblock)
    return NoThermostat()
