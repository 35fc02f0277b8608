"""Phases and transitions of searches at several pressures, relaxed by what searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from search.relax.limits import RelaxationLimits
from search.relax.relaxed import Relaxed
from search.relax.relaxer import Relaxer
from workflows.conversion import to_atoms, to_structure
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.search import SearchCandidate
from workflows.stages.candidate_documents import CandidateDocuments
from workflows.stages.exchange import ExchangeMaker
from workflows.stages.exchange_starts import starts
from workflows.stages.exchange_state import Attempt, ExchangeState
from workflows.stages.phases import describe_phases, find_transitions, key_of

if TYPE_CHECKING:
    from search.relax.energy import BatchEnergy
    from search.state.individual import Individual
    from workflows.composition import Target

#: Where relaxations at another pressure end.
LIMITS = RelaxationLimits(max_force=0.01, max_stress=1.0, max_steps=1000)


def exchange_found(
    target: Target,
    found: Mapping[float, Sequence[Individual]],
    energy: BatchEnergy,
    engine: str,
    maker: ExchangeMaker | None = None,
) -> PredictionDocument:
    """
    Relax the best of searches at each pressure at the others, and follow the phases.

    Parameters
    ----------
    target : Target
        What was looked for, at several pressures.
    found : mapping
        The best distinct structures by pressure, kbar; their energies are enthalpies.
    energy : BatchEnergy
        That they were searched on.
    engine : str
        Its name.
    maker : ExchangeMaker or None
        How many are exchanged; none: the usual number.

    Returns
    -------
    PredictionDocument
        Its ranking, phases and transitions; no relaxation is kept as a label.
    """
    maker = maker or ExchangeMaker(limits=LIMITS)
    state = ExchangeState(
        rankings=[],
        rows=[
            _row(target.at(pressure), member, engine, maker)
            for pressure, members in found.items()
            for member in members
        ],
    )
    while True:
        rankings = maker.rank(state, target)
        phases = maker.follow(state, rankings)
        missing = starts(state, rankings, phases)
        if not missing:
            break
        attempts = [
            Attempt(row=key_of(row), start=start, job=f"round {state.rounds + 1}, {number}")
            for number, (row, start) in enumerate(missing)
        ]
        results = [_relax(attempt.start, energy, engine, maker.limits) for attempt in attempts]
        begun = state.model_copy(
            update={"attempts": [*state.attempts, *attempts], "rounds": state.rounds + 1}
        )
        state = maker.take_in(results, begun, target, engine)
    described = describe_phases(phases)
    return PredictionDocument(
        formula=target.formula,
        engine=engine,
        pressure=target.pressures[0],
        pressures=list(target.pressures),
        candidates=[row for rows in rankings.values() for row in rows],
        phases=described,
        transitions=find_transitions(described),
        failures=state.failures,
        evaluations=state.evaluations,
    )


def _row(
    target: Target, member: Individual, engine: str, maker: ExchangeMaker
) -> CandidateDocument:
    """Describe a structure of a search at one of the pressures."""
    structure = to_structure(member.structure)
    candidate = SearchCandidate(
        structure=structure, pressure=target.pressure, energy=0.0, energy_of=engine,
        formula_units=member.formula_units, found_by=member.operator, found_at=member.id + 1,
        of_prototype=member.of_prototype,
    )  # fmt: skip
    energy = member.energy - candidate.work
    result = RelaxDocument(
        structure=structure, pressure=target.pressure, engine=engine, energy=energy,
        converged=member.converged,
    )  # fmt: skip
    documents = CandidateDocuments(target, engine, maker.fitness, maker.limits)
    return documents.one(
        result,
        candidate.model_copy(update={"energy": energy}),
        f"{target.pressure:g} kbar, {member.id}",
    )


def _relax(
    start: SearchCandidate, energy: BatchEnergy, engine: str, limits: RelaxationLimits
) -> RelaxDocument:
    """Relax a crystal at the pressure that it has now."""
    at_pressure = replace(limits, pressure=start.pressure)
    relaxer = Relaxer(at_pressure, energy_window=None, tight_window=None)
    (relaxed,) = relaxer.relax([to_atoms(start.structure)], energy)
    return _document(relaxed, start.pressure, engine)


def _document(relaxed: Relaxed, pressure: float, engine: str) -> RelaxDocument:
    """Describe what a search's relaxer has left as the relaxation by an engine."""
    result = RelaxDocument(
        structure=to_structure(relaxed.atoms),
        pressure=pressure,
        engine=engine,
        steps=relaxed.steps,
        converged=relaxed.converged,
        max_force=relaxed.max_force,
        max_stress=relaxed.max_stress,
    )
    if not relaxed.usable:
        return result.model_copy(update={"failure": relaxed.status})
    per_atom = relaxed.energy / len(relaxed.atoms) - result.work
    return result.model_copy(update={"energy": per_atom})
