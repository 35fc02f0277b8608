"""Frames labelled by static runs of the reference engine, in batches."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Flow, JobConfig, Maker, OnMissing, job

from nnp.frames import Frames
from nnp.storage.checkpoint import read_checkpoint, write_checkpoint
from workflows.documents.schemas import LabelDocument, SampleDocument, SelectionDocument
from workflows.engines.base import Engine
from workflows.jobs.checkpoints import checkpoint
from workflows.jobs.idempotency import once
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, CostContext, decisions
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from pathlib import Path

    from jobflow import OutputReference

#: s between two checkpoints of a batch.
CHECKPOINT_INTERVAL = 10.0


@dataclass
class LabellingMaker(Maker):
    """
    Label chosen frames by static runs, a batch a job.

    A frame that cannot be labelled is recorded and left out; so is a batch whose job failed for
    good. The campaign goes on with the others.

    Parameters
    ----------
    batch : int
        Frames of one job.
    min_labelled : float
        Share of the frames that must have labels for the campaign to go on: below it something
        is wrong with the engine, not with a frame.
    """

    name: str = "label"
    batch: int = field(default=20, metadata={"range": (1, 1000), "help": "frames of one job"})
    min_labelled: float = field(
        default=0.5,
        metadata={"range": (0.0, 1.0), "help": "share that must succeed for the campaign to go on"},
    )

    def make(
        self,
        chosen: OutputReference,
        number: int,
        engine: Engine,
        earlier: SampleDocument | OutputReference | None = None,
    ) -> Flow:
        """
        Label.

        Parameters
        ----------
        chosen : OutputReference
            Of a :class:`SelectionDocument`.
        number : int
            Frames it has at the most.
        engine : Engine
            Reference engine.
        earlier : SampleDocument, OutputReference or None
            Result of the round before, whose frames come first in this one's.

        Returns
        -------
        Flow
            Its output is a :class:`SampleDocument` with all labelled frames.
        """
        batches = []
        for start in range(0, number, self.batch):
            work = self.label_batch(chosen.frames, start, engine)
            work.name = f"label {start + 1} to {min(start + self.batch, number)}"
            batches.append(tag(work, STAGES["label"], REFERENCE_QUEUE))
        last = tag(
            self.collect(chosen, [work.output for work in batches], earlier), STAGES["label"]
        )
        last.name = "labels"
        # a batch that failed for good leaves a gap, not a dead campaign
        last.config.on_missing_references = OnMissing.NONE
        return Flow([*batches, last], output=last.output, name="labels")

    def cost(self, context: CostContext, number: int) -> list[Cost]:
        """Expected cost of so many labels."""
        hours = number * context.step_hours(context.reference, context.n_atoms)
        batches = math.ceil(number / self.batch)
        return [
            Cost("label", REFERENCE_QUEUE, batches, number, hours),
            decisions("label", 1),
        ]

    @job(data=[Frames])
    @once
    def label_batch(self, chosen: Frames, start: int, engine: Engine) -> LabelDocument:
        """
        Label one batch; what is labelled when the job is killed is not done again.

        Parameters
        ----------
        chosen : Frames
            All frames.
        start : int
            First frame of the batch.
        engine : Engine
            Reference engine.
        """
        frames = chosen[start : start + self.batch]
        with checkpoint() as path:
            labelled, failures = _resume(path)
            done = len(labelled) + len(failures)
            saved = time.monotonic()
            for result in engine.label_frames(frames[done:]):
                done += 1
                if isinstance(result, str):
                    failures.append(f"frame {start + done}: {result}")
                else:
                    labelled = Frames.concatenate([labelled, result])
                report_progress("label", done, len(frames), failures=len(failures))
                if path is not None and time.monotonic() - saved > CHECKPOINT_INTERVAL:
                    _save(path, labelled, failures)
                    saved = time.monotonic()
        return LabelDocument(
            engine=engine.name, n_labelled=len(labelled), failures=failures, frames=labelled
        )

    @job(data=[Frames], config=JobConfig(on_missing_references=OnMissing.NONE))
    @once
    def collect(
        self,
        chosen: SelectionDocument,
        batches: list[LabelDocument | None],
        earlier: SampleDocument | None,
    ) -> SampleDocument:
        """
        Join the labelled frames of this round and of those before.

        Parameters
        ----------
        chosen : SelectionDocument
            What was to be labelled.
        batches : list of LabelDocument or None
            In order; none where the job failed.
        earlier : SampleDocument or None
            Result of the round before.

        Raises
        ------
        RuntimeError
            If too few frames have labels.
        """
        failures = [
            text
            for number, document in enumerate(batches)
            for text in (
                document.failures
                if document is not None
                else [f"frames from {number * self.batch + 1} on: their job failed; see the log"]
            )
        ]
        new = [document.frames for document in batches if document is not None]
        n_new = sum(len(frames) for frames in new)
        if n_new < max(1, self.min_labelled * chosen.n_chosen):
            raise RuntimeError(
                f"the reference engine labelled {n_new} of {chosen.n_chosen} frames "
                f"({failures[0] if failures else 'none were chosen'}); see what is wrong with it"
            )
        before = [] if earlier is None else [earlier]
        frames = Frames.concatenate([*(document.frames for document in before), *new])
        return SampleDocument(
            formula=frames[0].to_atoms()[0].symbols.formula.reduce()[0].format("reduce"),
            n_frames=len(frames),
            n_atoms=int(frames.counts[0]),
            frames_by_stage=_count(frames),
            frames_left_out=chosen.n_chosen - n_new + sum(d.frames_left_out for d in before),
            evaluations=chosen.n_chosen + sum(d.evaluations or 0 for d in before),
            failures=[*(text for document in before for text in document.failures), *failures],
            shortest_distances=chosen.shortest_distances,
            volume_per_atom=chosen.volume_per_atom,
            series=chosen.series,
            frames=frames,
        )


def _count(frames: Frames) -> dict[str, int]:
    names, counts = np.unique(frames.stages, return_counts=True)
    return {str(name): int(n) for name, n in zip(names, counts, strict=True)}


def _save(path: Path, labelled: Frames, failures: list[str]) -> None:
    write_checkpoint(path, "labels", {"frames": labelled.as_dict(), "failures": failures})


def _resume(path: Path | None) -> tuple[Frames, list[str]]:
    """What an earlier launch of the same batch has labelled, and what it could not."""
    state = None if path is None else read_checkpoint(path, "labels")
    if state is None:
        return Frames.from_atoms([]), []
    return Frames.from_dict(state["frames"]), list(state["failures"])
