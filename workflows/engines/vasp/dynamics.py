"""A segment of molecular dynamics by VASP."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobflow import Job, JobConfig, Maker, Response, job
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.documents.plane_waves import PlaneWaves
from workflows.documents.schemas import SegmentDocument
from workflows.engines.vasp.continuation import carry_on, part_before
from workflows.engines.vasp.description import describe
from workflows.engines.vasp.errors import ExplodedError, UnconvergedError
from workflows.engines.vasp.execution import job_end, tidy
from workflows.engines.vasp.inputs import drop_wavefunctions
from workflows.engines.vasp.journal import Journal
from workflows.engines.vasp.level import Level
from workflows.engines.vasp.segment import PartialSegment, Plan, Segment, Task
from workflows.engines.vasp.vasprun import Steps
from workflows.jobs.idempotency import stored_output
from workflows.jobs.outputs import checkpoint, discard_checkpoint
from workflows.stages.dynamics import SegmentSettings

if TYPE_CHECKING:
    from jobflow import OutputReference

logger = logging.getLogger(__name__)

#: Times a segment starts over, each time with half the time step, before it gives up.
ATTEMPTS = 3


@dataclass
class VaspDynamicsMaker(Maker):
    """
    One segment of constant-volume molecular dynamics with the Nosé-Hoover thermostat.

    Atoms that come without velocities are freshly packed: their velocities are scaled at each
    step of the segment, until the heat of their first collisions is gone. A run of VASP that
    breaks off or whose electrons stop converging is taken up from its last good step; one that
    explodes starts over with half the time step; one whose time runs out is stopped in good
    order and continued by another job. A launch of a job that was killed, or that failed, goes on
    from the last good step of the launch before it.

    Parameters
    ----------
    level
        How well.
    plane_waves
        What the convergence test found, or the reference to it. jobflow waits for references in
        the arguments of a job, not in its maker, so ``make`` moves it there.
    settings
        Length, time step and sampling.
    """

    name: str = "molecular dynamics"
    level: Level = field(default_factory=Level)
    plane_waves: PlaneWaves | OutputReference | None = None
    settings: SegmentSettings = field(default_factory=lambda: SegmentSettings(10, 2.0, 10, 100.0))

    def make(
        self,
        structure: Structure | OutputReference,
        temperature: float | OutputReference,
        end_temperature: float | OutputReference,
        stage: str,
        seed: int = 0,
        new_velocities: bool = False,
        start_time: float = 0.0,
    ) -> Job:
        """
        Run the segment.

        Parameters
        ----------
        structure
            Start, with velocities in Å/fs if it continues a segment.
        temperature, end_temperature
            Target of the thermostat in K, linear in between.
        stage
            Label of the frames.
        seed
            Seed of new velocities.
        new_velocities
            Draw velocities even if the structure has some.
        start_time
            fs that the segments before it took; frames carry the time of the whole run.

        Returns
        -------
        Job
            Its output is a :class:`SegmentDocument`.
        """
        task = Task(stage, seed, new_velocities, start_time)
        return replace(self, plane_waves=None).run(
            structure, temperature, end_temperature, task, self.plane_waves
        )

    @job(data=[Frames, Steps], config=JobConfig(expose_store=True))
    def run(
        self,
        structure: Structure | None,
        temperature: float,
        end_temperature: float,
        task: Task,
        plane_waves: PlaneWaves | None = None,
    ) -> SegmentDocument | Response:
        """
        Run VASP until the segment is done or time is up.

        Without a structure it continues the part before it.

        Raises
        ------
        ExplodedError
            If it explodes at the smallest time step.
        VaspError
            If VASP fails and no remedy helps.
        """
        found, stored = stored_output()
        if found:
            discard_checkpoint()
        result = stored if found else self._compute(
            structure, temperature, end_temperature, task, plane_waves
        )  # fmt: skip
        if isinstance(result, SegmentDocument):
            return result
        rest = self.run(None, temperature, end_temperature, task, plane_waves)
        return Response(output=result, replace=carry_on(rest))

    def _compute(
        self,
        structure: Structure | None,
        temperature: float,
        end_temperature: float,
        task: Task,
        plane_waves: PlaneWaves | None,
    ) -> SegmentDocument | PartialSegment:
        started = time.time()
        level = replace(self.level, plane_waves=plane_waves)
        targets = (temperature, end_temperature)
        earlier: PartialSegment | None = part_before() if structure is None else None
        start = earlier.structure if earlier else structure
        assert start is not None
        end = job_end(level.settings.supervision, started)
        failure: ExplodedError | None = None
        with checkpoint() as path:
            journal = Journal(path, f"{task} {self.settings} {targets}")
            saved = journal.read()
            first = saved["attempt"] if saved else earlier.explosions if earlier else 0
            for attempt in range(first, ATTEMPTS):
                plan = Plan(level, halved(self.settings, attempt), targets, task)
                segment = Segment(Path.cwd(), start, plan, end, earlier)
                try:
                    return self._finish(segment, journal, attempt, start)
                except ExplodedError as error:
                    logger.warning("%s; starting over with half the time step", error)
                    failure = error
                    journal.drop()
                    if earlier is not None:
                        break  # the start of the segment is not known here
            raise ExplodedError(
                f"the {task.stage} run at {temperature:.0f} K failed at every time step tried, "
                f"last at {plan.settings.time_step:g} fs ({failure}); the start may be too dense: "
                "raise pack.volume_per_atom or pack.min_distance"
            )

    def _finish(
        self, segment: Segment, journal: Journal, attempt: int, start: Structure
    ) -> SegmentDocument | PartialSegment:
        """Take the steps and describe them, or those for which there was time."""
        finished = segment.execute(journal, attempt)
        if not self.level.settings.keep_wavefunctions:
            drop_wavefunctions(start, segment.folder)
        if not finished:
            tidy(segment.folder)
            return segment.partial(explosions=attempt)
        try:
            document = describe(segment, explosions=attempt)
        except UnconvergedError:
            journal.drop()  # these steps are of no use to another launch
            raise
        tidy(segment.folder)
        return document


def halved(settings: SegmentSettings, times: int) -> SegmentSettings:
    """Halve the time step some times; length and sampling stay the same in fs."""
    return replace(
        settings,
        time_step=settings.time_step / 2**times,
        n_steps=settings.n_steps * 2**times,
        sample_stride=settings.sample_stride * 2**times,
    )
