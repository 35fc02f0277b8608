"""The potential, trained on the frames of the trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jobflow import Flow, Job, JobConfig, Maker, OnMissing, job

from nnp.frames import Frames
from nnp.potential import Potential
from nnp.training.learning_curve import FRACTIONS, part_of
from nnp.training.trainer import (
    TrainingOptions,
    TrainingResult,
    TrainingStep,
    choose_split,
    train,
)
from workflows.documents.training import LearningCurveDocument, LearningCurvePoint, TrainingDocument
from workflows.frame_compositions import formula_of_frames
from workflows.jobs.checkpoints import checkpoint
from workflows.jobs.cores import usable_cores
from workflows.jobs.idempotency import once
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import POTENTIAL_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.cost import Cost, CostContext, decisions
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference
    from numpy.typing import NDArray

#: Force components kept for the parity plot.
PARITY_FORCES = 3000
#: For estimates: core seconds of an atom's environment in an epoch, epochs, and cores of use.
ATOM_SECONDS, EXPECTED_EPOCHS, USED_CORES = 1e-4, 200, 32


@dataclass
class TrainingMaker(Maker):
    """
    Train a Behler-Parrinello potential.

    Parameters
    ----------
    options : TrainingOptions
        Descriptors, network, loss, optimiser and when to stop; its threads are set to the cores
        of the machine, since nothing else of a campaign runs meanwhile.
    learning_curve : bool
        Whether potentials are trained on parts of the frames, too.
    """

    name: str = "train"
    options: TrainingOptions = field(default_factory=TrainingOptions)
    learning_curve: bool = field(
        default=False,
        metadata={"help": "train on parts of the frames, too: would more of them help?"},
    )

    def make(
        self,
        frames: Frames | OutputReference,
        seed: int,
        after: list[OutputReference] | None = None,
        start: Potential | OutputReference | str | None = None,
    ) -> Job:
        """
        Train.

        Parameters
        ----------
        frames : Frames or OutputReference
            Training and validation frames together.
        seed : int
            Seed of the campaign.
        after : list of OutputReference or None
            Outputs that must be there before the training begins.
        start : Potential, OutputReference, str or None
            Potential to begin from, as in the output of an earlier training, or the job that left
            it, for spawned jobs; random weights unless given.

        Returns
        -------
        Job
            Its output is a :class:`TrainingDocument`.
        """
        more: dict[str, Any] = {"after": after} if after else {}
        if start is not None:
            more["start"] = start
        work = self.fit(frames, derive_seed(seed, "train"), **more)
        work.name = "train"
        return tag(work, STAGES["train"])

    def make_curve(self, frames: Frames | OutputReference, seed: int) -> Flow:
        """
        Train on parts of the frames, each in a job, with the same frames for validation.

        Parameters
        ----------
        frames : Frames or OutputReference
            Training and validation frames together.
        seed : int
            Seed of the campaign.

        Returns
        -------
        Flow
            Its output is a :class:`LearningCurveDocument`.
        """
        jobs = []
        for fraction in FRACTIONS:
            work = self.fit_part(frames, derive_seed(seed, "train"), fraction)
            name = f"train on {100 * fraction:.0f} %"
            jobs.append(tag(work, STAGES["train"], name=name))
        last = self.collect_curve([work.output for work in jobs])
        last.config.on_missing_references = OnMissing.NONE
        tag(last, STAGES["train"], name="learning curve")
        return Flow([*jobs, last], output=last.output, name="learning curve")

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost of training on the frames of the context."""
        epochs = min(EXPECTED_EPOCHS, self.options.epoch_limit(context.n_frames))
        seconds = epochs * context.n_frames * context.n_atoms * ATOM_SECONDS * self.options.members
        hours = seconds / min(context.cores, USED_CORES) / 3600
        return [Cost("train", POTENTIAL_QUEUE, 1, 0, hours)]

    def cost_of_curve(self, context: CostContext) -> list[Cost]:
        """Expected cost of the learning curve."""
        parts = [round(fraction * context.n_frames) for fraction in FRACTIONS]
        costs = [cost for n in parts for cost in self.cost(replace(context, n_frames=n))]
        return [*costs, decisions("train", 1)]

    @job(data=[Potential], config=JobConfig(expose_store=True))
    @once
    def fit(
        self,
        frames: Frames,
        seed: int,
        after: list[Any] | None = None,  # noqa: ARG002 (only waited for)
        start: Potential | str | None = None,
    ) -> TrainingDocument:
        """Train and describe the fit."""
        options = replace(self.options, threads=usable_cores())
        with checkpoint() as path:
            result = train(
                frames,
                options,
                seed=seed,
                progress=_report,
                checkpoint=path,
                start=output_of(start).potential if isinstance(start, str) else start,
            )
        done, errors = len(result.history), result.validation
        report_progress(
            "train",
            done,
            done,
            validation_meV_atom=errors.energy,
            force_eV_A=errors.force,
            stress_kbar=errors.stress,
        )
        validation = frames[result.validation_frames]
        warning = None
        if not result.reached:
            warning = (
                f"the thresholds of validation were not reached ({result.reason}); more frames "
                "or larger train.options.max_epochs and train.options.patience may help"
            )
        return TrainingDocument(
            formula=formula_of_frames(frames),
            n_training=len(result.training_frames),
            n_validation=len(result.validation_frames),
            validation_split=options.split,
            converged=result.reached,
            energy_rmse=result.validation.energy,
            force_rmse=result.validation.force,
            stress_rmse=result.validation.stress,
            epochs=len(result.history),
            history=[history_entry(step) for step in result.history],
            parity=parity_of(result, validation),
            warning=warning,
            potential=result.potential,
        )

    @job
    @once
    def fit_part(self, frames: Frames, seed: int, fraction: float) -> LearningCurvePoint:
        """Train on a part of the training frames."""
        options = replace(self.options, threads=usable_cores())
        training, validation = choose_split(frames, options, seed)
        part = part_of(training, fraction)
        with checkpoint() as path:
            result = train(
                frames,
                options,
                seed=seed,
                progress=_report,
                checkpoint=path,
                split=(part, validation),
            )
        return LearningCurvePoint(
            fraction=fraction,
            n_training=len(part),
            energy_rmse=result.validation.energy,
            force_rmse=result.validation.force,
            stress_rmse=result.validation.stress,
        )

    @job(config=JobConfig(on_missing_references=OnMissing.NONE))
    @once
    def collect_curve(self, points: list[LearningCurvePoint | None]) -> LearningCurveDocument:
        """Join the points that there are."""
        return LearningCurveDocument(points=[point for point in points if point is not None])


