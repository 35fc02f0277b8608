"""The ranking of what the reference engine has relaxed, as a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.relax.limits import RelaxationLimits
from search.state.fitness import Fitness
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.jobs.outputs import output_of
from workflows.jobs.progress import report_progress
from workflows.stages.candidate_documents import CandidateDocuments
from workflows.stages.candidate_state import AskedCandidates, CandidateChain
from workflows.stages.end_doubts import doubtful_ends
from workflows.stages.final_ranking import rank_rows
from workflows.stages.ranking import (
    compare,
    doubt,
    enthalpy_of,
    notes_on,
    provenance,
    warning_of,
)
from workflows.stages.refinement import Refined
from workflows.stages.relaxation_labels import labels_of
from workflows.stages.system_ranking import SystemRanking
from workflows.system import SystemTarget


@dataclass(frozen=True)
class CandidateRanking:
    """
    Describes and ranks relaxed structures.

    Parameters
    ----------
    chain : CandidateChain
        What was looked for, and by which engine.
    fitness : Fitness
        What ranks them.
    limits : RelaxationLimits
        Where their relaxations end.
    symmetry_energy : float
        By which a more symmetric structure may be higher, eV/atom.
    """

    chain: CandidateChain
    fitness: Fitness
    limits: RelaxationLimits
    symmetry_energy: float

    def rows(
        self, relaxed: Sequence[RelaxDocument | None], asked: AskedCandidates
    ) -> list[CandidateDocument]:
        """
        Describe what was relaxed, and behind it what was before.

        Parameters
        ----------
        relaxed : sequence of RelaxDocument or None
            One for each candidate; none where the job failed.
        asked : AskedCandidates
            What was to be relaxed.
        """
        chain = self.chain
        documents = CandidateDocuments(chain.target, chain.engine.name, self.fitness, self.limits)
        return documents.all(relaxed, asked)

    def prediction(
        self,
        relaxed: Sequence[RelaxDocument | None],
        asked: AskedCandidates,
        refined: Sequence[Refined],
        ways: Sequence[str],
    ) -> PredictionDocument:
        """
        Rank; structures that became the same count once.

        Parameters
        ----------
        relaxed : sequence of RelaxDocument or None
            One for each candidate; none where the job failed.
        asked : AskedCandidates
            What was to be relaxed, and what was before.
        refined : sequence of Refined
            More symmetric structures; of each the highest symmetry first.
        ways : sequence of str
            Jobs that relaxed the candidates, whose configurations are kept as labels.
        """
        target, engine = self.chain.target, self.chain.engine
        potential, gate = self.chain.potential, self.chain.gate
        rows = self.rows(relaxed, asked)
        new = rows[: len(asked.candidates)]
        ranked, of_system = self._ranked(rows, refined)
        agreement = None if potential is None else compare(ranked, potential, gate)
        results = [one.result for one in refined if one.result]
        frames = labels_of([*map(output_of, ways), *results])
        return PredictionDocument(
            formula=target.formula,
            engine=engine.name,
            pressure=target.pressure,
            candidates=ranked,
            failures=[
                f"{document.known or f'candidate {number}'}: {document.failure}"
                for number, document in enumerate(new, start=1)
                if document.failure
            ],
            notes=notes_on(target, engine),
            provenance=provenance(),
            agreement=agreement,
            evaluations=sum(one.steps + 1 if one else 1 for one in relaxed)
            + sum(one.steps + 1 for one in results),
            n_frames=len(frames),
            frames=frames,
            **of_system,
            warning=warning_of(
                target,
                None if potential is None else doubt(new, gate),
                doubtful_ends(target, ranked, asked.tried)
                if isinstance(target, SystemTarget)
                else (),
            ),
        )

    def _ranked(
        self, rows: Sequence[CandidateDocument], refined: Sequence[Refined]
    ) -> tuple[list[CandidateDocument], dict[str, Any]]:
        """Rank them; of a system also its known phases and its hull, as fields of the document."""
        target = self.chain.target
        if isinstance(target, SystemTarget):
            ranking = SystemRanking(
                target, self.chain.engine.name, self.fitness, self.symmetry_energy
            )
            ranked, known, hull = ranking.rank(rows, refined)
            report_progress("candidates", 1, 1, on_hull=", ".join(hull.stable))
            return ranked, {"known": known, "hulls": [hull]}
        unit = sum(target.counts.values())
        ranked = rank_rows(rows, refined, unit, self.fitness, self.symmetry_energy)
        lowest = enthalpy_of(ranked[0]) if ranked else float("nan")
        report_progress("candidates", 1, 1, best_eV_atom=lowest)
        return ranked, {}
