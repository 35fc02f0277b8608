"""Are the energies and forces of the training set good enough? A few frames computed better."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Job, JobConfig, Maker, OnMissing, Response, job

from nnp.frames import Frames
from nnp.units import KBAR
from workflows.documents.convergence import CheckDocument
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.base import Engine
from workflows.engines.registry import settings_branch
from workflows.jobs.idempotency import replace_by
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference


class InaccurateError(RuntimeError):
    """The training set is farther from converged calculations than was allowed."""


@dataclass
class CheckMaker(Maker):
    """
    Recompute some frames of the training set with more plane waves and k-points.

    Energies of two calculations differ by much more than they matter: what counts for ranking
    structures is what is left when the mean difference is taken away. Both are reported, since
    the paper does not say which one it means.

    Parameters
    ----------
    n_frames : int
        How many, drawn at random.
    cutoff : float
        eV
    mesh : int
        Divisions of the reciprocal cell in each direction.
    max_energy, max_force : float
        Mean absolute errors in meV/atom, after the shift, and eV/Å beyond which there is a
        warning: those of the paper.
    batch : int
        Frames computed by one job.
    strict : bool
        Stop before the training in place of the warning.
    """

    name: str = "check"
    n_frames: int = field(
        default=30, metadata={"range": (0, 10_000), "help": "recomputed; 0: no check"}
    )
    cutoff: float = field(default=700.0, metadata={"range": (50.0, 5000.0), "unit": "eV"})
    mesh: int = field(default=3, metadata={"range": (1, 20), "help": "divisions in each direction"})
    max_energy: float = field(default=4.0, metadata={"range": (0.001, 1000.0), "unit": "meV/atom"})
    max_force: float = field(default=0.12, metadata={"range": (1e-4, 10.0), "unit": "eV/Å"})
    batch: int = field(default=6, metadata={"range": (1, 1000), "help": "frames of one job"})
    strict: bool = field(default=False, metadata={"help": "stop in place of a warning"})

    def make(self, frames: Frames | OutputReference, engine: Engine, seed: int) -> Job:
        """
        Check.

        Parameters
        ----------
        frames : Frames or OutputReference
            Training set.
        engine : Engine
            Reference engine; it has plane waves.
        seed : int
            Seed of the campaign.

        Returns
        -------
        Job
            Its output is a :class:`CheckDocument`.
        """
        return tag(
            self.recompute(frames, engine, derive_seed(seed, "check")),
            STAGES["check"],
            name="check",
        )

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost; half of the k-points are those of the other half, by symmetry in time."""
        number = min(self.n_frames, context.n_frames)
        k_points = max(1.0, self.mesh**3 / 2)
        hours = number * k_points * context.step_hours(context.reference, context.n_atoms)
        batches = math.ceil(number / self.batch)
        return [
            Cost("check", REFERENCE_QUEUE, batches, number, hours),
            repeated_decisions("check", 1),
        ]

    @job
    def recompute(self, frames: Frames, engine: Engine, seed: int) -> Response:
        """Draw frames and make the jobs that compute them better."""
        number = min(self.n_frames, len(frames))
        drawn = np.random.default_rng(seed).choice(len(frames), size=number, replace=False)
        chosen = frames[np.sort(drawn)]
        better = engine.with_plane_waves(self.plane_waves())
        runs = []
        for first in range(0, number, self.batch):
            part = chosen[first : first + self.batch]
            run = better.static("accurate").make(part, "check")
            run.name = f"check frames {first + 1} to {first + len(part)}"
            runs.append(tag(run, STAGES["check"], REFERENCE_QUEUE))
        comparison = tag(
            self.compare(chosen, [run.output for run in runs], settings_branch(engine)),
            STAGES["check"],
            name="check",
        )
        # a batch that failed for good leaves a gap, not a dead campaign
        comparison.config.on_missing_references = OnMissing.NONE
        return replace_by(runs, comparison)

    def plane_waves(self) -> PlaneWaves:
        """Cutoff and mesh of the better calculations."""
        return PlaneWaves(self.cutoff, (self.mesh, self.mesh, self.mesh))

    @job(config=JobConfig(on_missing_references=OnMissing.NONE))
    def compare(
        self, chosen: Frames, batches: list[Frames | None], branch: str | None = None
    ) -> CheckDocument:
        """
        Compare.

        Parameters
        ----------
        chosen : Frames
            As they are in the training set.
        batches : list of Frames or None
            The same computed better; none where the job failed.
        branch : str or None
            Of the settings, which has the engine's cutoff.

        Raises
        ------
        InaccurateError
            If the errors are beyond the limits, and the check is strict.
        """
        document = self.describe(chosen, batches, branch)
        report_progress(
            "check", 1, 1, energy_meV_atom=document.energy_error_shifted,
            force_eV_A=document.force_error,
        )  # fmt: skip
        if self.strict and document.warning:
            raise InaccurateError(f"{document.warning}; check.strict=false goes on all the same")
        return document

    def describe(
        self, chosen: Frames, batches: list[Frames | None], branch: str | None = None
    ) -> CheckDocument:
        """Errors of the training set, as measured by the better calculations."""
        pairs = [
            (chosen[self.batch * k : self.batch * k + len(better)], better)
            for k, better in enumerate(batches)
            if better is not None
        ]
        here = Frames.concatenate([pair[0] for pair in pairs])
        better = Frames.concatenate([pair[1] for pair in pairs])
        usable = np.flatnonzero(np.isfinite(better.energies))
        here, better = here[usable], better[usable]
        if not len(here):
            return CheckDocument(
                plane_waves=self.plane_waves(), n_frames=0, energy_error=np.nan,
                energy_error_shifted=np.nan, force_error=np.nan, stress_error=np.nan,
                failed=len(chosen), warning="no frame could be recomputed; see the logs",
            )  # fmt: skip
        difference = (here.energies - better.energies) / here.counts * 1000
        energy = float(np.abs(difference - difference.mean()).mean())
        force = float(np.abs(here.forces - better.forces).mean())
        return CheckDocument(
            plane_waves=self.plane_waves(),
            n_frames=len(here),
            energy_error=float(np.abs(difference).mean()),
            energy_error_shifted=energy,
            force_error=force,
            stress_error=float(np.nanmean(np.abs(here.stresses - better.stresses)) * KBAR),
            failed=len(chosen) - len(here),
            warning=self.judge(energy, force, branch),
        )

    def judge(self, energy: float, force: float, branch: str | None = None) -> str | None:
        """Say what is wrong with errors in meV/atom and eV/Å; none if nothing is."""
        if energy <= self.max_energy and force <= self.max_force:
            return None
        return (
            f"against {self.cutoff:g} eV and {self.mesh}x{self.mesh}x{self.mesh} k-points the "
            f"training set is off by {energy:.1f} meV/atom and {force:.3f} eV/Å, more than "
            f"{self.max_energy:g} and {self.max_force:g}; lower convergence.max_energy and "
            f"convergence.max_force{f', or give {branch}.cutoff' if branch else ''}"
        )
