"""Ranking crystals at the reference level, and how far the ranking is to be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from jobflow import CURRENT_JOB

from nnp.evaluation import predict
from nnp.frames import Frames
from search.state.fitness import better_first
from search.state.similarity import REFERENCE_ENERGY_TOLERANCE, TIGHTLY_RELAXED, match
from workflows.conversion import to_atoms
from workflows.documents.agreement import Agreement
from workflows.documents.improvement import RelaxedStructure
from workflows.documents.schemas import CandidateDocument, RelaxDocument, TrainingDocument
from workflows.engines.registry import installed_versions
from workflows.jobs.outputs import output_of
from workflows.stages.agreement import Gate


def as_result(one: RelaxedStructure) -> RelaxDocument:
    """
    Describe what a round of learning has relaxed as the relaxation of a candidate.

    Parameters
    ----------
    one : RelaxedStructure
        Relaxed to the limits of the candidates.
    """
    return RelaxDocument(
        structure=one.structure,
        engine=one.engine,
        energy=one.energy,
        max_force=one.max_force,
        max_stress=one.max_stress,
        converged=True,
        steps=one.steps,
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
    frames = Frames.from_atoms([to_atoms(document.structure) for document in ranked])
    if not len(frames):
        return Agreement(window=gate.window, n=0)
    found = predict(training.potential, frames)
    energies = found.energies / frames.counts
    for document, energy, error in zip(ranked, energies, found.uncertainties, strict=True):
        document.single_point = float(energy)
        document.expected_error = float(error) if training.potential.n_members > 1 else None
    return gate.compare([energy_of(d) for d in ranked], energies, found.uncertainties)


def doubt(ranked: Sequence[CandidateDocument], gate: Gate) -> str | None:
    """
    Say that a ranking is not to be trusted, if the engine contradicts the potential altogether.

    Parameters
    ----------
    ranked : sequence of CandidateDocument
        With the energies of both.
    gate : Gate
        Says how much is too much.
    """
    both = [d for d in ranked if d.potential_energy is not None]
    everything = replace(gate, window=math.inf).compare(
        [energy_of(d) for d in both], [d.potential_energy or 0.0 for d in both]
    )
    if not gate.is_hopeless(everything):
        return None
    return (
        "this ranking is not to be trusted: the potential misjudged the structures that it found "
        f"({gate.describe(everything)}), so that others may be lower; go on with more rounds: "
        "--set improve.rounds=6"
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
