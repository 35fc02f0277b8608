"""A segment of molecular dynamics by an ASE engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.bussi import Bussi
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from jobflow import JobConfig, Maker, job
from pymatgen.core import Structure

from nnp.frames import Frames
from nnp.storage.checkpoint import read_checkpoint, write_checkpoint
from workflows.conversion import KBAR, to_atoms, to_structure
from workflows.documents.schemas import SegmentDocument
from workflows.engines.ase.engine import AseEngine
from workflows.jobs.idempotency import once
from workflows.jobs.outputs import checkpoint
from workflows.jobs.progress import report_progress
from workflows.stages.dynamics import SegmentSettings

logger = logging.getLogger(__name__)

#: Times a segment starts over, each time with half the time step, before it gives up.
ATTEMPTS = 3

#: Wall seconds between two checkpoints of a segment.
CHECKPOINT_SECONDS = 30.0


class ExplodedError(RuntimeError):
    """Forces are not finite, or the atoms are far hotter than the thermostat wants them."""


@dataclass
class AseDynamicsMaker(Maker):
    """
    One segment of constant-volume molecular dynamics with the Bussi thermostat.

    Parameters
    ----------
    engine
        Gives the calculator.
    settings
        Length, time step and sampling.

    References
    ----------
    G. Bussi, D. Donadio and M. Parrinello, J. Chem. Phys. 126, 014101 (2007).
    """

    name: str = "molecular dynamics"
    engine: AseEngine = field(default_factory=AseEngine)
    settings: SegmentSettings = field(default_factory=lambda: SegmentSettings(10, 2.0, 10, 100.0))

    @job(data=[Frames], config=JobConfig(expose_store=True))
    @once
    def make(
        self,
        structure: Structure,
        temperature: float,
        end_temperature: float,
        stage: str,
        seed: int = 0,
        new_velocities: bool = False,
        start_time: float = 0.0,
    ) -> SegmentDocument:
        """
        Run the segment; if it explodes, start it over with half the time step.

        An engine may object to where the dynamics goes, as a trained potential does where it
        knows nothing: then the segment ends there and keeps the frames before.

        Parameters
        ----------
        structure
            Start, with velocities in Å/fs if it continues a segment.
        temperature, end_temperature
            Target of the thermostat in K, linear in between.
        stage
            Label of the frames.
        seed
            Seed of the thermostat and of new velocities.
        new_velocities
            Draw velocities even if the structure has some.
        start_time
            fs that the segments before it took; frames carry the time of the whole run.

        Raises
        ------
        ExplodedError
            If it still explodes at the smallest time step.
        """
        return self.integrate(
            structure, temperature, end_temperature, stage, seed, new_velocities, start_time
        )

    def integrate(
        self,
        structure: Structure,
        temperature: float,
        end_temperature: float,
        stage: str,
        seed: int,
        new_velocities: bool,
        start_time: float,
    ) -> SegmentDocument:
        """Run the segment within the current job; for the arguments see :meth:`make`."""
        settings = self.settings
        for attempt in range(ATTEMPTS):
            atoms = to_atoms(structure)
            atoms.calc = self.engine.build_for_job()
            generator = np.random.default_rng([seed, attempt])
            if new_velocities or not atoms.get_velocities().any():
                MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=generator)
                Stationary(atoms)
            run = _Run(atoms, settings, temperature, end_temperature, stage, generator, start_time)
            run.objection = self.engine.objection
            try:
                with checkpoint() as path:
                    run.execute(path, fingerprint=f"{stage} {seed} {attempt} {settings}")
            except ExplodedError as error:
                if self.engine.keeps_fragments:
                    logger.warning("%s; the run ends here", error)
                    run.step_back()
                    return run.document(self.engine.name, explosions=attempt, stopped=str(error))
                logger.warning("%s; starting over with half the time step", error)
                settings = replace(
                    settings,
                    time_step=settings.time_step / 2,
                    n_steps=settings.n_steps * 2,
                    sample_stride=settings.sample_stride * 2,
                )
                failure = error
            else:
                return run.document(self.engine.name, explosions=attempt)
        raise ExplodedError(
            f"the {stage} run at {temperature:.0f} K exploded {ATTEMPTS} times, last with a time "
            f"step of {settings.time_step * 2:g} fs ({failure}); the start may be too dense or "
            f"{self.engine.name} may not describe these elements"
        )


class _Run:
    """State of a running segment: the dynamics, window means, kept frames."""

    def __init__(
        self,
        atoms: Atoms,
        settings: SegmentSettings,
        temperature: float,
        end_temperature: float,
        stage: str,
        generator: np.random.Generator,
        start_time: float,
    ) -> None:
        self.atoms = atoms
        self.settings = settings
        self.targets = np.linspace(temperature, end_temperature, settings.n_steps + 1)[1:]
        self.stage = stage
        self.start_time = start_time
        self.windows: list[tuple[float, float, float]] = []
        self.kept: list[Atoms] = []
        self.start = atoms.copy()
        self.objection: Callable[[Atoms], str | None] = lambda atoms: None  # noqa: ARG005
        self.dynamics = Bussi(
            atoms,
            timestep=settings.time_step * units.fs,
            temperature_K=temperature,
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
        path
            File of the checkpoint; none: without.
        fingerprint
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
                reason = self.objection(self.atoms)
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
        if temperature > 20 * target + 20000:
            raise ExplodedError(f"the temperature rose to {temperature:.0f} K at {target:.0f} K")
        virial = -self.atoms.get_stress()[:3].mean()
        pressure = virial + 2 * kinetic / (3 * self.atoms.get_volume())
        return temperature, pressure * KBAR, energy / len(self.atoms)

    def _keep(self, step: int, target: float) -> None:
        frame = self.atoms.copy()
        frame.calc = SinglePointCalculator(
            frame,
            energy=self.atoms.get_potential_energy(),
            forces=self.atoms.get_forces().copy(),
            stress=self.atoms.get_stress().copy(),
        )
        frame.info = {
            "stage": self.stage,
            "temperature": target,
            "time": self.start_time + step * self.settings.time_step,
        }
        self.kept.append(frame)

    def _report(self, step: int) -> None:
        temperature, _, energy = self.windows[-1]
        report_progress(
            self.stage,
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
