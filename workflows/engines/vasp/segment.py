"""The steps of one segment of dynamics: run, taken up again after what may go wrong."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field
from pymatgen.core import Structure

from workflows.documents.base import Blob
from workflows.engines.base import ExplodedError, highest_temperature
from workflows.engines.vasp.continuation import PartialDocument
from workflows.engines.vasp.errors import (
    ELECTRONIC,
    JOB_KILLED,
    NOT_FINITE,
    POSITIVE,
    REPORTED,
    UNCONVERGED,
    VaspError,
    advise,
)
from workflows.engines.vasp.execution import Outcome, run_vasp
from workflows.engines.vasp.incar import REMEDIES, dynamics_tags, thermostat_mass
from workflows.engines.vasp.inputs import WAVEFUNCTIONS, copy_wavefunctions, fetch_wavefunctions
from workflows.engines.vasp.journal import Journal
from workflows.engines.vasp.level import Calculation, Level
from workflows.engines.vasp.trajectory import (
    State,
    draw_velocities,
    read_state,
    state_after,
    temperatures,
)
from workflows.engines.vasp.vasprun import Steps, read_steps
from workflows.jobs.progress import report_progress

if TYPE_CHECKING:
    from workflows.engines.base import DynamicsTask, SegmentSettings

logger = logging.getLogger(__name__)

#: Factor on the steps with energies above zero that end a run, where atoms were packed at random
#: and may begin on top of each other.
PACKED_PATIENCE = 10


@dataclass(frozen=True)
class Plan:
    """
    What a segment is to do.

    Attributes
    ----------
    level : Level
        How well.
    settings : SegmentSettings
        Length, time step and sampling.
    task : DynamicsTask
        What it is for.
    """

    level: Level
    settings: SegmentSettings
    task: DynamicsTask

    def target(self, step: float) -> float:
        """Temperature wanted after some steps in K."""
        start, end = self.task.targets
        return start + (end - start) * step / self.settings.n_steps


class PartialSegment(PartialDocument):
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
    folder : Path
        Where VASP runs.
    start : Structure
        Configuration, with velocities if it has any.
    plan : Plan
        What is to be done.
    end : float or None
        When the job must be over, in seconds since the epoch; none: no limit.
    earlier : PartialSegment or None
        What an earlier part took; the start is where that part ended.
    """

    def __init__(
        self,
        folder: Path,
        start: Structure,
        plan: Plan,
        end: float | None,
        earlier: PartialSegment | None = None,
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.end = end
        self.calculation = Calculation.prepare(start, plan.level)
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

    def execute(self, journal: Journal, attempt: int) -> bool:
        """
        Take the steps.

        Parameters
        ----------
        journal : Journal
            Has what an earlier launch did, and gets what is done here.
        attempt : int
            Times that the time step was halved before.

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
        self._take_up(journal.read())
        while self.done < self.plan.settings.n_steps:
            left = self.plan.settings.n_steps - self.done + self.state.repeats
            # or a launch after this one might take the steps of the run before once more
            (self.folder / "vasprun.xml").unlink(missing_ok=True)
            journal.write({**self._saved(), "attempt": attempt, "asked": left})
            outcome = self._run(left)
            before, repeats = self.done, self.state.repeats
            outcome = self._take(self.folder, outcome, left)
            journal.write({**self._saved(), "attempt": attempt, "asked": 0})
            # the first step after a kill is one that was done before
            if outcome.stopped and self.done == before and not repeats:
                raise VaspError(
                    f"time ran out before a single step of the {self.plan.task.stage} run was "
                    "done; raise the time limit of the job, vasp.supervision.walltime"
                )
            if outcome.stopped:
                return self.done >= self.plan.settings.n_steps
            if outcome.errors:
                self._plan_restart(outcome, progress=self.done > before)
        return True

    def _saved(self) -> dict[str, Any]:
        """What another launch needs to go on."""
        return {
            "parts": [dict(vars(part)) for part in self.parts],
            "state": dict(vars(self.state)),
            "packed": self.packed,
            "folder": str(self.folder.resolve()),
        }

    def _take_up(self, saved: dict[str, Any] | None) -> None:
        """Go on from where an earlier launch was, the run in which it was killed included."""
        if saved is None:
            return
        self.parts = [Steps(**part) for part in saved["parts"]]
        self.state = State(**saved["state"])
        self.packed = saved["packed"]
        folder = Path(saved["folder"])
        if saved["asked"]:
            self._take(folder, Outcome(errors=(JOB_KILLED,)), saved["asked"])
        copied = copy_wavefunctions(folder, self.folder)
        self.warm = copied or (self.folder / "WAVECAR").exists()
        logger.info("%d steps of an earlier launch are kept", self.done)

    def _run(self, left: int) -> Outcome:
        """Run VASP for the steps that are left."""
        from workflows.engines.vasp.handlers import dynamics_handlers

        settings, supervision = self.plan.settings, self.plan.level.settings.supervision
        start, last = self.plan.target(self.done), self.plan.task.targets[1]
        self.calculation.structure = self._current()
        edge = float(np.linalg.norm(self.calculation.structure.lattice.matrix[0]))
        mass = thermostat_mass(
            settings.thermostat_time, max(start, last), len(self.masses), edge
        )  # fmt: skip
        # atoms packed at random fly apart, with more heat than a thermostat can take away
        tags = dynamics_tags(left, settings.time_step, start, last, None if self.packed else mass)
        warm = {"ISTART": 1, "ICHARG": 0} if self.warm else {}
        self.calculation.write(self.folder, {**tags, **warm, **REMEDIES[self.remedy]})
        nelm, _ = self.electronic()
        handlers = dynamics_handlers(supervision, nelm, self._positive_in_a_row)
        return run_vasp(self.folder, handlers, supervision, self.end)

    def _take(self, folder: Path, outcome: Outcome, asked: int) -> Outcome:
        """Take in the good steps of a run; how it ended, with errors if it must be taken up."""
        highest = np.inf if self.packed else 0.0
        new = read_steps(folder / "vasprun.xml", *self.electronic(), highest_energy=highest)
        outcome = self._judged(outcome, new, asked)
        if not len(new):
            return outcome
        new = new.unwrapped(self.state.positions)
        self._require_cold(new)
        if outcome.errors:  # what came after the last convergence led astray
            good = np.flatnonzero(new.converged)
            new = new[: int(good[-1]) + 1 if len(good) else 0]
        if not len(new):
            return outcome
        state = None if outcome.errors else read_state(folder / "CONTCAR", new)
        if state is None:
            state = state_after(new, self.state, self.masses, self.plan.settings.time_step)
        if self.state.repeats and self.parts:
            new = new[1:]
        self.parts.append(new)
        self.state = state
        self.warm = (folder / "WAVECAR").exists()
        self._report(new)
        return outcome

    def _judged(self, outcome: Outcome, new: Steps, asked: int) -> Outcome:
        """Add to the errors of a run what its steps show."""
        if outcome.errors:
            return outcome
        in_a_row = self.plan.level.settings.supervision.unconverged_in_a_row
        positive = new.energies[-self._positive_in_a_row :] > 0
        error = ""
        if not (np.isfinite(new.energies).all() and np.isfinite(new.forces).all()):
            error = NOT_FINITE
        elif len(positive) == self._positive_in_a_row and positive.all():
            error = POSITIVE
        elif len(new) >= in_a_row and not new.converged[-in_a_row:].any():
            error = UNCONVERGED
        elif len(new) != asked and not outcome.stopped:
            error = "VASP ended early"
        return Outcome(outcome.stopped, (error,)) if error else outcome

    @property
    def _positive_in_a_row(self) -> int:
        """Steps with energies above zero that show electrons astray."""
        in_a_row = self.plan.level.settings.supervision.unconverged_in_a_row
        return in_a_row * PACKED_PATIENCE if self.packed else in_a_row

    def _require_cold(self, new: Steps) -> None:
        kelvin = temperatures(new, self.masses, self.plan.settings.time_step)
        hottest, target = np.nanmax(kelvin, initial=0.0), max(self.plan.task.targets)
        if hottest > highest_temperature(target):
            raise ExplodedError(f"the temperature rose to {hottest:.0f} K at {target:.0f} K")

    def _plan_restart(self, outcome: Outcome, progress: bool) -> None:
        """Choose the next remedy; what broke off for no known reason is first just repeated."""
        self.restarts += 1
        reason = "; ".join(outcome.errors)
        hopeless = not progress and self.remedy == len(REMEDIES) - 1
        if hopeless or self.restarts > self.plan.level.settings.supervision.restarts:
            too_close = self.packed and POSITIVE in outcome.errors
            if too_close or any(error.startswith(REPORTED) for error in outcome.errors):
                raise ExplodedError(reason)  # atoms too close: smaller steps keep them apart
            raise VaspError(
                f"the {self.plan.task.stage} run failed {self.restarts} times, last after "
                f"{self.done} of {self.plan.settings.n_steps} steps ({reason}); "
                f"{advise(outcome.errors, self.folder)}; then run this Firework again: it goes on "
                "from the last good step"
            )
        if not progress or self.restarts > 1 or any(e in ELECTRONIC for e in outcome.errors):
            self.remedy = min(self.remedy + 1, len(REMEDIES) - 1)
            self.warm = False
            (self.folder / "WAVECAR").unlink(missing_ok=True)
        logger.warning("%s after %d steps; going on from there", reason, self.done)

    def structure(self) -> Structure:
        """Where the dynamics go on: unwrapped, with velocities, in the order it came in."""
        current = self._current()
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

    def electronic(self) -> tuple[int, float]:
        """NELM and EDIFF as they are set, the user's own tags included."""
        tags = self.plan.level.incar(self.calculation.basis, self.calculation.symbols, {})
        return int(tags["NELM"]), float(tags["EDIFF"])

    def _has_velocities(self) -> bool:
        given = self.calculation.structure.site_properties.get("velocities")
        known = given is not None and all(v is not None for v in given)
        return known and bool(np.any(given))

    def _first_state(self, fresh: bool) -> State:
        structure, task = self.calculation.structure, self.plan.task
        if fresh and (self.packed or task.new_velocities):
            velocities = draw_velocities(self.masses, self.plan.task.targets[0], task.seed)
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

    def _current(self) -> Structure:
        """Configuration now, with velocities, atoms grouped by element."""
        old = self.calculation.structure
        return Structure(
            old.lattice, old.species, self.state.positions, to_unit_cell=False,
            site_properties={"velocities": self.state.velocities.tolist()},
        )  # fmt: skip

    def _report(self, new: Steps) -> None:
        kelvin = temperatures(new, self.masses, self.plan.settings.time_step)
        report_progress(
            self.plan.task.stage,
            self.done,
            self.plan.settings.n_steps,
            temperature_K=float(np.nanmean(kelvin)) if len(kelvin) else float("nan"),
            energy_eV_atom=float(new.energies[-1] / len(self.masses)) if len(new) else 0.0,
        )
