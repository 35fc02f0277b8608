"""A segment of molecular dynamics by an ASE engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.bussi import Bussi
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.optimize import FIRE
from jobflow import JobConfig, Maker, job
from pymatgen.core import Structure

from nnp.frames import Frames
from nnp.storage.checkpoint import read_checkpoint, write_checkpoint
from nnp.units import KBAR
from workflows.conversion import to_atoms, to_structure
from workflows.documents.dynamics import SegmentDocument
from workflows.engines.ase.calculation import CalculatorEngine
from workflows.engines.ase.static import labelled_copy
from workflows.engines.base import (
    ATTEMPTS,
    DynamicsTask,
    ExplodedError,
    SegmentSettings,
    highest_temperature,
)
from workflows.jobs.checkpoints import checkpoint
from workflows.jobs.idempotency import once
from workflows.jobs.progress import report_progress

logger = logging.getLogger(__name__)

#: Wall seconds between two checkpoints of a segment.
CHECKPOINT_SECONDS = 30.0


#: Before a run that exploded begins again: largest force it may start with (eV/Å), steps towards
#: that, and the longest of them (Å).
CALM_FORCE, CALMING_STEPS, CALMING_STEP = 1.0, 100, 0.05


@dataclass
class AseDynamicsMaker(Maker):
    """
    One segment of constant-volume molecular dynamics with the Bussi thermostat.

    Parameters
    ----------
    engine : CalculatorEngine
        Gives the calculator.
    settings : SegmentSettings
        Length, time step and sampling.

    References
    ----------
    G. Bussi, D. Donadio and M. Parrinello, J. Chem. Phys. 126, 014101 (2007).
    """

    engine: CalculatorEngine
    name: str = "molecular dynamics"
    settings: SegmentSettings = field(default_factory=SegmentSettings)

    @job(data=[Frames], config=JobConfig(expose_store=True))
    @once
    def make(self, structure: Structure, task: DynamicsTask) -> SegmentDocument:
        """
        Run the segment; see :class:`workflows.engines.base.SegmentMaker`.

        An engine may say that the dynamics must not go on, as a trained potential does where it
        knows nothing: then the segment ends there and keeps the frames before.

        Raises
        ------
        ExplodedError
            If it still explodes at the smallest time step.
        """
        return self.integrate(structure, task)

    def integrate(self, structure: Structure, task: DynamicsTask) -> SegmentDocument:
        """Run the segment within the current job; for the arguments see :meth:`make`."""
        engine = self.engine
        for attempt in range(ATTEMPTS):
            settings = self.settings.halved(attempt)
            generator = np.random.default_rng([task.seed, attempt])
            atoms = self._start(structure, task, generator, calm=attempt > 0)
            run = _Run(atoms, settings, task, generator)
            run.stop_reason = engine.stop_reason
            try:
                with checkpoint() as path:
                    run.execute(path, fingerprint=f"{task.stage} {task.seed} {attempt} {settings}")
            except ExplodedError as error:
                if engine.keeps_partial_runs:
                    logger.warning("%s; the run ends here", error)
                    run.step_back()
                    return run.document(engine.name, explosions=attempt, stopped=str(error))
                logger.warning("%s; starting over, calmed and with half the time step", error)
                failure = error
            else:
                return run.document(engine.name, explosions=attempt)
        raise ExplodedError(
            f"the {task.stage} run at {task.targets[0]:.0f} K exploded {ATTEMPTS} times, last with "
            f"a time step of {settings.time_step:g} fs ({failure}); the start may be too dense or "
            f"{engine.name} may not describe these elements"
        )

    def _start(
        self,
        structure: Structure,
        task: DynamicsTask,
        generator: np.random.Generator,
        *,
        calm: bool,
    ) -> Atoms:
        """Atoms with a calculator and with velocities; calm ones without their worst forces."""
        atoms = to_atoms(structure)
        atoms.calc = self.engine.build_for_job()
        if calm:  # atoms packed at random may sit on each other's cores
            FIRE(atoms, logfile=None, maxstep=CALMING_STEP).run(CALM_FORCE, CALMING_STEPS)
        if task.new_velocities or not atoms.get_velocities().any():
            MaxwellBoltzmannDistribution(atoms, temperature_K=task.targets[0], rng=generator)
            Stationary(atoms)
        return atoms


class _Run:
    """State of a running segment: the dynamics, window means, kept frames."""

    def __init__(
        self,
        atoms: Atoms,
        settings: SegmentSettings,
        task: DynamicsTask,
        generator: np.random.Generator,
    ) -> None:
        self.atoms = atoms
        self.settings = settings
        self.task = task
        self.targets = np.linspace(*task.targets, settings.n_steps + 1)[1:]
        self.windows: list[tuple[float, float, float]] = []
        self.kept: list[Atoms] = []
        self.start = atoms.copy()
        self.stop_reason: Callable[[Atoms], str | None] = lambda atoms: None  # noqa: ARG005
        self.dynamics = Bussi(
            atoms,
            timestep=settings.time_step * units.fs,
            temperature_K=task.targets[0],
            taut=settings.thermostat_time * units.fs,
            rng=np.random.RandomState(generator.integers(2**32)),
        )
        # the centre of mass stays at rest, which ASE's thermostat does not count
        self.dynamics.ndof = max(3, 3 * len(atoms) - 3)

    def execute(self, path: Path | None, fingerprint: str) -> None:
        """
        Take all steps, from the last checkpoint on if there is one.

        Parameters
        ----------
        path : Path or None
            File of the checkpoint; none: without.
        fingerprint : str
            Of the run: a checkpoint of another one does not count.
        """
        saved = read_checkpoint(path, fingerprint) if path is not None else None
        first = self._restore(saved) if saved is not None else 0
        saved_at = monotonic()
        window = []
        for step, target in enumerate(self.targets[first:], start=first + 1):
            self._set_target(float(target))
            self.dynamics.step()
            window.append(self._measure(float(target)))
            if step % self.settings.sample_stride == 0:
                reason = self.stop_reason(self.atoms)
                if reason is not None:
                    raise ExplodedError(reason)
                self.windows.append(tuple(np.mean(window, axis=0)))
                window = []
                self._keep(step, float(target))
                self._report(step)
                if path is not None and monotonic() - saved_at > CHECKPOINT_SECONDS:
                    write_checkpoint(path, fingerprint, self._state(step))
                    saved_at = monotonic()

    def _state(self, step: int) -> dict[str, Any]:
        """All that the rest of the run depends on, after a step that was kept as a frame."""
        return {
            "step": step,
            "positions": self.atoms.positions,
            "momenta": self.atoms.get_momenta(),
            "windows": np.array(self.windows),
            "frames": Frames.from_atoms(self.kept).as_dict(),
            "random": self.dynamics.rng.get_state(legacy=False),
        }

    def _restore(self, state: dict[str, Any]) -> int:
        """Go back to a state; return the steps that were taken by then."""
        self.atoms.positions[:] = state["positions"]
        self.atoms.set_momenta(state["momenta"])
        self.windows = [tuple(window) for window in state["windows"].tolist()]
        self.kept = Frames.from_dict(state["frames"]).to_atoms()
        self.dynamics.rng.set_state(state["random"])
        logger.info("the segment goes on after step %d", state["step"])
        return int(state["step"])

    def step_back(self) -> None:
        """
        Return to the last kept configuration, at rest, so that what follows draws velocities.

        A run that did not get that far returns to its start, and has that as its only frame and
        average.

        Raises
        ------
        ExplodedError
            If not even the start has a finite energy.
        """
        last = self.kept[-1] if self.kept else self.start
        self.atoms.positions = last.positions
        if not self.windows:
            self.atoms.set_momenta(self.start.get_momenta())
            self.windows.append(self._measure(float(self.targets[0])))
            self._keep(0, float(self.targets[0]))
        self.atoms.set_momenta(np.zeros((len(self.atoms), 3)))

    def _set_target(self, temperature: float) -> None:
        """Move the thermostat along the ramp; ASE's class has no setter for it."""
        self.dynamics.temp = temperature * units.kB
        self.dynamics.target_kinetic_energy = 0.5 * self.dynamics.temp * self.dynamics.ndof

    def _measure(self, target: float) -> tuple[float, float, float]:
        """Temperature (K), pressure with its kinetic part (kbar), energy (eV/atom)."""
        energy = self.atoms.get_potential_energy()
        kinetic = self.atoms.get_kinetic_energy()
        temperature = 2 * kinetic / (self.dynamics.ndof * units.kB)
        forces = self.atoms.get_forces()
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(kinetic)):
            raise ExplodedError("energy or forces are not finite")
        if temperature > highest_temperature(target):
            raise ExplodedError(f"the temperature rose to {temperature:.0f} K at {target:.0f} K")
        virial = -self.atoms.get_stress()[:3].mean()
        pressure = virial + 2 * kinetic / (3 * self.atoms.get_volume())
        return temperature, pressure * KBAR, energy / len(self.atoms)

    def _keep(self, step: int, target: float) -> None:
        frame = labelled_copy(self.atoms)
        frame.info = {
            "stage": self.task.stage,
            "temperature": target,
            "time": self.task.start_time + step * self.settings.time_step,
        }
        self.kept.append(frame)

    def _report(self, step: int) -> None:
        temperature, _, energy = self.windows[-1]
        report_progress(
            self.task.stage,
            step,
            self.settings.n_steps,
            temperature_K=temperature,
            pressure_kbar=float(np.mean([window[1] for window in self.windows])),
            energy_eV_atom=energy,
        )

    def document(
        self, engine: str, explosions: int, stopped: str | None = None
    ) -> SegmentDocument:  # fmt: skip
        """Output document of the finished segment."""
        temperatures, pressures, energies = np.array(self.windows).T
        settings = self.settings
        return SegmentDocument(
            structure=to_structure(self.atoms, with_velocities=True),
            engine=engine,
            temperature=float(self.targets[0]),
            end_temperature=float(self.targets[-1]),
            time_step=settings.time_step,
            duration=settings.n_steps * settings.time_step,
            sample_interval=settings.sample_stride * settings.time_step,
            volume=self.atoms.get_volume(),
            temperatures=temperatures.tolist(),
            pressures=pressures.tolist(),
            energies=energies.tolist(),
            explosions=explosions,
            stopped=stopped,
            frames=Frames.from_atoms(self.kept),
        )
