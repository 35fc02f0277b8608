"""Relaxations of cell and positions by VASP, restarted until the basis fits the cell."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from jobflow import Job, JobConfig, Response, job
from pymatgen.core import Structure

from nnp.frames import Frames
from nnp.units import KBAR
from search.relax.limits import RelaxationLimits
from workflows.documents.base import Blob
from workflows.documents.plane_waves import PlaneWaves
from workflows.documents.relaxation import RelaxDocument
from workflows.engines.base import KEPT_INTERVAL, VOLUME_RANGE
from workflows.engines.moments import told
from workflows.engines.vasp.continuation import (
    PartialDocument,
    VaspMaker,
    compute_in_parts,
    previous_part,
)
from workflows.engines.vasp.errors import UNCONVERGED, advise
from workflows.engines.vasp.execution import Outcome, job_end, run_vasp, tidy
from workflows.engines.vasp.incar import REMEDIES, moment_tags, relax_tags
from workflows.engines.vasp.inputs import VaspSetupError
from workflows.engines.vasp.journal import Journal
from workflows.engines.vasp.level import Calculation, Level
from workflows.engines.vasp.moments import read_moments
from workflows.engines.vasp.vasprun import Steps, read_steps
from workflows.jobs.checkpoints import checkpoint
from workflows.jobs.progress import report_progress

if TYPE_CHECKING:
    from jobflow import OutputReference
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

#: Factor on VASP's own force threshold after a run that stopped too early by ours.
TIGHTER = 0.5


class PartialRelax(PartialDocument):
    """A relaxation that ran out of time; the next part goes on."""

    structure: Structure
    steps: int
    frames: Annotated[Frames, Blob]


@dataclass
class VaspRelaxMaker(VaspMaker):
    """
    Relaxation of cell and positions, taken up again until nothing changes.

    VASP keeps its plane waves while the cell changes, so energy and stress at the end of a run
    belong to a basis that no longer fits. The relaxation counts as converged only if the first
    step of a new run, with a basis made for the cell, has forces and stress below the limits; its
    energy is reported.

    Parameters
    ----------
    limits : RelaxationLimits
        Where it ends; the steps are those of all runs together.
    """

    name: str = "relax"
    limits: RelaxationLimits = field(default_factory=RelaxationLimits)

    def make(self, structure: Structure | OutputReference, stage: str) -> Job:
        """Relax; see :class:`workflows.engines.base.RelaxMaker`."""
        return replace(self, plane_waves=None).run(structure, stage, self.plane_waves)

    @job(data=[Frames], config=JobConfig(expose_store=True))
    def run(
        self, structure: Structure | None, stage: str, plane_waves: PlaneWaves | None
    ) -> RelaxDocument | Response:
        """
        Run VASP until the relaxation is done or time is up.

        Without a structure it continues the part before it.
        """
        return compute_in_parts(
            lambda: self._compute(structure, stage, plane_waves),
            lambda: self.run(None, stage, plane_waves),
        )

    def _compute(
        self, structure: Structure | None, stage: str, plane_waves: PlaneWaves | None
    ) -> RelaxDocument | PartialRelax:
        started = time.time()
        level = replace(self.level, plane_waves=plane_waves)
        earlier: PartialRelax | None = previous_part() if structure is None else None
        start = earlier.structure if earlier else structure
        assert start is not None
        end = job_end(level.settings.supervision, started)
        path = _Relaxation(Path.cwd(), start, level, Goal(self.limits, stage, end))
        if earlier is not None:
            path.done, path.kept = earlier.steps, [earlier.frames]
        with checkpoint() as file:
            try:
                finished = path.execute(Journal(file, "relax"))
            except VaspSetupError:
                raise
            except (ArithmeticError, OSError, RuntimeError, ValueError) as error:
                return RelaxDocument(
                    structure=start,
                    pressure=self.limits.pressure,
                    engine=level.engine,
                    steps=path.done,
                    failure=f"{type(error).__name__}: {error}",
                )
            finally:
                (Path.cwd() / "WAVECAR").unlink(missing_ok=True)
                tidy(Path.cwd())
            if not finished:
                return PartialRelax(
                    structure=path.structure(), steps=path.done,
                    frames=Frames.concatenate(path.kept),
                )  # fmt: skip
            return path.document()


class RelaxationError(RuntimeError):
    """VASP failed, or the cell ran away."""


@dataclass(frozen=True)
class Goal:
    """
    Where a relaxation ends, and what it is for.

    Attributes
    ----------
    limits : RelaxationLimits
        Of force, stress and steps.
    stage : str
        Stage of its frames.
    end : float or None
        When the job must be over, in seconds since the epoch; none: never.
    """

    limits: RelaxationLimits
    stage: str
    end: float | None


class _Relaxation:
    """A relaxation on its way: runs of VASP, one after the other."""

    def __init__(self, folder: Path, start: Structure, level: Level, goal: Goal) -> None:
        self.limits = goal.limits
        self.goal = goal
        self.folder = folder
        self.level = level
        self.calculation = Calculation.prepare(start, level)
        self.start_volume = start.volume
        self.done = 0
        self.kept: list[Frames] = []
        self.last: Steps | None = None
        self.moments: list[float] = []
        self.converged = False
        self.threshold = goal.limits.max_force
        self.remedy = 0
        self.failures = 0
        (folder / "WAVECAR").unlink(missing_ok=True)

    def execute(self, journal: Journal) -> bool:
        """Run VASP until converged or out of steps; whether that is reached before time is up."""
        self._take_up(journal.read())
        while not self.converged and self.done < self.limits.max_steps:
            # or a launch after this one might take the steps of the run before once more
            (self.folder / "vasprun.xml").unlink(missing_ok=True)
            journal.write({**self._saved(), "running": True})
            outcome = self._run()
            steps = self._read(self.folder)
            reason = "; ".join(outcome.errors)
            if len(steps):
                self._take(steps, self.folder)
                journal.write({**self._saved(), "running": False})
            elif outcome.stopped:
                raise RelaxationError(
                    "time ran out before a single step was done; raise the time limit of the "
                    "job, vasp.supervision.walltime"
                )
            if self.converged:
                return True
            if outcome.stopped:
                return False
            if reason or not len(steps):
                self._note_failure(outcome)
            elif len(steps) == 1:
                self.threshold *= TIGHTER  # satisfied by VASP's measure, but not by ours
        return True

    def _saved(self) -> dict[str, Any]:
        """What another launch needs to go on."""
        structure = self.calculation.structure
        return {
            "cell": structure.lattice.matrix,
            "positions": structure.frac_coords,
            "done": self.done,
            "kept": Frames.concatenate(self.kept).as_dict() if self.kept else None,
            "last": dict(vars(self.last)) if self.last is not None else None,
            "moments": self.moments,
            "converged": self.converged,
            "threshold": self.threshold,
            "folder": str(self.folder.resolve()),
        }

    def _take_up(self, saved: dict[str, Any] | None) -> None:
        """Go on from where an earlier launch was, the run in which it was killed included."""
        if saved is None:
            return
        self._move(saved["cell"], saved["positions"])
        self.done, self.threshold = saved["done"], saved["threshold"]
        self.kept = [Frames.from_dict(saved["kept"])] if saved["kept"] else []
        self.last = Steps(**saved["last"]) if saved["last"] else None
        self.moments = saved.get("moments", [])
        self.converged = saved["converged"]
        folder = Path(saved["folder"])
        if saved["running"] and len(steps := self._read(folder)):
            self._take(steps, folder)
        logger.info("%d steps of an earlier launch are kept", self.done)

    def _run(self) -> Outcome:
        """Run VASP from the present configuration."""
        from workflows.engines.vasp.handlers import crystal_handlers

        supervision = self.level.settings.supervision
        left = self.limits.max_steps - self.done
        tags = {
            **relax_tags(self.threshold, left, self.limits.pressure),
            **moment_tags(self.level.settings.magnetic),
        }
        # orbitals start the next run; it makes a new basis for them all the same
        warm = (self.folder / "WAVECAR").exists() and not self.remedy
        start = {"ISTART": 1, "ICHARG": 0} if warm else {}
        self.calculation.write(self.folder, {**tags, **start, **REMEDIES[self.remedy]})
        return run_vasp(self.folder, crystal_handlers(supervision), supervision, self.goal.end)

    def _read(self, folder: Path) -> Steps:
        """Steps of a run up to the last converged one."""
        incar = self.level.incar(self.calculation.basis, self.calculation.symbols, {})
        steps = read_steps(folder / "vasprun.xml", int(incar["NELM"]), float(incar["EDIFF"]))
        good = np.flatnonzero(~steps.converged)
        return steps[: int(good[0])] if len(good) else steps

    def _note_failure(self, outcome: Outcome) -> None:
        self.failures += 1
        self.remedy = min(self.remedy + 1, len(REMEDIES) - 1)
        (self.folder / "WAVECAR").unlink(missing_ok=True)
        if self.failures > self.level.settings.supervision.restarts:
            errors = outcome.errors or (UNCONVERGED,)
            raise RelaxationError(
                f"VASP failed {self.failures} times ({'; '.join(errors)}); "
                f"{advise(errors, self.folder)}"
            )

    def _passes(self, steps: Steps) -> bool:
        force, stress = self._largest(steps)
        return force <= self.limits.max_force and stress <= self.limits.max_stress

    def _take(self, steps: Steps, folder: Path) -> None:
        """Take in the steps of a run, of a converged one the first, and go on from the last."""
        if self.level.settings.magnetic:
            self.moments = read_moments(folder / "OUTCAR")
        self.converged = self._passes(steps[:1])
        steps = steps[:1] if self.converged else steps
        volume = float(abs(np.linalg.det(steps.cells[-1]))) / self.start_volume
        if not VOLUME_RANGE[0] < volume < VOLUME_RANGE[1]:
            raise RelaxationError("the volume changed more than fivefold")
        chosen = sorted({*range(0, len(steps), KEPT_INTERVAL), len(steps) - 1})
        self.kept.append(self._frames(steps[np.array(chosen)]))
        self.done += len(steps)
        self.last = steps[-1:]
        self._move(steps.cells[-1], steps.positions[-1])
        force, stress = self._largest(self.last)
        report_progress(
            self.goal.stage, self.done, self.limits.max_steps,
            force_eV_A=force, stress_kbar=stress,
        )  # fmt: skip

    def _move(self, cell: NDArray[np.float64], positions: NDArray[np.float64]) -> None:
        """Go on from a configuration, with k-points and cutoff made for it."""
        self.calculation.structure = Structure(
            cell, self.calculation.structure.species, positions, to_unit_cell=False
        )
        basis = self.level.basis(self.calculation.structure, self.calculation.potentials)
        if basis.mesh != self.calculation.basis.mesh:  # orbitals are of other k-points
            (self.folder / "WAVECAR").unlink(missing_ok=True)
        self.calculation.basis = basis

    def _frames(self, steps: Steps) -> Frames:
        structure = self.calculation.structure
        numbers = self.calculation.ungrouped(np.array(structure.atomic_numbers))
        positions = np.einsum("tax,txy->tay", steps.positions, steps.cells)
        n = len(steps)
        return Frames(
            counts=np.full(n, len(numbers)),
            numbers=np.tile(numbers, n),
            cells=steps.cells,
            positions=self.calculation.ungrouped(positions, axis=1).reshape(-1, 3),
            energies=steps.energies,
            forces=self.calculation.ungrouped(steps.forces, axis=1).reshape(-1, 3),
            stresses=-steps.stresses / KBAR,
            stages=np.array([self.goal.stage] * n, dtype=str),
            temperatures=np.full(n, np.nan),
            times=np.full(n, np.nan),
        )

    def structure(self) -> Structure:
        """Configuration now, in the order of atoms in which it came."""
        current = self.calculation.structure
        inverse = np.argsort(self.calculation.order)
        return Structure.from_sites([current[int(i)] for i in inverse], to_unit_cell=False)

    def document(self) -> RelaxDocument:
        """Output document of the finished relaxation."""
        if self.last is None:
            raise RelaxationError("no step of the relaxation was allowed; raise max_steps")
        force, stress = self._largest(self.last)
        return RelaxDocument(
            structure=self.structure(),
            pressure=self.limits.pressure,
            engine=self.level.engine,
            energy=float(self.last.energies[-1]) / len(self.calculation.structure),
            max_force=force,
            max_stress=stress,
            converged=self.converged,
            steps=self.done,
            magnetic_moments=self._moments(),
            frames=Frames.concatenate(self.kept),
        )

    def _moments(self) -> list[float] | None:
        """Magnetic moments (μB) in the order of atoms in which the structure came."""
        n = len(self.calculation.structure)
        if len(self.moments) != n:
            return None
        return told(self.calculation.ungrouped(np.array(self.moments)), n)

    def _largest(self, steps: Steps) -> tuple[float, float]:
        """Largest force on an atom (eV/Å) and stress not balanced (kbar) of the last step."""
        force = float(np.linalg.norm(steps.forces[-1], axis=1).max())
        left = steps.stresses[-1] - self.limits.pressure * np.eye(3)
        return force, float(np.abs(left).max())
