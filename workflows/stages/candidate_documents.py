"""Documents of candidates as the reference engine relaxed them, before they are ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.symmetry import TIGHT_TOLERANCE, find_space_group
from workflows.conversion import to_atoms
from workflows.documents.improvement import RelaxedStructure
from workflows.documents.prediction import CandidateDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import POTENTIAL, SearchCandidate
from workflows.stages.candidate_state import AskedCandidates
from workflows.stages.reference_search import relaxed_by_engine

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from search.relax.limits import RelaxationLimits
    from search.state.fitness import Fitness
    from workflows.composition import Target


@dataclass(frozen=True)
class CandidateDocuments:
    """
    Describes relaxed structures.

    Parameters
    ----------
    target : Target
        What was looked for.
    engine : str
        Name of the reference engine.
    fitness : Fitness
        What ranks them.
    limits : RelaxationLimits
        Where their relaxations end.
    """

    target: Target
    engine: str
    fitness: Fitness
    limits: RelaxationLimits

    def all(
        self, relaxed: Sequence[RelaxDocument | None], asked: AskedCandidates
    ) -> list[CandidateDocument]:
        """
        Describe what this stage has relaxed, and behind it what was relaxed before.

        Parameters
        ----------
        relaxed : sequence of RelaxDocument or None
            One for each candidate; none where the job failed.
        asked : AskedCandidates
            What was to be relaxed.
        """
        results = [
            result or _failed(candidate, self.engine, self.target.pressure)
            for result, candidate in zip(relaxed, asked.candidates, strict=True)
        ]
        new = [self.one(*row) for row in zip(results, asked.candidates, asked.jobs, strict=True)]
        earlier = [
            self.one(_as_result(one, is_finished(one, self.limits)), one.found, one.job)
            for one in asked.before
        ]
        # in the rows of known phases their labels: behind all other new ones
        for row, label in zip(new[len(new) - len(asked.known) :], asked.known, strict=True):
            row.known = label
        return [*new, *earlier]

    def one(self, result: RelaxDocument, candidate: SearchCandidate, job: str) -> CandidateDocument:
        """
        Describe one relaxed structure.

        Parameters
        ----------
        result : RelaxDocument
            Of its relaxation.
        candidate : SearchCandidate
            As the search gave it.
        job : str
            Id of the job that relaxed it.
        """
        structure, energy = result.structure, result.energy
        symbol, number = find_space_group(to_atoms(structure), TIGHT_TOLERANCE)
        by_potential = candidate.energy_of == POTENTIAL
        return CandidateDocument(
            formula=self.target.formula_of(structure),
            chemical_system=_chemical_system(structure),
            formula_units=candidate.formula_units,
            space_group=symbol,
            space_group_number=number,
            symmetry_tolerance=TIGHT_TOLERANCE,
            pressure=result.pressure,
            energy=energy,
            enthalpy=result.enthalpy if result.pressure else None,
            fitness=None if energy is None else self.fitness.of(relaxed_by_engine(result, energy)),
            potential_energy=candidate.energy if by_potential else None,
            potential_enthalpy=candidate.enthalpy if by_potential and candidate.pressure else None,
            magnetic_moments=result.moments_by_element,
            density=float(structure.density),
            volume=structure.volume / len(structure),
            converged=result.converged,
            max_force=result.max_force,
            max_stress=result.max_stress,
            steps=result.steps,
            found_by=candidate.found_by,
            found_at=candidate.found_at,
            of_prototype=candidate.of_prototype,
            failure=result.failure,
            engine=result.engine,
            job=job,
            relaxed_energy=energy,
            relaxed=structure,
            structure=structure,
        )


def _chemical_system(structure: Structure) -> str:
    return "-".join(sorted(element.symbol for element in structure.elements))


def is_finished(one: RelaxedStructure, limits: RelaxationLimits) -> bool:
    """
    Whether a round of learning has relaxed a structure to the limits of the candidates.

    Parameters
    ----------
    one : RelaxedStructure
        By the reference engine.
    limits : RelaxationLimits
        Of force and stress.
    """
    if one.max_force is None or one.max_stress is None:
        return one.converged
    return one.max_force <= limits.max_force and one.max_stress <= limits.max_stress


def _as_result(one: RelaxedStructure, converged: bool) -> RelaxDocument:
    """Describe what a round of learning has relaxed as the relaxation of a candidate."""
    return RelaxDocument(
        structure=one.structure,
        pressure=one.pressure,
        engine=one.engine,
        energy=one.energy,
        max_force=one.max_force,
        max_stress=one.max_stress,
        converged=converged,
        steps=one.steps,
        magnetic_moments=one.magnetic_moments,
    )


def _failed(candidate: SearchCandidate, engine: str, pressure: float) -> RelaxDocument:
    return RelaxDocument(
        structure=candidate.structure,
        pressure=pressure,
        engine=engine,
        failure="its job failed; see the log",
    )
