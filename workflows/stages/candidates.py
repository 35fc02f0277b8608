"""The best structures of the search, relaxed at the reference level and ranked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from jobflow import CURRENT_JOB, Flow, Job, JobConfig, Maker, OnMissing, Response, job

from search.relax.limits import RelaxationLimits
from search.state.fitness import Fitness, better_first
from search.state.motifs import number_motifs
from search.state.similarity import REFERENCE_ENERGY_TOLERANCE, TIGHTLY_RELAXED, match
from search.symmetry import SYMMETRY_TOLERANCE, find_space_group
from workflows.composition import Target
from workflows.conversion import to_atoms
from workflows.documents.schemas import (
    POTENTIAL,
    CandidateDocument,
    PredictionDocument,
    RelaxDocument,
    SearchCandidate,
    SearchDocument,
)
from workflows.engines.base import Engine
from workflows.engines.registry import installed_versions
from workflows.jobs.idempotency import spawn
from workflows.jobs.progress import report_progress
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.chain import ChainContext
from workflows.stages.cost import Cost, CostContext, repeated_decisions
from workflows.stages.reference_search import relaxed_by_engine
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
    limits: RelaxationLimits = field(
        default_factory=lambda: RelaxationLimits(max_force=0.02, max_stress=4.0, max_steps=500),
        metadata={"inline": True},
    )
    symmetry_tolerance: float = field(
        default=SYMMETRY_TOLERANCE, metadata={"range": (1e-5, 1.0), "unit": "Å"}
    )
    fitness: Fitness = field(default_factory=Fitness, metadata={"hidden": True})

    def make(self, search: SearchDocument | OutputReference, target: Target, engine: Engine) -> Job:
        """
        Relax and rank.

        Parameters
        ----------
        search : SearchDocument or OutputReference
            Result of the search.
        target : Target
            What was looked for.
        engine : Engine
            Reference engine.

        Returns
        -------
        Job
            Its output is a :class:`PredictionDocument`.
        """
        work = self.relax(search, target, engine)
        work.name = "candidates"
        return tag(work, STAGES["candidates"])

    def follow(self, context: ChainContext) -> Job:
        """Relax and rank the candidates of the stage before."""
        return self.make(context.previous, context.target, context.reference)

    def cost(self, context: CostContext) -> list[Cost]:
        """Expected cost: a job for each candidate, and the ranking."""
        number = min(self.n_candidates, context.n_crystals)
        return [
            context.relaxations("candidates", REFERENCE_QUEUE, number, self.limits.max_steps),
            repeated_decisions("candidates", 1),
        ]

    @job
    def relax(self, search: SearchDocument, target: Target, engine: Engine) -> Response:
        """Make one relaxation for each candidate, and the ranking after them."""
        candidates = search.candidates[: self.n_candidates]
        if not candidates:
            raise ValueError(
                "the search found no acceptable structure; raise search.evolution.generations"
            )
        relaxations = []
        for number, candidate in enumerate(candidates, start=1):
            work = engine.relax(self.limits).make(candidate.structure, "candidates")
            work.name = f"relax candidate {number}"
            relaxations.append(tag(work, STAGES["candidates"], REFERENCE_QUEUE))
        ranking = tag(
            self.rank(
                [work.output for work in relaxations], candidates, target, engine.name,
                [work.uuid for work in relaxations],
            ),
            STAGES["candidates"],
        )  # fmt: skip
        ranking.name = "rank"
        # a relaxation that failed for good leaves a gap, not a dead campaign
        ranking.config.on_missing_references = OnMissing.NONE
        return Response(replace=spawn(Flow([*relaxations, ranking], output=ranking.output)))

    @job(config=JobConfig(on_missing_references=OnMissing.NONE))
    def rank(
        self,
        relaxed: list[RelaxDocument | None],
        candidates: list[SearchCandidate],
        target: Target,
        engine: str,
        jobs: list[str],
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
        """
        documents = [
            self._describe(result or _failed(candidate, engine), candidate, target, job)
            for result, candidate, job in zip(relaxed, candidates, jobs, strict=True)
        ]
        ranked = distinct([d for d in documents if d.energy is not None])
        best = fitness_of(ranked[0]) if ranked else float("nan")
        motifs = number_motifs([to_atoms(document.structure) for document in ranked])
        for rank, (document, motif) in enumerate(zip(ranked, motifs, strict=True), start=1):
            document.rank, document.motif = rank, motif
            document.energy_above_best = (fitness_of(document) - best) * 1000
        energy = energy_of(ranked[0]) if ranked else float("nan")
        report_progress("candidates", 1, 1, best_eV_atom=energy)
        return PredictionDocument(
            formula=target.formula,
            engine=engine,
            candidates=ranked,
            failures=[
                f"candidate {number}: {document.failure}"
                for number, document in enumerate(documents, start=1)
                if document.failure
            ],
            provenance=provenance(),
        )

    def _describe(
        self, result: RelaxDocument, candidate: SearchCandidate, target: Target, job: str
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


def provenance() -> dict[str, str]:
    """Campaign of the current job, and versions of what computes energies and structures."""
    current = CURRENT_JOB.job
    campaign = {} if current is None else {"campaign": current.metadata.get("campaign", "")}
    return {**campaign, **installed_versions()}


class Ranked(Protocol):
    """Whatever is ranked: a candidate, or what a report keeps of it."""

    @property
    def formula(self) -> str:
        """Of the compound."""

    @property
    def energy(self) -> float | None:
        """Of the reference engine, eV/atom."""

    @property
    def fitness(self) -> float | None:
        """What it is ranked by, eV/atom; none: the energy."""


def fitness_of(candidate: Ranked) -> float:
    """
    What candidates are ranked by: their fitness at the reference level, eV/atom.

    Raises
    ------
    ValueError
        If the candidate has no energy.
    """
    return energy_of(candidate) if candidate.fitness is None else candidate.fitness


def energy_of(candidate: Ranked) -> float:
    """
    Energy of a candidate by the reference engine, eV/atom.

    Raises
    ------
    ValueError
        If the candidate has none.
    """
    if candidate.energy is None:
        raise ValueError(f"a candidate of {candidate.formula} has no energy to be ranked by")
    return candidate.energy


def distinct(documents: list[CandidateDocument]) -> list[CandidateDocument]:
    """
    Sort from best to worst and keep the first of each structure, in its smallest cell if it ties.

    Parameters
    ----------
    documents : list of CandidateDocument
        All with an energy.
    """
    kept: list[CandidateDocument] = []
    by_size = sorted(documents, key=lambda document: document.formula_units)
    for document in better_first(by_size, fitness_of):
        same = any(
            abs(energy_of(document) - energy_of(other)) < REFERENCE_ENERGY_TOLERANCE
            and match(document.structure, other.structure, TIGHTLY_RELAXED)
            for other in kept
        )
        if not same:
            kept.append(document)
    return kept
