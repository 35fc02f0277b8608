"""What was found at one pressure, relaxed by the reference engine at the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jobflow import Flow, Job, JobConfig, Maker, OnMissing, OutputReference, Response, job

from nnp.frames import Frames
from search.relax.limits import RelaxationLimits
from search.relax.pressure import in_gpa
from search.state.fitness import Fitness
from search.state.similarity import LOOSELY_RELAXED, match
from workflows.composition import Target
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.jobs.idempotency import spawn
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.oxidation import unbalanced
from workflows.stages.candidate_documents import CandidateDocuments
from workflows.stages.candidate_state import CandidateChain
from workflows.stages.exchange_starts import starts
from workflows.stages.exchange_state import Attempt, ExchangeState
from workflows.stages.final_ranking import rank_rows
from workflows.stages.phases import (
    FollowedPhase,
    Rankings,
    describe_phases,
    find_transitions,
    follow_phases,
    key_of,
    standing_for,
)
from workflows.stages.ranking import compare, enthalpy_of
from workflows.stages.relaxation_labels import labels_of
from workflows.stages.table import STAGES


@dataclass
class ExchangeMaker(Maker):
    """
    Relax the best of each pressure at all others, rank each pressure anew and follow the phases.

    Parameters
    ----------
    number : int
        Of the best of each pressure that are relaxed at the others.
    limits : RelaxationLimits
        Where a relaxation stops.
    budget : int or None
        Evaluations of the engine at each pressure; none: no limit.
    fitness : Fitness
        What ranks crystals.
    symmetry_energy : float
        By which a more symmetric structure may be higher, eV/atom.
    """

    name: str = "exchange"
    number: int = 4
    limits: RelaxationLimits = field(default_factory=RelaxationLimits)
    budget: int | None = None
    fitness: Fitness = field(default_factory=Fitness)
    symmetry_energy: float = 1e-3

    def make(
        self,
        rankings: Sequence[Job],
        chain: CandidateChain,
        potential: OutputReference | None = None,
    ) -> Job:
        """
        Exchange.

        Parameters
        ----------
        rankings : sequence of Job
            Whose outputs are a :class:`PredictionDocument` for each pressure of the target.
        chain : CandidateChain
            What was looked for, and by which engine.
        potential : OutputReference or None
            Job that trained the last potential, as rounds of learning tell it; none: that of the
            chain.

        Returns
        -------
        Job
            Its output is a :class:`PredictionDocument` of all pressures.
        """
        outputs, jobs = [one.output for one in rankings], [one.uuid for one in rankings]
        work = self.begin(outputs, jobs, chain, potential)
        # a pressure without a ranking is left out, not a dead campaign
        work.config.on_missing_references = OnMissing.NONE
        return tag(work, STAGES["candidates"], name="all pressures")

    @job(data=[Frames], config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE))
    def begin(
        self,
        rankings: list[PredictionDocument | None],
        jobs: list[str],
        chain: CandidateChain,
        potential: str | None = None,
    ) -> Response:
        """
        Look at what was found at each pressure.

        Parameters
        ----------
        rankings : list of PredictionDocument or None
            By pressure; none where there is none.
        jobs : list of str
            That they are of.
        chain : CandidateChain
            What was looked for, and by which engine.
        potential : str or None
            Job that trained the last potential; none: that of the chain.

        Raises
        ------
        ValueError
            If there is no ranking at all.
        """
        found = [one for one in rankings if one is not None]
        if not found:
            raise ValueError("no candidate could be ranked at any of the pressures")
        chain = replace(chain, potential=potential or chain.potential)
        pressures = chain.target.pressures
        without = [p for p, one in zip(pressures, rankings, strict=True) if one is None]
        state = ExchangeState(
            rankings=[j if one else None for j, one in zip(jobs, rankings, strict=True)],
            rows=[row for one in found for row in one.candidates],
            failures=[f"there were no candidates of its own at {in_gpa(p)}" for p in without],
        )
        return self._go_on(state, chain)

    @job(data=[Frames], config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE))
    def advance(
        self, relaxed: list[RelaxDocument | None], state: ExchangeState, chain: CandidateChain
    ) -> Response:
        """
        Take in relaxed crystals; relax what is new among them, or sum up.

        Parameters
        ----------
        relaxed : list of RelaxDocument or None
            Of the last attempts; none where a job failed.
        state : ExchangeState
            Before them.
        chain : CandidateChain
            What was looked for, and by which engine.
        """
        taken = self.take_in(relaxed, state, chain.target, chain.engine.name)
        return self._go_on(taken, chain)

    def take_in(
        self,
        relaxed: Sequence[RelaxDocument | None],
        state: ExchangeState,
        target: Target,
        engine: str,
    ) -> ExchangeState:
        """
        Add relaxed crystals to what is known.

        Parameters
        ----------
        relaxed : sequence of RelaxDocument or None
            Of the last attempts; none where there is nothing.
        state : ExchangeState
            With these attempts.
        target : Target
            What was looked for.
        engine : str
            Name of what relaxed them.
        """
        last = state.attempts[len(state.attempts) - len(relaxed) :]
        rows, failures = list(state.rows), list(state.failures)
        attempts = state.attempts[: len(state.attempts) - len(relaxed)]
        for result, attempt in zip(relaxed, last, strict=True):
            pressure = attempt.start.pressure
            if result is None or result.energy is None:
                reason = "its job failed; see the log" if result is None else result.failure
                failures.append(f"a phase of another pressure at {in_gpa(pressure)}: {reason}")
                attempts.append(attempt)
                continue
            documents = CandidateDocuments(target.at(pressure), engine, self.fitness, self.limits)
            row = documents.one(result, attempt.start, attempt.job)
            rows.append(row)
            stayed = match(attempt.start.structure, result.structure, LOOSELY_RELAXED)
            kept = key_of(row) if stayed else None
            attempts.append(attempt.model_copy(update={"result": kept}))
        steps = sum(one.steps + 1 if one else 1 for one in relaxed)
        return state.model_copy(
            update={
                "rows": rows,
                "attempts": attempts,
                "failures": failures,
                "evaluations": state.evaluations + steps,
            }
        )

    def _go_on(self, state: ExchangeState, chain: CandidateChain) -> Response:
        """Relax what is missing, or sum up."""
        rankings = self.rank(state, chain.target)
        phases = self.follow(state, rankings)
        missing = starts(state, rankings, phases)
        if not missing:
            return Response(output=self._sum_up(state, chain, rankings, phases))
        number = max(Counter(start.pressure for _, start in missing).values())
        limits = self.limits
        if self.budget is not None:
            share = max(1, self.budget // number - 1)
            limits = replace(limits, max_steps=min(limits.max_steps, share))
        works = [
            tag(
                chain.engine.relax(replace(limits, pressure=start.pressure)).make(
                    start.structure, "candidates"
                ),
                STAGES["candidates"],
                REFERENCE_QUEUE,
                name=f"relax {row.space_group} of {in_gpa(row.pressure)} at "
                f"{in_gpa(start.pressure)}",
            )
            for row, start in missing
        ]
        attempts = [
            Attempt(row=key_of(row), start=start, job=work.uuid)
            for (row, start), work in zip(missing, works, strict=True)
        ]
        after = state.model_copy(
            update={"attempts": [*state.attempts, *attempts], "rounds": state.rounds + 1}
        )
        following = self.advance([work.output for work in works], after, chain)
        # a relaxation that failed for good leaves a gap in a line
        following.config.on_missing_references = OnMissing.NONE
        tag(following, STAGES["candidates"], name="all pressures")
        return Response(replace=spawn(Flow([*works, following], output=following.output)))

    def rank(self, state: ExchangeState, target: Target) -> dict[float, list[CandidateDocument]]:
        """
        Rank all relaxed crystals, at each pressure by themselves.

        Parameters
        ----------
        state : ExchangeState
            With the crystals.
        target : Target
            What was looked for, at several pressures.
        """
        unit = sum(target.counts.values())
        return {
            pressure: rank_rows(
                [row.model_copy() for row in state.rows if row.pressure == pressure],
                [], unit, self.fitness, self.symmetry_energy,
            )
            for pressure in target.pressures
        }  # fmt: skip

    def follow(self, state: ExchangeState, rankings: Rankings) -> list[FollowedPhase]:
        """
        Follow the phases of ranked crystals, where relaxations have led and where they are alike.

        Parameters
        ----------
        state : ExchangeState
            With the relaxations.
        rankings : mapping
            As :meth:`rank` gives them.
        """
        by_key = {key_of(row): row for row in state.rows}
        kept, at_transitions = [], []
        for attempt in state.attempts:
            if attempt.result is None:
                continue
            start, end = by_key[attempt.row], by_key[attempt.result]
            before = standing_for(start, rankings[start.pressure])
            if before is None:
                continue
            if end.pressure not in rankings:
                at_transitions.append((before, end))
            elif (after := standing_for(end, rankings[end.pressure])) is not None:
                kept.append((before, after))
        phases = follow_phases(rankings, self.number, kept)
        for before, row in at_transitions:
            for phase in phases:
                if phase.rows.get(before.pressure) is before:
                    phase.rows[row.pressure] = row
        return phases

    def _sum_up(
        self,
        state: ExchangeState,
        chain: CandidateChain,
        rankings: Rankings,
        phases: Sequence[FollowedPhase],
    ) -> PredictionDocument:
        """Document of all pressures."""
        earlier: list[PredictionDocument] = [output_of(one) for one in state.rankings if one]
        ranked = [row for rows in rankings.values() for row in rows]
        lowest = min(map(enthalpy_of, ranked), default=float("nan"))
        report_progress("candidates", 1, 1, best_eV_atom=lowest)
        described = describe_phases(phases)
        ways = [output_of(attempt.job) for attempt in state.attempts if attempt.result is not None]
        frames = Frames.concatenate(
            [*(one.frames for one in earlier if one.frames), labels_of(ways)]
        )
        potential = chain.potential
        first = earlier[0]
        warnings = [f"at {in_gpa(one.pressure)}: {one.warning}" for one in earlier if one.warning]
        of_formula = unbalanced(chain.target.formula)
        return PredictionDocument(
            formula=first.formula,
            engine=first.engine,
            pressure=chain.target.pressures[0],
            pressures=list(chain.target.pressures),
            candidates=ranked,
            phases=described,
            transitions=find_transitions(described),
            failures=[*(text for one in earlier for text in one.failures), *state.failures],
            notes=first.notes,
            provenance=first.provenance,
            agreement=None if potential is None else compare(ranked, potential, chain.gate),
            evaluations=sum(one.evaluations for one in earlier) + state.evaluations,
            n_frames=len(frames),
            frames=frames,
            warning="; ".join([*warnings, *filter(None, [of_formula])]) or None,
        )
