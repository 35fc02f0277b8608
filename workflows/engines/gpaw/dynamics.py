"""A segment of molecular dynamics by GPAW."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jobflow import Job, JobConfig, Maker, job
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.documents.plane_waves import PlaneWaves
from workflows.documents.schemas import SegmentDocument
from workflows.engines.gpaw.engine import GpawEngine
from workflows.jobs.idempotency import once
from workflows.stages.dynamics import SegmentSettings

if TYPE_CHECKING:
    from jobflow import OutputReference


@dataclass
class GpawDynamicsMaker(Maker):
    """
    One segment of constant-volume molecular dynamics, as any ASE engine makes it.

    Density and wave functions of a step start those of the next one.

    Parameters
    ----------
    engine
        Its cutoff and k-points may be the reference to what will find them: jobflow waits for
        references in the arguments of a job, not in its maker, so ``make`` moves it there.
    settings
        Length, time step and sampling.
    """

    name: str = "molecular dynamics"
    engine: GpawEngine = field(default_factory=GpawEngine)
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
        Run the segment; arguments and output are those of
        :meth:`workflows.engines.ase.dynamics.AseDynamicsMaker.make`.
        """  # noqa: D205
        bare = replace(self, engine=replace(self.engine, plane_waves=None))
        return bare.run(
            structure, temperature, end_temperature, stage, seed, new_velocities, start_time,
            plane_waves=self.engine.plane_waves,
        )  # fmt: skip

    @job(data=[Frames], config=JobConfig(expose_store=True))
    @once
    def run(
        self,
        structure: Structure,
        temperature: float,
        end_temperature: float,
        stage: str,
        seed: int,
        new_velocities: bool,
        start_time: float,
        plane_waves: PlaneWaves | None = None,
    ) -> SegmentDocument:
        """Run the segment with the cutoff and k-points that were found."""
        from workflows.engines.ase.dynamics import AseDynamicsMaker

        level = replace(self.engine, plane_waves=plane_waves).level("melt")
        return AseDynamicsMaker(engine=level, settings=self.settings).integrate(
            structure, temperature, end_temperature, stage, seed, new_velocities, start_time
        )
