"""The steps of one segment of dynamics: run, take up again, and describe."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from ase import units
from monty.json import MSONable
from pydantic import Field
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.conversion import KBAR
from workflows.progress import report
from workflows.schemas import Blob, Document, SegmentDocument
from workflows.vasp.execution import REPORTED, UNCONVERGED, Outcome, run_vasp
from workflows.vasp.incar import REMEDIES, dynamics_tags, thermostat_mass
from workflows.vasp.inputs import WAVEFUNCTIONS, fetch_wavefunctions
from workflows.vasp.level import Calculation, Level
from workflows.vasp.static import label_frames
from workflows.vasp.trajectory import (
    State,
    draw_velocities,
    read_state,
    state_after,
    temperatures,
)
from workflows.vasp.vasprun import Steps, read_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workflows.dynamics import SegmentSettings

logger = logging.getLogger(__name__)

#: Times a segment starts over, each time with half the time step, before it gives up.
ATTEMPTS = 3


class ExplodedError(RuntimeError):
    """The atoms are far too hot, or so close that VASP gives up."""


class VaspError(RuntimeError):
    """VASP failed, and no remedy helped."""


class UnconvergedError(VaspError):
    """Too many steps of dynamics went without electronic convergence."""


@dataclass(frozen=True)
class Task(MSONable):
    """
    What a segment is for.

    Attributes
    ----------
    stage : str
        Label of the frames.
    seed : int
        Of new velocities.
    new_velocities : bool
        Draw velocities even if there are some.
    start_time : float
        fs that the segments before it took.
    """

    stage: str
    seed: int = 0
    new_velocities: bool = False
    start_time: float = 0.0


class PartialSegment(Document):
    """Steps of a segment that ran out of time; the next part takes the rest."""

    structure: Structure = Field(description="where it goes on, with velocities")
    explosions: int = Field(0, description="attempts given up; each halved the time step")
    packed: bool = Field(False, description="whether it began without velocities")
    steps: Annotated[Steps, Blob]


class Segment:
    """
    A segment of dynamics on its way.

    Parameters
    ----------
    folder
        Where VASP runs.
    start
        Configuration, with velocities if it has any.
    level
        How well.
    settings
        Length, time step and sampling.
    targets
        Temperature at the start and at the end in K.
    task
        What it is for.
    end
        When the job must be over, in seconds since the epoch; none: no limit.
    earlier
        What an earlier part took; the start is where that part ended.
    """

    def __init__(
        self,
        folder: Path,
        start: Structure,
        level: Level,
        settings: SegmentSettings,
        targets: tuple[float, float],
        task: Task,
        end: float | None,
        earlier: PartialSegment | None = None,
    ) -> None:
        self.folder = folder
        self.level = level
        self.settings = settings
        self.targets = targets
        self.task = task
        self.end = end
        self.calculation = Calculation.prepare(start, level)
        self.masses = np.array([float(site.specie.atomic_mass) for site in
                                self.calculation.structure])  # fmt: skip
        self.parts: list[Steps] = [] if earlier is None else [self._grouped(earlier.steps)]
        self.packed = earlier.packed if earlier else not self._has_velocities()
        self.state = self._first_state(fresh=earlier is None)
        self.restarts = 0
        self.remedy = 0
        self.warm = fetch_wavefunctions(start, folder)

    @property
    def steps(self) -> Steps:
        """All steps so far, in the order of atoms in which the structure came."""
        joined = Steps.concatenate(self.parts)
        joined.forces = self.calculation.ungrouped(joined.forces, axis=1)
        joined.positions = self.calculation.ungrouped(joined.positions, axis=1)
        return joined

    @property
    def done(self) -> int:
        """Number of steps so far."""
        return sum(map(len, self.parts))

    def execute(self) -> bool:
        """
        Take the steps.

        Returns
        -------
        bool
            Whether all are taken; otherwise time is up.

        Raises
        ------
        ExplodedError
            If the atoms are far too hot.
        VaspError
            If VASP fails and no remedy helps.
        """
        while self.done < self.settings.n_steps:
            outcome, asked = self._run()
            before = self.done
            orderly = self._take(outcome, asked)
            if outcome.stopped and self.done == before:
                raise VaspError(
                    f"time ran out before a single step of the {self.task.stage} run was done; "
                    "raise the time limit of the job, vasp.supervision.walltime"
                )
            if outcome.stopped:
                return self.done >= self.settings.n_steps
            if not orderly:
                self._plan_restart(outcome, progress=self.done > before)
        return True

    def _run(self) -> tuple[Outcome, int]:
        """Run VASP for the steps that are left."""
        from workflows.vasp.handlers import dynamics_handlers

        settings, supervision = self.settings, self.level.settings.supervision
        left = settings.n_steps - self.done + self.state.repeats
        start = self.target(self.done)
        self.calculation.structure = self._current(with_velocities=True)
        edge = float(np.linalg.norm(self.calculation.structure.lattice.matrix[0]))
        hotter = max(start, self.targets[1])
        mass = thermostat_mass(settings.thermostat_time, hotter, len(self.masses), edge)
        # atoms packed at random fly apart, with more heat than a thermostat can take away
        tags = dynamics_tags(
            left, settings.time_step, start, self.targets[1], None if self.packed else mass
        )
        warm = {"ISTART": 1, "ICHARG": 0} if self.warm else {}
        self.calculation.write(self.folder, {**tags, **warm, **REMEDIES[self.remedy]})
        nelm, _ = self._electronic()
        handlers = dynamics_handlers(supervision, nelm)
        return run_vasp(self.folder, handlers, supervision, self.end), left

    def _take(self, outcome: Outcome, asked: int) -> bool:
        """Take in the steps of a run; whether it ended in good order."""
        new = read_steps(self.folder / "vasprun.xml", *self._electronic())
        finite = bool(np.isfinite(new.energies).all() and np.isfinite(new.forces).all())
        orderly = finite and not outcome.errors and (len(new) == asked or outcome.stopped)
        if not len(new):
            return False
        new = new.unwrapped(self.state.positions)
        hottest = np.nanmax(temperatures(new, self.masses, self.settings.time_step), initial=0.0)
        target = max(self.targets)
        if hottest > 20 * target + 20000:
            raise ExplodedError(f"the temperature rose to {hottest:.0f} K at {target:.0f} K")
        if not orderly:  # what came after the last convergence led astray
            good = np.flatnonzero(new.converged)
            new = new[: int(good[-1]) + 1 if len(good) else 0]
        if not len(new):
            return False
        state = read_state(self.folder / "CONTCAR", new) if orderly else None
        if state is None:
            state = state_after(new, self.state, self.masses, self.settings.time_step)
        if self.state.repeats and self.parts:
            new = new[1:]
        self.parts.append(new)
        self.state = state
        self.warm = (self.folder / "WAVECAR").exists()
        self._report(new)
        return orderly

    def _plan_restart(self, outcome: Outcome, progress: bool) -> None:
        """Choose the next remedy; what broke off for no known reason is first just repeated."""
        self.restarts += 1
        reason = "; ".join(outcome.errors) or "VASP ended early or gave no numbers"
        hopeless = not progress and self.remedy == len(REMEDIES) - 1
        if hopeless or self.restarts > self.level.settings.supervision.restarts:
            if any(error.startswith(REPORTED) for error in outcome.errors):
                raise ExplodedError(reason)  # atoms too close: smaller steps keep them apart
            raise VaspError(
                f"the {self.task.stage} run failed {self.restarts} times, last after {self.done} "
                f"of {self.settings.n_steps} steps ({reason}); see vasp.out and OUTCAR in "
                f"{self.folder}"
            )
        if not progress or self.restarts > 1 or UNCONVERGED in outcome.errors:
            self.remedy = min(self.remedy + 1, len(REMEDIES) - 1)
            self.warm = False
            (self.folder / "WAVECAR").unlink(missing_ok=True)
        logger.warning("%s after %d steps; going on from there", reason, self.done)

    def target(self, step: float) -> float:
        """Temperature wanted after some steps in K."""
        start, end = self.targets
        return start + (end - start) * step / self.settings.n_steps

    def structure(self) -> Structure:
        """Where the dynamics go on: unwrapped, with velocities, in the order it came in."""
        current = self._current(with_velocities=True)
        inverse = np.argsort(self.calculation.order)
        found = Structure.from_sites([current[int(i)] for i in inverse], to_unit_cell=False)
        found.properties[WAVEFUNCTIONS] = str(self.folder)
        return found

    def partial(self, explosions: int) -> PartialSegment:
        """What the next part needs, where time ran out."""
        return PartialSegment(
            structure=self.structure(),
            explosions=explosions,
            packed=self.packed,
            steps=self.steps,
        )

    def document(self, explosions: int) -> SegmentDocument:
        """Output document of the finished segment."""
        steps, settings = self.steps, self.settings
        steps = steps[: settings.n_steps]
        self._require_convergence(steps)
        volume = float(abs(np.linalg.det(steps.cells[-1])))
        masses = self.calculation.ungrouped(self.masses)
        kelvin = temperatures(steps, masses, settings.time_step)
        freedom = max(3, 3 * len(masses) - 3)
        # VASP leaves the kinetic part out; an ideal gas of the moving atoms
        kinetic = freedom * units.kB * kelvin / (3 * volume)
        pressure = np.trace(steps.stresses, axis1=1, axis2=2) / 3 + kinetic * KBAR
        frames = self._frames(steps)
        return SegmentDocument(
            structure=self.structure(),
            engine="vasp",
            temperature=self.target(1),
            end_temperature=self.targets[1],
            time_step=settings.time_step,
            duration=settings.n_steps * settings.time_step,
            sample_interval=settings.sample_stride * settings.time_step,
            volume=volume,
            temperatures=self._means(kelvin, np.ones(len(steps), dtype=bool)),
            pressures=self._means(pressure, steps.converged),
            energies=self._means(steps.energies / len(masses), steps.converged),
            explosions=explosions,
            frames_unconverged=len(steps) // settings.sample_stride - len(frames),
            frames=frames,
        )

    def _require_convergence(self, steps: Steps) -> None:
        bad = float((~steps.converged).mean())
        limit = self.level.settings.melt.max_unconverged
        if bad > limit:
            raise UnconvergedError(
                f"{bad:.0%} of the steps of the {self.task.stage} run went without electronic "
                f"convergence, more than {limit:.0%}; raise vasp.max_electronic_steps or "
                "vasp.smearing, or set vasp.incar=ALGO=Normal"
            )

    def _frames(self, steps: Steps) -> Frames:
        """Sampled frames; those without convergence are computed again, or left out."""
        settings = self.settings
        kept = np.arange(settings.sample_stride - 1, len(steps), settings.sample_stride)
        good = steps.converged[kept]
        numbers = self.calculation.ungrouped(np.array(self.calculation.structure.atomic_numbers))
        chosen = steps[kept]
        frames = Frames(
            counts=np.full(len(kept), len(numbers)),
            numbers=np.tile(numbers, len(kept)),
            cells=chosen.cells,
            positions=np.einsum("tax,txy->tay", chosen.positions, chosen.cells).reshape(-1, 3),
            energies=chosen.energies,
            forces=chosen.forces.reshape(-1, 3),
            stresses=-chosen.stresses / KBAR,
            stages=np.array([self.task.stage] * len(kept), dtype=str),
            temperatures=np.array([self.target(float(step) + 1) for step in kept]),
            times=np.array([self.task.start_time + (i + 1) * settings.time_step for i in kept]),
        )
        if good.all():
            return frames
        if self.level.settings.melt.recompute:
            self._recompute(frames, np.flatnonzero(~good))
            good = np.isfinite(frames.energies)
        return frames[np.flatnonzero(good)]

    def _recompute(self, frames: Frames, bad: NDArray[np.int64]) -> None:
        """Replace energies, forces and stresses of some frames by those of static runs."""
        structures = [
            Structure(
                frames.cells[i], frames[int(i)].numbers.tolist(), frames[int(i)].positions,
                coords_are_cartesian=True, to_unit_cell=False,
            )
            for i in bad
        ]  # fmt: skip
        folder = self.folder / "recomputed"
        folder.mkdir(exist_ok=True)
        labelled = label_frames(folder, structures, self.level, self.end, self.task.stage)
        (folder / "WAVECAR").unlink(missing_ok=True)
        n_atoms = len(self.masses)
        for row, i in enumerate(bad):
            here, there = (slice(k * n_atoms, (k + 1) * n_atoms) for k in (i, row))
            frames.energies[i] = labelled.energies[row]
            frames.forces[here] = labelled.forces[there]
            frames.stresses[i] = labelled.stresses[row]

    def _means(self, values: NDArray[np.float64], usable: NDArray[np.bool_]) -> list[float]:
        """Mean of every sample interval over its usable steps; gaps are interpolated."""
        stride = self.settings.sample_stride
        weights = usable[: len(usable) // stride * stride].reshape(-1, stride).astype(float)
        rows = np.where(usable, values, 0.0)[: weights.size].reshape(-1, stride)
        counts = weights.sum(axis=1)
        known = np.flatnonzero(counts)
        means = rows.sum(axis=1)[known] / counts[known]
        filled: NDArray[np.float64] = np.interp(np.arange(len(counts)), known, means)
        return [float(value) for value in filled]

    def _electronic(self) -> tuple[int, float]:
        """NELM and EDIFF as they are set, the user's own tags included."""
        tags = self.level.incar(self.calculation.basis, self.calculation.symbols, {})
        return int(tags["NELM"]), float(tags["EDIFF"])

    def _has_velocities(self) -> bool:
        given = self.calculation.structure.site_properties.get("velocities")
        known = given is not None and all(v is not None for v in given)
        return known and bool(np.any(given))

    def _first_state(self, fresh: bool) -> State:
        structure = self.calculation.structure
        if fresh and (self.packed or self.task.new_velocities):
            velocities = draw_velocities(self.masses, self.targets[0], self.task.seed)
        else:
            velocities = np.array(structure.site_properties["velocities"], dtype=float)
        state = State(np.array(structure.frac_coords), velocities)
        if self.parts:
            moved = (state.positions - self.parts[-1].positions[-1]) @ structure.lattice.matrix
            state.repeats = bool(np.abs(moved).max() < 1e-4)
        return state

    def _grouped(self, steps: Steps) -> Steps:
        order = self.calculation.order
        return Steps(
            steps.energies, steps.forces[:, order], steps.stresses, steps.cells,
            steps.positions[:, order], steps.kinetic, steps.converged,
        )  # fmt: skip

    def _current(self, with_velocities: bool) -> Structure:
        old = self.calculation.structure
        properties: dict[str, Any] | None = (
            {"velocities": self.state.velocities.tolist()} if with_velocities else None
        )
        return Structure(
            old.lattice, old.species, self.state.positions, to_unit_cell=False,
            site_properties=properties,
        )  # fmt: skip

    def _report(self, new: Steps) -> None:
        kelvin = temperatures(new, self.masses, self.settings.time_step)
        report(
            self.task.stage,
            self.done,
            self.settings.n_steps,
            temperature_K=float(np.nanmean(kelvin)) if len(kelvin) else float("nan"),
            energy_eV_atom=float(new.energies[-1] / len(self.masses)) if len(new) else 0.0,
        )
