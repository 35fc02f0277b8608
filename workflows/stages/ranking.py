"""Ranking crystals at the reference level, and how far the ranking is to be trusted."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from jobflow import CURRENT_JOB
from pymatgen.core import Structure

from search.state.fitness import better_first
from search.state.similarity import REFERENCE_ENERGY_TOLERANCE, TIGHTLY_RELAXED, match
from workflows.composition import Target
from workflows.documents.agreement import Agreement
from workflows.documents.improvement import RelaxedStructure
from workflows.documents.prediction import CandidateDocument
from workflows.documents.search import SearchCandidate
from workflows.documents.training import TrainingDocument
from workflows.engines.base import Engine
from workflows.engines.registry import installed_versions, magnetic_note
from workflows.jobs.outputs import output_of
from workflows.oxidation import unbalanced
from workflows.stages.agreement import Gate, single_points
from workflows.stages.at_pressures import levels
from workflows.stages.refinement import symmetry_of


def as_candidate(one: RelaxedStructure) -> SearchCandidate:
    """
    Describe what a round of learning has relaxed as a candidate, its energy that of the engine.

    Parameters
    ----------
    one : RelaxedStructure
        Not relaxed to the limits of the candidates.
    """
    return one.found.model_copy(
        update={
            "structure": one.structure,
            "pressure": one.pressure,
            "energy": one.energy,
            "energy_of": one.engine,
            "uncertainty": None,
        }
    )


def compare(ranked: Sequence[CandidateDocument], potential: str, gate: Gate) -> Agreement:
    """
    Evaluate the ranked structures by the potential, at the engine's geometries, and compare.

    Parameters
    ----------
    ranked : sequence of CandidateDocument
        Their fields for the potential are filled.
    potential : str
        Job that trained it.
    gate : Gate
        Says which of them count.
    """
    training: TrainingDocument = output_of(potential)
    energies, errors = single_points([d.structure for d in ranked], training.potential)
    for document, energy, error in zip(ranked, energies, errors, strict=True):
        document.single_point = float(energy)
        document.expected_error = float(error) if training.potential.n_members > 1 else None
    # at one geometry pressure and volume add the same to both: it counts for what is near the best
    level = levels([_AtPressure(d.pressure, enthalpy_of(d), d.structure) for d in ranked])
    return gate.compare(
        [enthalpy_of(d) - zero for d, zero in zip(ranked, level, strict=True)],
        [energy + d.work - zero for d, energy, zero in zip(ranked, energies, level, strict=True)],
        errors,
    )


class _AtPressure(NamedTuple):
    """Enthalpy (eV/atom) of a crystal at a pressure (kbar)."""

    pressure: float
    enthalpy: float
    structure: Structure


def doubt(found: Sequence[CandidateDocument], gate: Gate) -> str | None:
    """
    Say that a ranking is not to be trusted, if the engine contradicts the potential altogether.

    Parameters
    ----------
    found : sequence of CandidateDocument
        By the last search, relaxed by the engine afterwards. What earlier potentials found does not
        count: they may have been hopeless, and what they lacked learnt since.
    gate : Gate
        Says how much is too much.
    """
    both = [d for d in found if d.potential_energy is not None and d.energy is not None]
    everything = replace(gate, window=math.inf).compare(
        [enthalpy_of(d) for d in both],
        [
            d.potential_energy if d.potential_enthalpy is None else d.potential_enthalpy
            for d in both
        ],
    )
    if not gate.is_hopeless(everything):
        return None
    return (
        "this ranking is not to be trusted: the potential misjudged the structures that it found "
        f"({gate.describe(everything)}), so that others may be lower; run it with more rounds of "
        "learning, in another --folder: --set improve.rounds=6"
    )


def notes_on(target: Target, engine: Engine) -> list[str]:
    """Say what the engine cannot tell of a compound: sentences without full stops."""
    note = magnetic_note(engine, target.elements)
    return [] if note is None else [note]


def warning_of(target: Target, doubtful: str | None, of_ends: Sequence[str] = ()) -> str | None:
    """
    Join what to know before a ranking is trusted: doubts of ends, of it, and of the formula.

    Of one of several pressures, what holds for the compound is left to who joins them.
    """
    of_formula = None if target.pressures or target.is_system else unbalanced(target.formula)
    return "; ".join(filter(None, [*of_ends, doubtful, of_formula])) or None


def provenance() -> dict[str, str]:
    """Campaign of the current job, and versions of what computes energies and structures."""
    current = CURRENT_JOB.job
    campaign = {} if current is None else {"campaign": current.metadata.get("campaign", "")}
    return {**campaign, "python": platform.python_version(), **installed_versions()}


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


def enthalpy_of(candidate: CandidateDocument) -> float:
    """
    Enthalpy of a candidate by the reference engine, eV/atom: the energy without a pressure.

    Raises
    ------
    ValueError
        If the candidate has no energy.
    """
    return energy_of(candidate) if candidate.enthalpy is None else candidate.enthalpy


def potential_of(candidate: CandidateDocument) -> float | None:
    """
    Energy of a candidate by the potential, eV/atom; none if no potential has searched.

    That of the last potential at the engine's geometry where it was evaluated, else that at which
    the search had found it: a potential of an earlier round may have been far off.

    Parameters
    ----------
    candidate : CandidateDocument
    """
    if candidate.single_point is not None:
        return candidate.single_point
    return candidate.potential_energy


def distinct(
    documents: list[CandidateDocument], symmetry_energy: float = 0.0
) -> list[CandidateDocument]:
    """
    Sort from best to worst and keep one of each structure, in its smallest cell if it ties.

    That is the first, or the most symmetric of those that are hardly higher.

    Parameters
    ----------
    documents : list of CandidateDocument
        All with an energy.
    symmetry_energy : float
        By which a more symmetric one may be higher, eV/atom.
    """
    groups: list[list[CandidateDocument]] = []
    by_size = sorted(documents, key=lambda document: len(document.structure))
    for document in better_first(by_size, fitness_of):
        same = (group for group in groups if is_same(document, group[0]))
        group = next(same, None)
        if group is None:
            groups.append([document])
        else:
            group.append(document)
    kept = [_most_symmetric(group, symmetry_energy) for group in groups]
    return better_first(kept, fitness_of)


def is_same(one: CandidateDocument, other: CandidateDocument) -> bool:
    """Whether two crystals, relaxed at one pressure, are the same structure."""
    apart = abs(enthalpy_of(one) - enthalpy_of(other))
    return apart < REFERENCE_ENERGY_TOLERANCE and match(
        one.structure, other.structure, TIGHTLY_RELAXED
    )


def _most_symmetric(group: list[CandidateDocument], energy: float) -> CandidateDocument:
    """The most symmetric one of those that are higher than the first by no more than `energy`."""
    near = [one for one in group if fitness_of(one) <= fitness_of(group[0]) + energy]
    return max(near, key=symmetry_of)
