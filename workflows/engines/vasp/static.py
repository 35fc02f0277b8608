"""Energies, forces and stresses of given configurations by VASP, many in one job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from jobflow import Job, JobConfig, Response, job
from pydantic import Field
from pymatgen.core import Structure

from nnp.frames import Frames
from nnp.units import KBAR
from workflows.conversion import to_structures
from workflows.documents.base import Blob
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.vasp.continuation import (
    PartialDocument,
    VaspMaker,
    compute_in_parts,
    previous_part,
)
from workflows.engines.vasp.errors import (
    ELECTRONIC,
    POSITIVE,
    UNCONVERGED,
    TimeOverError,
    VaspError,
    advise,
)
from workflows.engines.vasp.execution import job_end, run_vasp, seconds_left, tidy
from workflows.engines.vasp.incar import REMEDIES, static_tags
from workflows.engines.vasp.journal import Journal
from workflows.engines.vasp.level import Calculation, Level
from workflows.engines.vasp.vasprun import Steps, read_steps
from workflows.jobs.checkpoints import checkpoint
from workflows.jobs.interruption import external_program
from workflows.jobs.progress import report_progress

if TYPE_CHECKING:
    from jobflow import OutputReference

#: Why a configuration was not evaluated that another job can do.
TIME_OVER = "the time of the job was over"


class PartialStatic(PartialDocument):
    """Static runs of a job that ran out of time; the next part does the rest."""

    finished: int = Field(description="configurations done")
    frames: Annotated[Frames, Blob]


def evaluate(
    folder: Path, structure: Structure, level: Level, warm: bool, end: float | None
) -> Steps | str:
    """
    Evaluate one configuration, with slower minimisers where the electrons do not converge.

    Parameters
    ----------
    folder : Path
        Where VASP runs.
    structure : Structure
        Configuration.
    level : Level
        How well.
    warm : bool
        Start from the wave functions in the folder.
    end : float or None
        When the job must be over, in seconds since the epoch.

    Returns
    -------
    Steps or str
        One step, its atoms in the order of the structure, or why no remedy helped.
    """
    from workflows.engines.vasp.handlers import crystal_handlers

    settings = level.settings
    calculation = Calculation.prepare(structure, level)
    if not warm:
        (folder / "WAVECAR").unlink(missing_ok=True)
    for number, remedy in enumerate(REMEDIES):
        start = {"ISTART": 1, "ICHARG": 0} if warm and number == 0 else {}
        calculation.write(folder, {**static_tags(), **start, **remedy})
        outcome = run_vasp(
            folder, crystal_handlers(settings.supervision), settings.supervision, end
        )
        incar = calculation.level.incar(calculation.basis, calculation.symbols, {})
        steps = read_steps(folder / "vasprun.xml", int(incar["NELM"]), float(incar["EDIFF"]))
        if len(steps) and steps.converged[-1]:
            last = steps[-1:]
            last.forces = calculation.ungrouped(last.forces, axis=1)
            last.positions = calculation.ungrouped(last.positions, axis=1)
            return last
        (folder / "WAVECAR").unlink(missing_ok=True)
        if outcome.stopped:
            return TIME_OVER
    positive = bool(len(steps)) and steps.energies[-1] > 0
    reasons = outcome.errors or (POSITIVE if positive else UNCONVERGED,)
    return f"{'; '.join(reasons)}: {advise(reasons, folder)}"


def to_frames(
    structures: Sequence[Structure], results: Sequence[Steps | str], stage: str
) -> Frames:
    """
    Join configurations and what VASP said of them.

    Parameters
    ----------
    structures : sequence of Structure
        Configurations; their positions are kept as they are, unwrapped.
    results : sequence of Steps or str
        One for each; energies, forces and stresses are NaN where there are none.
    stage : str
        Label of the frames.
    """
    counts = [len(structure) for structure in structures]
    n = len(counts)
    nothing = np.nan
    return Frames(
        counts=np.array(counts, dtype=np.int64),
        numbers=np.concatenate([np.array(s.atomic_numbers) for s in structures])
        if n else np.zeros(0, dtype=np.int64),
        cells=np.array([s.lattice.matrix for s in structures]).reshape(n, 3, 3),
        positions=np.concatenate([s.cart_coords for s in structures]) if n else np.zeros((0, 3)),
        energies=np.array([nothing if isinstance(r, str) else r.energies[0] for r in results]),
        forces=np.concatenate(
            [np.full((c, 3), nothing) if isinstance(r, str) else r.forces[0]
             for c, r in zip(counts, results, strict=True)]
        ) if n else np.zeros((0, 3)),
        stresses=np.array(
            [
                np.full((3, 3), nothing) if isinstance(r, str) else -r.stresses[0] / KBAR
                for r in results
            ]
        ).reshape(n, 3, 3),
        stages=np.array([stage] * n, dtype=str),
        temperatures=np.full(n, nothing),
        times=np.full(n, nothing),
    )  # fmt: skip


@dataclass
class VaspStaticMaker(VaspMaker):
    """
    Single evaluations, one after the other in one folder.

    Orbitals of a configuration start those of the next one if it has the same atoms and cell, as
    snapshots of a trajectory have.
    """

    name: str = "static"

    def make(self, structures: list[Structure] | Frames | OutputReference, stage: str) -> Job:
        """Evaluate; see :class:`workflows.engines.base.StaticMaker`."""
        return replace(self, plane_waves=None).evaluate_all(structures, stage, self.plane_waves)

    @job(data=[Frames], config=JobConfig(expose_store=True))
    def evaluate_all(
        self,
        structures: list[Structure] | Frames,
        stage: str,
        plane_waves: PlaneWaves | None,
        continued: bool = False,
    ) -> Frames | Response:
        """Run VASP for each configuration, as far as time permits."""
        given = to_structures(structures) if isinstance(structures, Frames) else structures
        return compute_in_parts(
            lambda: self._compute(given, stage, plane_waves, continued),
            lambda: self.evaluate_all(structures, stage, plane_waves, continued=True),
        )

    def _compute(
        self,
        structures: list[Structure],
        stage: str,
        plane_waves: PlaneWaves | None,
        continued: bool,
    ) -> Frames | PartialStatic:
        started = time.time()
        level = replace(self.level, plane_waves=plane_waves)
        earlier: PartialStatic | None = previous_part() if continued else None
        done = earlier.finished if earlier else 0
        frames = earlier.frames if earlier else to_frames([], [], stage)
        end = job_end(level.settings.supervision, started)
        folder, longest, warm = Path.cwd(), 0.0, False
        result: Steps | str | None = None
        with checkpoint() as path:
            journal = Journal(path, f"{stage} {len(structures)}")
            if saved := journal.read():
                done, frames = saved["done"], Frames.from_dict(saved["frames"])
            first = done
            while done < len(structures):
                buffer = level.settings.supervision.buffer
                if done > first and seconds_left(end) < 2 * longest + buffer:
                    break
                begun = time.time()
                warm = warm and _alike(structures, done)
                result = evaluate(folder, structures[done], level, warm, end)
                if result == TIME_OVER and done > first:
                    break
                warm = isinstance(result, Steps)
                new = to_frames(structures[done : done + 1], [result], stage)
                done, frames = done + 1, Frames.concatenate([frames, new])
                journal.write({"done": done, "frames": frames.as_dict()})
                longest = max(longest, time.time() - begun)
                report_progress(stage, done, len(structures))
            (folder / "WAVECAR").unlink(missing_ok=True)
            if (
                isinstance(result, str)
                and not result.startswith(ELECTRONIC)
                and not np.isfinite(frames.energies).any()
            ):
                journal.drop()
                raise VaspError(f"VASP failed for all of {done} configurations ({result})")
            tidy(folder)
        if done < len(structures):
            return PartialStatic(finished=done, frames=frames)
        return frames


def label_frames(
    folder: Path, structures: Sequence[Structure], level: Level, end: float | None, stage: str
) -> Frames:
    """Label configurations within another job."""
    return to_frames(
        structures,
        [evaluate(folder, structure, level, warm=False, end=end) for structure in structures],
        stage,
    )


def label_one_by_one(frames: Frames, level: Level) -> Iterator[Frames | str]:
    """
    Label configurations in the current folder, for whoever keeps what is done between them.

    Parameters
    ----------
    frames : Frames
        Configurations; what they have of energies, forces and stresses is ignored.
    level : Level
        How well.

    Yields
    ------
    Frames or str
        The labelled configuration, or why it has no labels.

    Raises
    ------
    TimeOverError
        If the job's time will not do for the next one.
    """
    folder, supervision = Path.cwd(), level.settings.supervision
    end, longest = job_end(supervision, time.time()), 0.0
    structures = to_structures(frames)
    warm = False
    for number, (frame, structure) in enumerate(zip(frames, structures, strict=True)):
        if number and seconds_left(end) < 2 * longest + supervision.buffer:
            raise TimeOverError(_kept(number, len(frames)))
        begun = time.time()
        warm = warm and _alike(structures, number)
        with external_program():
            result = evaluate(folder, structure, level, warm, end)
        warm = isinstance(result, Steps)
        longest = max(longest, time.time() - begun)
        if result == TIME_OVER and number:
            raise TimeOverError(_kept(number, len(frames)))
        if isinstance(result, str):
            yield result
            continue
        labelled = to_frames([structure], [result], str(frame.stages[0]))
        yield replace(labelled, temperatures=frame.temperatures, times=frame.times)


def _kept(done: int, wanted: int) -> str:
    return (
        f"{done} of {wanted} configurations were labelled in the time of the job; "
        "they are kept, and another launch of the same Firework does the rest"
    )


def _alike(structures: Sequence[Structure], number: int) -> bool:
    """Whether a configuration has the atoms and the cell of the one before it."""
    here, before = structures[number], structures[number - 1]
    return here.species == before.species and np.allclose(
        here.lattice.matrix, before.lattice.matrix, atol=1e-6
    )
