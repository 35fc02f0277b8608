"""Frames labelled by static runs of the reference engine, in batches."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Flow, JobConfig, Maker, OnMissing, job

from nnp.frames import Frames
from nnp.storage.checkpoint import read_checkpoint, write_checkpoint
from workflows.documents.improvement import ChoiceDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.simple_crystals import SimpleCrystalsDocument
from workflows.documents.training import LabelDocument, SampleDocument, SelectionDocument
from workflows.engines.base import Engine
from workflows.frame_compositions import formula_of_frames, not_above
from workflows.jobs.checkpoints import checkpoint
from workflows.jobs.idempotency import once
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.cost import Cost, CostContext, decisions
from workflows.stages.relaxation_labels import former_labels
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
    max_energy : float
        A frame of a later round that lies by more than this above all frames before is left out:
        what no liquid reaches no crystal needs, and one such frame outweighs all others in the
        loss.
    """

    name: str = "label"
    batch: int = field(default=20, metadata={"range": (1, 1000), "help": "frames of one job"})
    min_labelled: float = field(
        default=0.5,
        metadata={"range": (0.0, 1.0), "help": "share that must succeed for the campaign to go on"},
    )
    max_energy: float = field(
        default=0.3,
        metadata={
            "range": (0.0, 1000.0),
            "unit": "eV/atom",
            "help": "above the highest label of the rounds before, beyond which one is left out",
        },
    )

    def make(
        self,
        chosen: OutputReference,
        number: int,
        engine: Engine,
        earlier: SampleDocument | OutputReference | str | None = None,
        relaxations: Sequence[OutputReference] = (),
        former: Sequence[str] = (),
        crystals: OutputReference | None = None,
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
        earlier : SampleDocument, OutputReference, str or None
            Result of the round before, whose frames come first in this one's; or the job that has
            it, for spawned jobs.
        relaxations : sequence of OutputReference
            Of :class:`~workflows.documents.relaxation.RelaxDocument`: their frames are labels, too.
        former : sequence of str
            Jobs whose labels a correction of the settings has left out: they count, too.
        crystals : OutputReference or None
            Of a :class:`~workflows.documents.simple_crystals.SimpleCrystalsDocument`: its frames
            are labels, too, unless they lie too high.

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
            self.collect(
                chosen,
                [work.output for work in batches],
                earlier,
                list(relaxations),
                list(former),
                **({} if crystals is None else {"crystals": crystals}),
            ),
            STAGES["label"],
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

    @job(
        data=[Frames],
        config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE),
    )
    @once
    def collect(
        self,
        chosen: SelectionDocument | ChoiceDocument,
        batches: list[LabelDocument | None],
        earlier: SampleDocument | str | None,
        relaxations: list[RelaxDocument | None] | None = None,
        former: Sequence[str] = (),
        crystals: SimpleCrystalsDocument | None = None,
    ) -> SampleDocument:
        """
        Join the labelled frames of this round and of those before.

        Parameters
        ----------
        chosen : SelectionDocument or ChoiceDocument
            What was to be labelled.
        batches : list of LabelDocument or None
            In order; none where the job failed.
        earlier : SampleDocument, str or None
            Result of the round before, or the job that has it.
        relaxations : list of RelaxDocument or None
            Whose frames are labels, too; none where a job failed.
        former : sequence of str
            Jobs whose labels a correction of the settings has left out.
        crystals : SimpleCrystalsDocument or None
            Of the ends of a system; none where there are none, or their job failed.

        Raises
        ------
        RuntimeError
            If too few frames have labels.
        """
        known: SampleDocument | None = output_of(earlier) if isinstance(earlier, str) else earlier
        before = [] if known is None else [known]
        batches = batches[: math.ceil(chosen.n_chosen / self.batch)]
        failures = self._failures(batches)
        new = [document.frames for document in batches if document is not None]
        # a round of learning has other frames to go on with
        self._require_enough(sum(map(len, new)), chosen.n_chosen, failures, optional=bool(before))
        usable = new if known is None else not_above(new, known.frames, self.max_energy)
        done = [one for one in relaxations or [] if one is not None and one.frames is not None]
        ways = [one.frames for one in done if one.frames is not None]
        if crystals is not None:
            ways += not_above([crystals.frames], Frames.concatenate(usable), self.max_energy)
        frames = Frames.concatenate([*(d.frames for d in before), *usable, *ways])
        more, evaluations = former_labels(former, frames)
        frames = Frames.concatenate([frames, more])
        return SampleDocument(
            formula=formula_of_frames(frames),
            n_frames=len(frames),
            n_atoms=int(frames.counts[0]),
            frames_by_stage=_count(frames),
            frames_left_out=chosen.n_chosen
            - sum(map(len, usable))
            + sum(d.frames_left_out for d in before),
            evaluations=chosen.n_chosen
            + sum(one.steps + 1 for one in done)
            + sum(d.evaluations or 0 for d in before)
            + (0 if crystals is None else crystals.evaluations)
            + evaluations,
            failures=[*(text for document in before for text in document.failures), *failures],
            shortest_distances=chosen.shortest_distances,
            volume_per_atom=chosen.volume_per_atom,
            series=chosen.series,
            frames=frames,
        )

    def _failures(self, batches: Sequence[LabelDocument | None]) -> list[str]:
        """What could not be labelled, batch after batch."""
        found = []
        for number, document in enumerate(batches):
            first = number * self.batch + 1
            lost = [f"frames from {first} on: their job failed; see the log"]
            found += lost if document is None else document.failures
        return found

    def _require_enough(
        self, labelled: int, asked: int, failures: Sequence[str], optional: bool
    ) -> None:
        """Raise a RuntimeError if too few frames have labels."""
        if labelled < max(0 if optional else 1, self.min_labelled * asked):
            raise RuntimeError(
                f"the reference engine labelled {labelled} of {asked} frames "
                f"({failures[0] if failures else 'none were chosen'}); see what is wrong with it"
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
