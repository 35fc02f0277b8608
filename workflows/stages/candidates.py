"""The best structures of the search, relaxed at the reference level and ranked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jobflow import Flow, Job, JobConfig, Maker, OnMissing, Response, job
from pymatgen.core import Structure

from nnp.frames import Frames
from search.relax.limits import RelaxationLimits
from search.state.fitness import Fitness
from search.symmetry import TIGHT_TOLERANCE, TOLERANCES
from workflows.composition import Target
from workflows.documents.improvement import ImproveDocument
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import SearchDocument
from workflows.documents.simple_crystals import SimpleCrystalsDocument
from workflows.jobs.idempotency import spawn
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.agreement import Gate
from workflows.stages.candidate_choice import choose_candidates
from workflows.stages.candidate_ranking import CandidateRanking
from workflows.stages.candidate_relaxations import relaxations_of, relaxations_of_known
from workflows.stages.candidate_state import AskedCandidates, CandidateChain
from workflows.stages.chain import ChainContext
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.exchange import ExchangeMaker
from workflows.stages.ranking import (
    distinct,
)
from workflows.stages.refinement import (
    Refined,
    Variant,
    share_out,
    variants_of,
)
from workflows.stages.search_series import candidates_at, name_by_pressure, relaxed_at
from workflows.stages.simple_ends import ends_not_among, tried_of
from workflows.stages.system_series import join_pressures, known_as_candidates
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference


#: Part of the budget that is kept for the symmetry of what was relaxed: one of so many.
REFINEMENT_SHARE = 7


@dataclass
class CandidateMaker(Maker):
    """
    Relax the best distinct structures by the reference engine, each in a job of its own.

    They are relaxed at the pressure of the target, and ranked by their enthalpies there. Each is
    refined to the highest symmetry that keeps its energy: symmetrised within looser and looser
    tolerances, relaxed on for a few steps, which keep the symmetry, and taken if that is no higher
    in energy. Only a looser tolerance that gives a higher symmetry costs evaluations.

    Parameters
    ----------
    n_candidates : int
        How many of the search's best are relaxed.
    budget : int or None
        Evaluations of the engine in all relaxations together, which share six sevenths of it
        equally: soft crystals would take hundreds of steps each for a meV/atom. The rest, and what
        they leave, is for the symmetry. None: no limit.
    limits : RelaxationLimits
        Where a relaxation stops.
    symmetry_tolerance : float
        Å, the largest by which atoms of a relaxed structure may miss a symmetry that is tried.
    symmetry_energy : float
        By which a more symmetric structure may be higher than the relaxed one, meV/atom.
    symmetry_steps : int
        Of the relaxation of a symmetrised structure.
    exchanged : int
        Where there are several pressures: how many of the best of each are relaxed at the others.
    fitness : Fitness
        What they are ranked by, at the energies of the reference engine.
    """

    name: str = "candidates"
    n_candidates: int = field(
        default=20, metadata={"range": (1, 10_000), "help": "relaxed by the reference engine"}
    )
    budget: int | None = field(
        default=None,
        metadata={
            "range": (1, 10_000_000),
            "help": "evaluations in relaxations and refinements together; none: no limit",
        },
    )
    limits: RelaxationLimits = field(
        default_factory=lambda: RelaxationLimits(max_force=0.02, max_stress=4.0, max_steps=500),
        metadata={"inline": True},
    )
    symmetry_tolerance: float = field(
        default=TOLERANCES[-1],
        metadata={
            "range": (1e-5, 1.0),
            "unit": "Å",
            "help": f"largest by which atoms miss a symmetry that is tried; {TIGHT_TOLERANCE:g}: "
            "none is",
        },
    )
    symmetry_energy: float = field(
        default=1.0,
        metadata={
            "range": (0.0, 100.0),
            "unit": "meV/atom",
            "help": "by which a more symmetric structure may be higher than the relaxed one",
        },
    )
    symmetry_steps: int = field(
        default=5,
        metadata={"range": (1, 1000), "unit": "steps", "help": "of a symmetrised structure"},
    )
    exchanged: int = field(
        default=4,
        metadata={
            "range": (1, 1000),
            "help": "best of each of several pressures that are relaxed at the others",
        },
    )
    fitness: Fitness = field(default_factory=Fitness, metadata={"hidden": True})

    def make(
        self,
        search: SearchDocument | ImproveDocument | OutputReference,
        chain: CandidateChain,
        *,
        improved: ImproveDocument | OutputReference | None = None,
        known: Mapping[str, Structure] | None = None,
        simple: OutputReference | None = None,
    ) -> Job:
        """
        Relax and rank.

        Parameters
        ----------
        search : SearchDocument, ImproveDocument or OutputReference
            Result of the search, of the rounds of learning, or of a stage behind them.
        chain : CandidateChain
            What was looked for, by which engine, and on which potential first.
        improved : ImproveDocument, OutputReference or None
            Result of the rounds of learning, if there were any: what they have relaxed is ranked,
            too, and not relaxed again.
        known : mapping of str to Structure, or None
            Known phases of a system, by their labels, which are relaxed and put on the hull.
        simple : OutputReference or None
            Of a :class:`~workflows.documents.simple_crystals.SimpleCrystalsDocument`: the lowest of
            each end are candidates, too.

        Returns
        -------
        Job
            Its output is a :class:`PredictionDocument`.
        """
        more: dict[str, Any] = {"known": dict(known)} if known else {}
        if simple is not None:
            more["simple"] = simple
        work = self.relax(search, chain, improved, **more)
        if simple is not None:  # whose job may fail
            work.config.on_missing_references = OnMissing.NONE
        work.name = "candidates"
        return tag(work, STAGES["candidates"])

    def follow(self, context: ChainContext) -> Job | Flow:
        """Relax and rank the candidates of the stage before, at each pressure if there are some."""
        training, improve = context.outputs.get("train"), context.makers.get("improve")
        improved = context.outputs.get("improve")
        target = context.target
        chain = CandidateChain(
            target,
            context.reference,
            None if training is None else training.uuid,
            Gate() if improve is None else improve.gate,
        )

        def at(one: Target) -> Job:
            asked = replace(chain, target=one)
            return self.make(
                context.previous,
                asked,
                improved=improved,
                known=context.known,
                simple=context.outputs.get("simple_crystals"),
            )

        if not target.pressures:
            return at(target)
        rankings = [at(target.at(pressure)) for pressure in target.pressures]
        name_by_pressure(zip(rankings, target.pressures, strict=True))
        if target.is_system:
            together = join_pressures(target, [ranking.output for ranking in rankings])
            together.config.on_missing_references = OnMissing.NONE
            tag(together, STAGES["candidates"], name="all pressures")
            return Flow([*rankings, together], output=together.output, name="candidates")
        together = self._exchange.make(
            rankings, chain, None if improved is None else improved.potential
        )
        return Flow([*rankings, together], output=together.output, name="candidates")

    @property
    def _exchange(self) -> ExchangeMaker:
        """What relaxes the best of each pressure at the others."""
        return ExchangeMaker(
            number=self.exchanged,
            limits=self.limits,
            budget=self.budget,
            fitness=self.fitness,
            symmetry_energy=self.symmetry_energy / 1000,
        )

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost: a job for each candidate, one more for every other, and the ranking."""
        number = min(self.n_candidates, context.n_crystals)
        steps = self.limits_of(number).max_steps
        refined = math.ceil(number / 2) if self._refines else 0
        at_one = [
            context.relaxations("candidates", REFERENCE_QUEUE, number, steps),
            context.relaxations("candidates", REFERENCE_QUEUE, refined, self.symmetry_steps),
            repeated_decisions("candidates", 2),
        ]
        times = len(context.target.all_pressures)
        if times < 2 or context.target.is_system:
            return at_one * times
        # some of what is the best at one pressure is so at another
        exchanged = self.exchanged * (times - 1) * math.ceil((times + 1) / 2)
        return [
            *at_one * times,
            context.relaxations("candidates", REFERENCE_QUEUE, exchanged, self.limits.max_steps),
            repeated_decisions("candidates", 1),
        ]

    @property
    def _refines(self) -> bool:
        """Whether symmetries are tried that are higher than within the tight tolerance."""
        return self.symmetry_tolerance > TIGHT_TOLERANCE

    @job
    def relax(
        self,
        search: SearchDocument | ImproveDocument,
        chain: CandidateChain,
        improved: ImproveDocument | None = None,
        known: dict[str, Structure] | None = None,
        simple: SimpleCrystalsDocument | None = None,
    ) -> Response:
        """Make one relaxation for each candidate that has none yet, and what comes after them."""
        if improved is not None:
            chain = replace(chain, potential=improved.potential)
            improved = relaxed_at(improved, chain.target)
        candidates = choose_candidates(
            candidates_at(search.candidates, chain.target), self.n_candidates, self.limits, improved
        )
        done = [] if improved is None else improved.relaxed
        candidates += ends_not_among(candidates, done, simple, chain.target)
        gone_on = {id(candidate.structure) for candidate in candidates}
        before = [one for one in done if id(one.structure) not in gone_on]
        if not candidates and not before:
            raise ValueError(
                "the search found no acceptable structure; raise search.evolution.generations"
            )
        limits = self.limits_of(len(candidates))
        relaxations = [
            *relaxations_of(candidates, chain, limits),
            *relaxations_of_known(known or {}, chain, self.limits),
        ]
        jobs = [work.uuid for work in relaxations]
        asked = AskedCandidates(
            candidates=[*candidates, *known_as_candidates(known or {}, chain.target.pressure)],
            jobs=jobs,
            known=list(known or {}),
            tried=tried_of(simple),
            before=before,
        )
        refining = self.refine([work.output for work in relaxations], chain, asked)
        refining.name = "symmetry"
        # a relaxation that failed for good leaves a gap, not a dead campaign
        refining.config.on_missing_references = OnMissing.NONE
        parts: list[Flow | Job] = [*relaxations, tag(refining, STAGES["candidates"])]
        return Response(replace=spawn(Flow(parts, output=refining.output)))

    @job(config=JobConfig(on_missing_references=OnMissing.NONE))
    def refine(
        self, relaxed: list[RelaxDocument | None], chain: CandidateChain, asked: AskedCandidates
    ) -> Response:
        """
        Evaluate what is more symmetric than it was relaxed, a job each, and rank after that.

        Structures that became the same are refined once.

        Parameters
        ----------
        relaxed : list of RelaxDocument or None
            One for each candidate; none where the job failed.
        chain : CandidateChain
            What was looked for, and by which engine.
        asked : AskedCandidates
            What was to be relaxed.
        """
        # the ways of the relaxations stay where they are
        relaxed = [one and one.model_copy(update={"frames": None}) for one in relaxed]
        rows = self._ranking(chain).rows(relaxed, asked)
        counted = relaxed[: len(relaxed) - len(asked.known)]  # known phases have no budget
        variants, limits = self._variants(rows, sum(one.steps + 1 for one in counted if one))
        maker = chain.engine.relax(replace(limits, pressure=chain.target.pressure))
        refinements = []
        for variant in variants:
            work = maker.make(variant.structure, "candidates")
            work.name = f"refine to {variant.symbol}"
            refinements.append(tag(work, STAGES["candidates"], REFERENCE_QUEUE))
        ranking = self.rank(
            relaxed,
            chain,
            asked,
            [(v.row, v.tolerance, w.uuid) for v, w in zip(variants, refinements, strict=True)],
            [work.output for work in refinements],
            [work for work, one in zip(asked.jobs, relaxed, strict=True) if one],
        )
        ranking.name = "rank"
        # what is more symmetric and failed leaves the relaxed structure
        ranking.config.on_missing_references = OnMissing.NONE
        flow = Flow([*refinements, tag(ranking, STAGES["candidates"])], output=ranking.output)
        return Response(replace=spawn(flow))

    def _variants(
        self, rows: Sequence[CandidateDocument], used: int
    ) -> tuple[list[Variant], RelaxationLimits]:
        """More symmetric structures that there are evaluations for, and limits of each."""
        found: list[Variant] = []
        if self._refines:
            numbers = {id(row): number for number, row in enumerate(rows)}
            known = [row for row in rows if row.energy is not None]
            for row in distinct(known, self.symmetry_energy / 1000):
                found += variants_of(numbers[id(row)], row.structure, self.symmetry_tolerance)
        left = None if self.budget is None else max(0, self.budget - used)
        number, steps = share_out(len(found), self.symmetry_steps, left)
        return found[:number], replace(self.limits, max_steps=steps)

    def limits_of(self, number: int) -> RelaxationLimits:
        """
        Limits of each of so many relaxations, with its share of the budget.

        Parameters
        ----------
        number : int
            Structures.
        """
        if self.budget is None:
            return self.limits
        budget = self.budget
        if self._refines:
            budget -= budget // REFINEMENT_SHARE
        # the first evaluation is no step
        share = max(1, budget // max(1, number) - 1)
        return replace(self.limits, max_steps=min(self.limits.max_steps, share))

    def _ranking(self, chain: CandidateChain) -> CandidateRanking:
        """Return what describes and ranks relaxed structures."""
        return CandidateRanking(chain, self.fitness, self.limits, self.symmetry_energy / 1000)

    @job(
        data=[Frames],
        config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE),
    )
    def rank(
        self,
        relaxed: list[RelaxDocument | None],
        chain: CandidateChain,
        asked: AskedCandidates,
        variants: Sequence[tuple[int, float, str]] = (),
        refined: Sequence[RelaxDocument | None] = (),
        ways: Sequence[str] = (),
    ) -> PredictionDocument:
        """
        Rank by the fitness at the reference level; structures that became the same count once.

        Parameters
        ----------
        relaxed : list of RelaxDocument or None
            One for each candidate; none where the job failed.
        chain : CandidateChain
            What was looked for, and by which engine.
        asked : AskedCandidates
            What was to be relaxed, and what was before.
        variants : sequence of tuple
            Of the more symmetric structures: which of all relaxed ones it is of, the tolerance in
            Å, and the job that evaluated it; of each the highest symmetry first.
        refined : sequence of RelaxDocument or None
            One for each of them; none where the job failed.
        ways : sequence of str
            Jobs that relaxed the candidates, whose configurations are kept as labels.
        """
        after = [Refined(*of, one) for of, one in zip(variants, refined, strict=True)]
        return self._ranking(chain).prediction(relaxed, asked, after, ways)
