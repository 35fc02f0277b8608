"""A segment of molecular dynamics by VASP."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobflow import Job, JobConfig, Response, job
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.base import ATTEMPTS, DynamicsTask, ExplodedError, SegmentSettings
from workflows.engines.vasp.continuation import VaspMaker, compute_in_parts, previous_part
from workflows.engines.vasp.description import describe
from workflows.engines.vasp.errors import UnconvergedError
from workflows.engines.vasp.execution import job_end, tidy
from workflows.engines.vasp.inputs import drop_wavefunctions
from workflows.engines.vasp.journal import Journal
from workflows.engines.vasp.segment import PartialSegment, Plan, Segment
from workflows.engines.vasp.vasprun import Steps
from workflows.jobs.checkpoints import checkpoint

if TYPE_CHECKING:
    from jobflow import OutputReference

logger = logging.getLogger(__name__)


@dataclass
class VaspDynamicsMaker(VaspMaker):
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
    settings : SegmentSettings
        Length, time step and sampling.
    """

    name: str = "molecular dynamics"
    settings: SegmentSettings = field(default_factory=SegmentSettings)

    def make(self, structure: Structure | OutputReference, task: DynamicsTask) -> Job:
        """Run the segment; see :class:`workflows.engines.base.SegmentMaker`."""
        return replace(self, plane_waves=None).run(structure, task, self.plane_waves)

    @job(data=[Frames, Steps], config=JobConfig(expose_store=True))
    def run(
        self, structure: Structure | None, task: DynamicsTask, plane_waves: PlaneWaves | None
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
        return compute_in_parts(
            lambda: self._compute(structure, task, plane_waves),
            lambda: self.run(None, task, plane_waves),
        )

    def _compute(
        self, structure: Structure | None, task: DynamicsTask, plane_waves: PlaneWaves | None
    ) -> SegmentDocument | PartialSegment:
        started = time.time()
        level = replace(self.level, plane_waves=plane_waves)
        earlier: PartialSegment | None = previous_part() if structure is None else None
        start = earlier.structure if earlier else structure
        assert start is not None
        end = job_end(level.settings.supervision, started)
        failure: ExplodedError | None = None
        with checkpoint() as path:
            journal = Journal(path, f"{task} {self.settings}")
            saved = journal.read()
            first = saved["attempt"] if saved else earlier.explosions if earlier else 0
            for attempt in range(first, ATTEMPTS):
                plan = Plan(level, self.settings.halved(attempt), task)
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
                f"the {task.stage} run at {task.targets[0]:.0f} K failed at every time step tried, "
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
