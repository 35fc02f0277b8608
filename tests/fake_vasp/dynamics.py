"""Molecular dynamics: IBRION = 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.fake_vasp.ions import Ions, cell_inertia, draw_velocities, exponential
from tests.fake_vasp.poscar import System
from tests.fake_vasp.settings import Settings
from tests.fake_vasp.state import ACCELERATION, KBAR, Evaluator, IonicStep
from tests.fake_vasp.thermostats import Thermostat, make_thermostat

#: What is done with every step; true if the run has to stop after it.
Record = Callable[[IonicStep], bool]


def run(
    system: System,
    masses: NDArray,
    settings: Settings,
    evaluate: Evaluator,
    record: Record,
    generator: np.random.Generator,
) -> System:
    """
    Run until NSW steps are done or the record says stop.

    Parameters
    ----------
    system : System
        Start; without velocities they are drawn at TEBEG.
    masses : NDArray
        amu, shape (n,).
    settings : Settings
        Time step, thermostat, ramp.
    evaluate, record : Evaluator, Callable
        Where steps come from and go to.
    generator : np.random.Generator
        Source of randomness.

    Returns
    -------
    System
        What the last step had.
    """
    velocities = system.velocities
    if velocities is None:
        velocities = draw_velocities(masses, max(settings.tebeg, 1e-4), generator)
    ions = Ions(system, masses, velocities.copy())
    thermostat = make_thermostat(settings, ions, generator)
    barostat = Barostat(settings, ions) if settings.isif == 3 else None
    step = evaluate(ions.snapshot())
    for number in range(1, settings.nsw + 1):
        step.kinetic, step.temperature = ions.kinetic, ions.temperature
        step.thermostat = (thermostat.potential, thermostat.kinetic)
        step.lattice_kinetic = barostat.kinetic(ions) if barostat else 0.0
        step.is_last = number == settings.nsw
        if record(step) or step.is_last:
            break
        progress = number / max(settings.nsw - 1, 1)
        target = settings.tebeg + (settings.teend - settings.tebeg) * progress
        step = _advance(
            ions, step, settings.potim, max(target, 1e-4), thermostat, barostat, evaluate
        )
    return step.system


def _advance(
    ions: Ions,
    step: IonicStep,
    dt: float,
    temperature: float,
    thermostat: Thermostat,
    barostat: Barostat | None,
    evaluate: Evaluator,
) -> IonicStep:
    """One time-reversible step: thermostat, kick, drift, kick, thermostat."""
    thermostat.half_step(ions, temperature, dt)
    _kick(ions, step, dt / 2, barostat)
    if barostat:
        stretch = exponential(ions.strain_rate * dt / 2)
        ions.positions = (ions.positions @ stretch + dt * ions.velocities) @ stretch
        ions.cell = ions.cell @ stretch @ stretch
    else:
        ions.positions = ions.positions + dt * ions.velocities
    new = evaluate(ions.snapshot())
    _kick(ions, new, dt / 2, barostat)
    thermostat.half_step(ions, temperature, dt)
    new.system = ions.snapshot()
    return new


def _kick(ions: Ions, step: IonicStep, dt: float, barostat: Barostat | None) -> None:
    push = dt * ACCELERATION * step.forces / ions.masses
    if barostat is None:
        ions.velocities = ions.velocities + push
        return
    barostat.kick(ions, step, dt / 2)
    rate = ions.strain_rate
    drag = exponential(-dt / 2 * (rate + np.eye(3) * np.trace(rate) / ions.freedom))
    ions.velocities = (ions.velocities @ drag + push) @ drag
    barostat.kick(ions, step, dt / 2)


class Barostat:
    """
    A cell with a mass, after Parrinello and Rahman in the form of Martyna, Tobias and Klein.

    Parameters
    ----------
    settings : Settings
        PMASS in amu and PSTRESS in kbar.
    ions : Ions
        Give the size of the cell.

    References
    ----------
    G. J. Martyna, D. J. Tobias and M. L. Klein, J. Chem. Phys. 101, 4177 (1994).
    """

    def __init__(self, settings: Settings, ions: Ions) -> None:
        self.inertia = cell_inertia(settings, ions)
        self.pressure = settings.pstress / KBAR

    def kinetic(self, ions: Ions) -> float:
        """Kinetic energy of the cell in eV."""
        return float(0.5 * self.inertia * (ions.strain_rate**2).sum() / ACCELERATION)

    def kick(self, ions: Ions, step: IonicStep, dt: float) -> None:
        """Change the strain rate by the pressure inside minus that outside."""
        motion = (ions.masses * ions.velocities).T @ ions.velocities / ACCELERATION
        volume = abs(np.linalg.det(ions.cell))
        drive = motion - volume * step.stress - np.eye(3) * volume * self.pressure
        drive += np.eye(3) * np.trace(motion) / ions.freedom
        ions.strain_rate = ions.strain_rate + dt * ACCELERATION * drive / self.inertia
