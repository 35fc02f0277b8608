"""A segment of molecular dynamics by GPAW."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jobflow import Job, JobConfig, Maker, job
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.ase.dynamics import AseDynamicsMaker
from workflows.engines.base import DynamicsTask, SegmentSettings
from workflows.engines.gpaw.level import GpawLevel
from workflows.jobs.idempotency import once

if TYPE_CHECKING:
    from jobflow import OutputReference


@dataclass
class GpawDynamicsMaker(Maker):
    """
    One segment of constant-volume molecular dynamics, as any ASE engine makes it.

    Density and wave functions of a step start those of the next one.

    Parameters
    ----------
    level : GpawLevel
        How well.
    plane_waves : PlaneWaves, OutputReference or None
        Cutoff and k-points, or the reference to what will find them: jobflow waits for references
        in the arguments of a job, not in its maker, so ``make`` moves it there.
    settings : SegmentSettings
        Length, time step and sampling.
    """

    name: str = "molecular dynamics"
    level: GpawLevel = field(default_factory=GpawLevel)
    plane_waves: PlaneWaves | OutputReference | None = None
    settings: SegmentSettings = field(default_factory=SegmentSettings)

    def make(self, structure: Structure | OutputReference, task: DynamicsTask) -> Job:
        """Run the segment; see :class:`workflows.engines.base.SegmentMaker`."""
        return replace(self, plane_waves=None).run(structure, task, self.plane_waves)

    @job(data=[Frames], config=JobConfig(expose_store=True))
    @once
    def run(
        self, structure: Structure, task: DynamicsTask, plane_waves: PlaneWaves | None
    ) -> SegmentDocument:
        """Run the segment with the cutoff and k-points that were found."""
        level = replace(self.level, plane_waves=plane_waves)
        return AseDynamicsMaker(engine=level, settings=self.settings).integrate(structure, task)
