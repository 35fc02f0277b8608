"""The best structures of the search, relaxed at the reference level and ranked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jobflow import Flow, Job, JobConfig, Maker, OnMissing, Response, job

from search.relax.limits import RelaxationLimits
from search.state.fitness import Fitness
from search.state.motifs import number_motifs
from search.symmetry import SYMMETRY_TOLERANCE, find_space_group
from workflows.composition import Target
from workflows.conversion import to_atoms
from workflows.documents.improvement import ImproveDocument, RelaxedStructure
from workflows.documents.schemas import (
    POTENTIAL,
    CandidateDocument,
    PredictionDocument,
    RelaxDocument,
    SearchCandidate,
    SearchDocument,
)
from workflows.engines.base import Engine
from workflows.jobs.idempotency import spawn
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.agreement import Gate
from workflows.stages.chain import ChainContext
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.ranking import (
    as_candidate,
    as_result,
    compare,
    distinct,
    doubt,
    energy_of,
    fitness_of,
    provenance,
)
from workflows.stages.reference_search import relaxed_by_engine
from workflows.stages.search_labels import pick, without_known
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference


@dataclass
class CandidateMaker(Maker):
    """
    Relax the best distinct structures by the reference engine, each in a job of its own.

    Parameters
    ----------
    n_candidates : int
        How many of the search's best are relaxed.
    budget : int or None
        Evaluations of the engine in all relaxations together, which share it equally: soft crystals
        would take hundreds of steps each for a meV/atom. None: no limit.
    limits : RelaxationLimits
        Where a relaxation stops.
    symmetry_tolerance : float
        Å, for the space group.
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
            "help": "evaluations in all relaxations together; none: no limit",
        },
    )
    limits: RelaxationLimits = field(
        default_factory=lambda: RelaxationLimits(max_force=0.02, max_stress=4.0, max_steps=500),
        metadata={"inline": True},
    )
    symmetry_tolerance: float = field(
        default=SYMMETRY_TOLERANCE, metadata={"range": (1e-5, 1.0), "unit": "Å"}
    )
    fitness: Fitness = field(default_factory=Fitness, metadata={"hidden": True})

    def make(
        self,
        search: SearchDocument | ImproveDocument | OutputReference,
        target: Target,
        engine: Engine,
        *,
        improved: ImproveDocument | OutputReference | None = None,
        potential: str | None = None,
        gate: Gate | None = None,
    ) -> Job:
        """
        Relax and rank.

        Parameters
        ----------
        search : SearchDocument, ImproveDocument or OutputReference
            Result of the search, of the rounds of learning, or of a stage behind them.
        target : Target
            What was looked for.
        engine : Engine
            Reference engine.
        improved : ImproveDocument, OutputReference or None
            Result of the rounds of learning, if there were any: what they have relaxed is ranked,
            too, and not relaxed again.
        potential : str or None
            Job that trained the potential of the first search; none: it searched without one.
        gate : Gate or None
            What is asked of the potential; none: the defaults.

        Returns
        -------
        Job
            Its output is a :class:`PredictionDocument`.
        """
        work = self.relax(search, target, engine, improved, potential, gate)
        work.name = "candidates"
        return tag(work, STAGES["candidates"])

    def follow(self, context: ChainContext) -> Job:
        """Relax and rank the candidates of the stage before."""
        training, improve = context.outputs.get("train"), context.makers.get("improve")
        return self.make(
            context.previous,
            context.target,
            context.reference,
            improved=context.outputs.get("improve"),
            potential=None if training is None else training.uuid,
            gate=None if improve is None else improve.gate,
        )

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost: a job for each candidate, and the ranking."""
        number = min(self.n_candidates, context.n_crystals)
        return [
            context.relaxations(
                "candidates", REFERENCE_QUEUE, number, self.limits_of(number).max_steps
            ),
            repeated_decisions("candidates", 1),
        ]

    @job
    def relax(
        self,
        search: SearchDocument | ImproveDocument,
        target: Target,
        engine: Engine,
        improved: ImproveDocument | None = None,
        potential: str | None = None,
        gate: Gate | None = None,
    ) -> Response:
        """Make one relaxation for each candidate that has none yet, and the ranking after them."""
        if improved is not None:
            potential = improved.potential
        candidates = self.choose(search.candidates, improved)
        gone_on = {id(candidate.structure) for candidate in candidates}
        done = [] if improved is None else improved.relaxed
        before = [one for one in done if id(one.structure) not in gone_on]
        if not candidates and not before:
            raise ValueError(
                "the search found no acceptable structure; raise search.evolution.generations"
            )
        maker = engine.relax(self.limits_of(len(candidates)))
        relaxations = []
        for number, candidate in enumerate(candidates, start=1):
            work = maker.make(candidate.structure, "candidates")
            work.name = f"relax candidate {number}"
            relaxations.append(tag(work, STAGES["candidates"], REFERENCE_QUEUE))
        ranking = tag(
            self.rank(
                [work.output for work in relaxations], candidates, target, engine.name,
                [work.uuid for work in relaxations], before, potential, gate,
            ),
            STAGES["candidates"],
        )  # fmt: skip
        ranking.name = "rank"
        # a relaxation that failed for good leaves a gap, not a dead campaign
        ranking.config.on_missing_references = OnMissing.NONE
        return Response(replace=spawn(Flow([*relaxations, ranking], output=ranking.output)))

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
        # the first evaluation is no step
        share = max(1, self.budget // max(1, number) - 1)
        return replace(self.limits, max_steps=min(self.limits.max_steps, share))

    def choose(
        self, candidates: Sequence[SearchCandidate], improved: ImproveDocument | None = None
    ) -> list[SearchCandidate]:
        """
        Choose what is relaxed, spread over motifs.

        What the rounds of learning have relaxed counts as chosen; what they left half-way goes on
        from there. Where the potential does not resolve its best candidates, half as many again are
        taken. Some new ones are, however many there are already.

        Parameters
        ----------
        candidates : sequence of SearchCandidate
            Found by the search, best first.
        improved : ImproveDocument or None
            Result of the rounds of learning, if there were any.
        """
        if improved is None:
            return pick(candidates, self.n_candidates)
        begun = [one for one in improved.relaxed if not self._is_finished(one)]
        begun.sort(key=lambda one: one.energy)
        number = self.n_candidates + (0 if improved.trusted else self.n_candidates // 2)
        number -= len(improved.relaxed) - len(begun)
        new = without_known(candidates, improved.relaxed)
        least = math.ceil(self.n_candidates / 4)
        return pick([*map(as_candidate, begun), *new], max(number, least))

    def _is_finished(self, one: RelaxedStructure) -> bool:
        """Whether a round has relaxed a structure to the limits of this stage."""
        if one.max_force is None or one.max_stress is None:
            return one.converged
        limits = self.limits
        return one.max_force <= limits.max_force and one.max_stress <= limits.max_stress

    @job(config=JobConfig(expose_store=True, on_missing_references=OnMissing.NONE))
    def rank(
        self,
        relaxed: list[RelaxDocument | None],
        candidates: list[SearchCandidate],
        target: Target,
        engine: str,
        jobs: list[str],
        before: Sequence[RelaxedStructure] = (),
        potential: str | None = None,
        gate: Gate | None = None,
    ) -> PredictionDocument:
        """
        Rank by the fitness at the reference level; structures that became the same count once.

        Parameters
        ----------
        relaxed : list of RelaxDocument or None
            One for each candidate; none where the job failed.
        candidates : list of SearchCandidate
            As the search gave them.
        target : Target
            What was looked for.
        engine : str
            Name of the reference engine.
        jobs : list of str
            That relaxed them, by their ids.
        before : sequence of RelaxedStructure
            Relaxed by the rounds of learning, and not again.
        potential : str or None
            Job that trained the potential that is compared with the engine.
        gate : Gate or None
            What is asked of it; none: the defaults.
        """
        results = [
            result or _failed(candidate, engine)
            for result, candidate in zip(relaxed, candidates, strict=True)
        ]
        new = [
            self._describe(*row, target=target)
            for row in zip(results, candidates, jobs, strict=True)
        ]
        earlier = [
            self._describe(as_result(one, self._is_finished(one)), one.found, one.job, target)
            for one in before
        ]
        ranked = distinct([d for d in (*new, *earlier) if d.energy is not None])
        best = fitness_of(ranked[0]) if ranked else float("nan")
        motifs = number_motifs([to_atoms(document.structure) for document in ranked])
        for rank, (document, motif) in enumerate(zip(ranked, motifs, strict=True), start=1):
            document.rank, document.motif = rank, motif
            document.energy_above_best = (fitness_of(document) - best) * 1000
        energy = energy_of(ranked[0]) if ranked else float("nan")
        report_progress("candidates", 1, 1, best_eV_atom=energy)
        gate = gate or Gate()
        agreement = None if potential is None else compare(ranked, potential, gate)
        return PredictionDocument(
            formula=target.formula,
            engine=engine,
            candidates=ranked,
            failures=[
                f"candidate {number}: {document.failure}"
                for number, document in enumerate(new, start=1)
                if document.failure
            ],
            provenance=provenance(),
            agreement=agreement,
            evaluations=sum(result.steps + 1 for result in results),
            warning=None if potential is None else doubt(new, gate),
        )

    def _describe(
        self, result: RelaxDocument, candidate: SearchCandidate, job: str, target: Target
    ) -> CandidateDocument:
        structure, energy = result.structure, result.energy
        symbol, number = find_space_group(to_atoms(structure), self.symmetry_tolerance)
        return CandidateDocument(
            formula=target.formula,
            chemical_system="-".join(sorted(target.elements)),
            formula_units=candidate.formula_units,
            space_group=symbol,
            space_group_number=number,
            energy=energy,
            fitness=None if energy is None else self.fitness.of(relaxed_by_engine(result, energy)),
            potential_energy=candidate.energy if candidate.energy_of == POTENTIAL else None,
            density=float(structure.density),
            volume=structure.volume / len(structure),
            converged=result.converged,
            max_force=result.max_force,
            max_stress=result.max_stress,
            steps=result.steps,
            found_by=candidate.found_by,
            found_at=candidate.found_at,
            failure=result.failure,
            engine=result.engine,
            job=job,
            structure=structure,
        )


def _failed(candidate: SearchCandidate, engine: str) -> RelaxDocument:
    return RelaxDocument(
        structure=candidate.structure, engine=engine, failure="its job failed; see the log"
    )
