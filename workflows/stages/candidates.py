"""The best structures of the search, relaxed at the reference level and ranked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobflow import CURRENT_JOB, Flow, Job, JobConfig, Maker, OnMissing, Response, job
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from search.relax.limits import RelaxationLimits
from workflows.composition import Target
from workflows.documents.schemas import (
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
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import OutputReference
    from pymatgen.core import Structure


@dataclass
class CandidateMaker(Maker):
    """
    Relax the best distinct structures by the reference engine, each in a job of its own.

    Parameters
    ----------
    n_candidates
        How many of the search's best are relaxed.
    limits : RelaxationLimits
        Where a relaxation stops.
    symmetry_tolerance
        Å, for the space group.
    """

    name: str = "candidates"
    n_candidates: int = field(
        default=20, metadata={"positive": True, "help": "relaxed by the reference engine"}
    )
    limits: RelaxationLimits = field(
        default_factory=lambda: RelaxationLimits(max_force=0.02, max_stress=4.0, max_steps=500),
        metadata={"inline": True},
    )
    symmetry_tolerance: float = field(default=0.1, metadata={"positive": True, "unit": "Å"})

    def make(self, search: SearchDocument | OutputReference, target: Target, engine: Engine) -> Job:
        """
        Relax and rank.

        Parameters
        ----------
        search
            Result of the search.
        target
            What was looked for.
        engine
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
        Rank by the reference energy; structures that became the same count once.

        Parameters
        ----------
        relaxed
            One for each candidate; none where the job failed.
        candidates
            As the search gave them.
        target
            What was looked for.
        engine
            Name of the reference engine.
        jobs
            That relaxed them, by their ids.
        """
        documents = [
            self._describe(result or _failed(candidate, engine), candidate, target, job)
            for result, candidate, job in zip(relaxed, candidates, jobs, strict=True)
        ]
        ranked = distinct([d for d in documents if d.energy is not None])
        for rank, document in enumerate(ranked, start=1):
            document.rank = rank
            document.energy_above_best = (energy_of(document) - energy_of(ranked[0])) * 1000
        report_progress(
            "candidates", 1, 1, best_eV_atom=energy_of(ranked[0]) if ranked else float("nan")
        )
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
        structure = result.structure
        symbol, number = space_group(structure, self.symmetry_tolerance)
        return CandidateDocument(
            formula=target.formula,
            chemical_system="-".join(sorted(target.elements)),
            formula_units=candidate.formula_units,
            space_group=symbol,
            space_group_number=number,
            energy=result.energy,
            potential_energy=candidate.energy,
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


def space_group(structure: Structure, tolerance: float) -> tuple[str, int]:
    """
    Symbol and number of the space group; P1 where none can be found.

    Parameters
    ----------
    structure
        Any.
    tolerance
        Å
    """
    try:
        analyzer = SpacegroupAnalyzer(structure, symprec=tolerance)
        return analyzer.get_space_group_symbol(), analyzer.get_space_group_number()
    except (TypeError, ValueError):  # spglib gives nothing for odd cells
        return "P1", 1


def provenance() -> dict[str, str]:
    """Campaign of the current job, and versions of what computes energies and structures."""
    current = CURRENT_JOB.job
    campaign = {} if current is None else {"campaign": current.metadata.get("campaign", "")}
    return {**campaign, **installed_versions()}


def energy_of(document: CandidateDocument) -> float:
    """Reference energy in eV/atom; infinite where there is none, so that it sorts last."""
    return float("inf") if document.energy is None else document.energy


def distinct(documents: list[CandidateDocument]) -> list[CandidateDocument]:
    """
    Sort by energy and keep the first of each structure.

    Two are the same if their energies agree within 5 meV/atom and pymatgen's matcher, which
    reduces cells, maps one onto the other.

    Parameters
    ----------
    documents
        All with an energy.
    """
    matcher = StructureMatcher(ltol=0.15, stol=0.2, angle_tol=4)
    kept: list[CandidateDocument] = []
    for document in sorted(documents, key=lambda d: (energy_of(d), d.formula_units)):
        same = any(
            abs(energy_of(document) - energy_of(other)) < 0.005
            and matcher.fit(document.structure, other.structure)
            for other in kept
        )
        if not same:
            kept.append(document)
    return kept