def history_entry(step: TrainingStep) -> dict[str, float]:
    """One epoch as flat numbers: errors in meV/atom, eV/Å and kbar."""
    return {
        "epoch": float(step.epoch),
        "seconds": step.seconds,
        **{
            f"{part}_{quantity}": float(getattr(errors, quantity))
            for part, errors in (("training", step.training), ("validation", step.validation))
            for quantity in ("energy", "force", "stress")
        },
    }


def parity_of(result: TrainingResult, validation: Frames) -> dict[str, list[float]]:
    """Reference and predicted energies (eV/atom) and some force components (eV/Å)."""
    predictions = result.potential.compute(validation.to_atoms())
    predicted: NDArray[np.float64] = np.concatenate(predictions.forces).ravel()
    reference = validation.forces.ravel()
    stride = max(1, len(reference) // PARITY_FORCES)
    return {
        "energy_reference": (validation.energies / validation.counts).tolist(),
        "energy_predicted": (predictions.energies / validation.counts).tolist(),
        "force_reference": reference[::stride].tolist(),
        "force_predicted": predicted[::stride].tolist(),
    }


def _report(step: TrainingStep) -> None:
    report_progress(
        "train",
        step.epoch,
        step.limit,
        validation_meV_atom=step.validation.energy,
        force_eV_A=step.validation.force,
        stress_kbar=step.validation.stress,
    )
