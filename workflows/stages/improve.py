"""Rounds of learning from what the search finds: label, train again, search on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jobflow import Flow, Job, JobConfig, Maker, OnMissing, OutputReference, Response, job

from nnp.frames import Frames
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.improvement import ChoiceDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.documents.simple_crystals import SimpleCrystalsDocument
from workflows.documents.training import SampleDocument, TrainingDocument
from workflows.jobs.idempotency import once, spawn
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import derive_seed, tag
from workflows.stages.agreement import Gate
from workflows.stages.at_pressures import by_pressure
from workflows.stages.chain import ChainContext
from workflows.stages.cost import Cost, CostContext, add_up, decisions, repeated_decisions
from workflows.stages.labelling import LabellingMaker
from workflows.stages.learning_state import LearningChain, LearningState
from workflows.stages.melt_again import MeltAgain
from workflows.stages.ranking import as_candidate
from workflows.stages.relaxation_labels import labels_left_out
from workflows.stages.round_outcome import take_in
from workflows.stages.rounds_summary import RoundsEnd, report_rounds, sum_up
from workflows.stages.search import SearchMaker
from workflows.stages.search_labels import LabelChoice, pick, without_known
from workflows.stages.selection import SelectionMaker
from workflows.stages.simple_ends import lowest_ends, relaxed_ends
from workflows.stages.system_series import of_compound
from workflows.stages.table import STAGES


@dataclass
class ImproveMaker(Maker):
    """
    Let the potential learn from what its search finds, round by round.

    After a search the reference engine relaxes its best distinct structures, for some steps, and
    labels others: minima, structures of which the potential is too uncertain, and strained copies
    of the best. The potential is trained again, with all labels, and the search goes on from where
    it was on the new potential. The rounds end when the potential agrees with the engine on what
    the engine has relaxed (the gate), and either the search offers nothing else or the potential of
    before the round, which knew none of its crystals, agreed on those; or at a limit. Where there
    are several pressures, one potential learns from the searches at all of them, and what was found
    at one is a seed of the searches at the others. Of a system the simple crystals of its ends
    count as relaxed from the beginning.

    Parameters
    ----------
    rounds : int
        At the most; a potential that fails hopelessly gets half as many again. 0: no stage.
    relaxations, relaxation_steps : int
        Structures that the engine relaxes in a round at each pressure, and steps of each at the
        most.
    labels : int
        Static labels of a round.
    from_last_weights : bool
        Whether trainings begin from the potential of before, and not from random weights.
    budget : int or None
        Evaluations of the engine in all rounds; no round begins beyond it. None: no limit.
    generations : int
        Of the search in each round.
    choice : LabelChoice
        How the labels are shared out.
    melting : MeltAgain
        Labels of a melt-quench by the potential, if there is to be one.
    gate : Gate
        What is asked of the potential.
    label : LabellingMaker
        How frames are labelled.

    References
    ----------
    C. Hong et al., Phys. Rev. B 102, 224104 (2020), III.C and Fig. 5.
    """

    name: str = "improve"
    rounds: int = field(
        default=0, metadata={"range": (0, 50), "help": "of learning from the search; 0: none"}
    )
    relaxations: int = field(
        default=6, metadata={"range": (1, 1000), "help": "by the reference engine in a round"}
    )
    relaxation_steps: int = field(
        default=25, metadata={"range": (1, 10_000), "unit": "steps", "help": "of each at the most"}
    )
    labels: int = field(
        default=30, metadata={"range": (0, 100_000), "help": "static labels of a round"}
    )
    from_last_weights: bool = field(
        default=False,
        metadata={
            "help": "train on from the potential of before: faster, and worse where the crystals "
            "are far from the liquid"
        },
    )
    budget: int | None = field(
        default=None,
        metadata={
            "range": (1, 10_000_000),
            "help": "reference evaluations of all rounds; none: no limit",
        },
    )
    generations: int = field(
        default=8,
        metadata={"range": (1, 100_000), "unit": "generations", "help": "of each round's search"},
    )
    choice: LabelChoice = field(default_factory=LabelChoice, metadata={"inline": True})
    melting: MeltAgain = field(default_factory=MeltAgain, metadata={"inline": True})
    gate: Gate = field(default_factory=Gate)
    label: LabellingMaker = field(
        default_factory=lambda: LabellingMaker(batch=10, min_labelled=0.0)
    )

    @property
    def left_out(self) -> bool:
        """Whether there are no rounds."""
        return not self.rounds

    def follow(self, context: ChainContext) -> Job:
        """Begin with what the first search found."""
        makers = context.makers
        chain = LearningChain(
            context.target,
            context.reference,
            context.seed,
            makers["search"],
            makers["train"],
            makers["candidates"].limits,
            *((makers["dynamics"], makers["select"]) if self.melting.melt_quench else ()),
        )
        outputs = context.outputs
        state = LearningState(potential=outputs["train"].uuid, sample=outputs["sample"].uuid)
        return self._plan(chain, state, context.previous, ends=outputs.get("simple_crystals"))

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost of all rounds, if none is spared."""
        costs = [repeated_decisions("improve", self.rounds), decisions("improve", self.rounds)]
        search = self.shortened(context.makers["search"])
        for _ in range(self.rounds):
            number = self.relaxations * len(context.target.all_pressures)
            relaxations = context.relaxations(
                "improve", REFERENCE_QUEUE, number, self.relaxation_steps
            )
            number = self.labels + self.melting.melt_quench
            context = replace(context, n_frames=context.n_frames + number)
            costs += [
                relaxations,
                *self.melting.cost(context),
                *self.label.cost(context, number),
                *context.makers["train"].cost(context),
                *search.cost(context),
            ]
        # jobs that a round spawns are all of this stage, whatever they do
        return add_up(replace(cost, stage="improve") for cost in costs)

    def _plan(
        self,
        chain: LearningChain,
        state: LearningState,
        search: OutputReference,
        relaxed: Sequence[OutputReference] = (),
        chosen: OutputReference | None = None,
        ends: OutputReference | None = None,
    ) -> Job:
        of_labels = () if chosen is None else (chosen.n_chosen, chosen.by_kind)
        work = self.plan(chain, state, search, list(relaxed), *of_labels, ends=ends)
        work.config.on_missing_references = OnMissing.NONE
        return tag(work, STAGES["improve"], name=f"improve {state.begun + 1}")

    @job(config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE))
    def plan(
        self,
        chain: LearningChain,
        state: LearningState,
        search: SearchDocument,
        relaxed: list[RelaxDocument | None],
        n_labels: int | None = None,
        by_kind: dict[str, int] | None = None,
        ends: SimpleCrystalsDocument | None = None,
    ) -> Response:
        """
        Look at what the round before has brought; begin the next one, or end.

        Parameters
        ----------
        chain : LearningChain
            What all rounds have in common.
        state : LearningState
            Before the round; its last entries are still without figures.
        search : SearchDocument
            On the potential of the state.
        relaxed : list of RelaxDocument or None
            Structures asked for by the round before, in order; none where a job failed.
        n_labels : int or None
            Static labels of the round before.
        by_kind : dict or None
            These by what they are of.
        ends : SimpleCrystalsDocument or None
            Of a system, before the first round.
        """
        if not state.begun:
            state = state.model_copy(
                update={"relaxed": relaxed_ends(ends, chain.target, chain.reference.name)}
            )
        state = take_in(state, relaxed, n_labels, self.gate, by_kind, chain.target)
        fresh = without_known(search.candidates, state.relaxed)
        reason, trusted = self.verdict(
            state, search.candidates, fresh, len(chain.target.all_pressures)
        )
        report_rounds(state, self.rounds, chain.target.is_system)
        if reason is not None:
            end = RoundsEnd(reason, trusted)
            return Response(output=sum_up(chain.target.formula, state, search, self.gate, end))
        return Response(replace=spawn(self._round(chain, state, search, fresh)))

    def verdict(
        self,
        state: LearningState,
        candidates: Sequence[SearchCandidate],
        fresh: Sequence[SearchCandidate],
        pressures: int = 1,
    ) -> tuple[str | None, bool]:
        """
        Say why there is no further round, if there is none, and whether the potential is good.

        Parameters
        ----------
        state : LearningState
            With the figures of all rounds.
        candidates : sequence of SearchCandidate
            Of the last search, best first.
        fresh : sequence of SearchCandidate
            Those of them that the engine has not relaxed.
        pressures : int
            At which they were found, by turns.
        """
        if not state.rounds:
            return None, False
        last = state.rounds[-1]
        good = self.gate.passes(last.after)
        top = candidates[: pressures * max(1, self.relaxations // 2)]
        new = {id(candidate) for candidate in fresh}
        seen = not any(id(candidate) in new for candidate in top)
        if good and seen:
            return "the search offers nothing new, and the potential agrees with the engine", True
        if good and self.gate.passes(last.before):
            return "the potential foretold what the engine found", True
        if not fresh:
            return "the search offers nothing new", good
        if self.budget is not None and state.evaluations >= self.budget:
            return f"the budget of {self.budget} evaluations is spent", good
        limit = self.rounds
        if self.gate.is_hopeless(last.before):
            limit += (self.rounds + 1) // 2
        if len(state.rounds) >= limit:
            return f"the limit of {limit} rounds", good
        return None, good

    def _round(
        self,
        chain: LearningChain,
        state: LearningState,
        search: SearchDocument,
        fresh: Sequence[SearchCandidate],
    ) -> Flow:
        """Labels and relaxations, training, search, and the look at them."""
        number = len(state.rounds)
        suffix = f" improve {number + 1}"
        known = by_pressure(state.relaxed)
        picked = [
            one
            for pressure, found in by_pressure(fresh).items()
            for one in pick(found, self.relaxations, known.get(pressure, []))
        ]
        relaxations = self._relaxations(chain, picked, suffix)
        runs = self.melting.make(chain, state)
        choice = self._choice(chain, state, search, picked, runs)
        labels = self.label.make(
            choice.output,
            self.labels + self.melting.melt_quench,
            chain.reference,
            earlier=state.sample,
            relaxations=[work.output for work in relaxations],
            former=[] if state.begun else labels_left_out(),
        )
        start = state.potential if self.from_last_weights else None
        fit = chain.train.make(labels.output.frames, seed=chain.seed, start=start)
        again = self.shortened(chain.search).at_each(
            fit.output.potential,
            chain.target,
            labels.output,
            derive_seed(chain.seed, "search", number),
            seeds=[
                *(work.output.structure for work in relaxations),
                *(one.structure for one in state.relaxed),
                *(candidate.structure for candidate in search.candidates),
            ],
        )
        for part in (choice, fit, again):
            part.name += suffix
        asked = [work.uuid for work in relaxations]
        after = state.in_round(fit.uuid, labels.output.uuid, picked, asked)
        results = [work.output for work in relaxations]
        following = self._plan(chain, after, again.output, results, choice.output)
        parts: list[Job | Flow] = [*runs, choice, *relaxations, labels, fit, again, following]
        return Flow(parts, output=following.output, name=suffix.strip())

    def _relaxations(
        self, chain: LearningChain, picked: Sequence[SearchCandidate], suffix: str
    ) -> list[Job]:
        """Relaxations by the reference engine, of a few steps each, each at its own pressure."""
        steps = min(self.relaxation_steps, chain.limits.max_steps)
        works = []
        for number, candidate in enumerate(picked, start=1):
            pressure = candidate.pressure if chain.target.pressures else chain.target.pressure
            limits = replace(chain.limits, max_steps=steps, pressure=pressure)
            work = chain.reference.relax(limits).make(candidate.structure, "relaxation")
            name = f"relax{suffix} structure {number}{of_compound(chain.target, candidate)}"
            works.append(tag(work, STAGES["improve"], REFERENCE_QUEUE, name=name))
        return works

    def _choice(
        self,
        chain: LearningChain,
        state: LearningState,
        search: SearchDocument,
        picked: Sequence[SearchCandidate],
        runs: Sequence[Flow],
    ) -> Job:
        """Choice of the structures that get a static label."""
        relaxed = {id(candidate) for candidate in picked}
        others = [candidate for candidate in search.candidates if id(candidate) not in relaxed]
        seed = derive_seed(chain.seed, "improve", len(state.rounds))
        more: dict[str, Any] = {}
        if runs:
            segments = [run.output["segments"] for run in runs]
            more = {"runs": segments, "potential": state.potential, "select": chain.select}
        # an end that is known badly spoils the whole hull: it is strained before all others
        best = [as_candidate(one) for one in lowest_ends(state.relaxed, chain.target)]
        best += picked
        work = self.choose(others, best, search.unknown, state.sample, seed, **more)
        return tag(work, STAGES["improve"], name="choose")

    def shortened(self, search: SearchMaker) -> SearchMaker:
        """
        Make the search of a round, shorter than the first one.

        Parameters
        ----------
        search : SearchMaker
            The first one.
        """
        return replace(search, evolution=replace(search.evolution, generations=self.generations))

    @job(data=[Frames], config=JobConfig(expose_store=True))
    @once
    def choose(
        self,
        minima: list[SearchCandidate],
        picked: list[SearchCandidate],
        unknown: list[SearchCandidate],
        sample: str,
        seed: int,
        runs: list[list[SegmentDocument]] | None = None,
        potential: str | None = None,
        select: SelectionMaker | None = None,
    ) -> ChoiceDocument:
        """
        Choose structures for static labels.

        Parameters
        ----------
        minima, picked, unknown : list of SearchCandidate
            Found by the search: left, relaxed by the engine (behind the ends of a system), and too
            uncertain.
        sample : str
            Job whose output is the training set.
        seed : int
            Of strains.
        runs : list or None
            Segments of a melt-quench by the potential.
        potential : str or None
            Job that trained it.
        select : SelectionMaker or None
            Chooses among their frames.
        """
        before: SampleDocument = output_of(sample)
        frames = self.choice.choose(
            minima, unknown, before.frames, self.labels, seed, strained=[*picked, *minima]
        )
        if runs and potential is not None and select is not None:
            labelled = Frames.concatenate([before.frames, frames])
            trained: TrainingDocument = output_of(potential)
            more = self.melting.choose(runs, select, seed, labelled, trained.potential)
            frames = Frames.concatenate([frames, more])
        kinds = [str(stage) for stage in frames.stages]
        by_kind = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
        report_progress("improve", 1, 1, **by_kind)
        return ChoiceDocument(
            n_chosen=len(frames),
            by_kind=by_kind,
            shortest_distances=before.shortest_distances,
            volume_per_atom=before.volume_per_atom,
            series=before.series,
            frames=frames,
        )
