"""What is relaxed next where crystals of one pressure go to the others."""

from __future__ import annotations

from collections.abc import Sequence

from search.relax.pressure import compressed
from workflows.documents.prediction import CandidateDocument
from workflows.documents.search import SearchCandidate
from workflows.enthalpy_lines import crossings
from workflows.stages.exchange_state import ExchangeState
from workflows.stages.phases import (
    FollowedPhase,
    Rankings,
    describe_phases,
    key_of,
    line_of,
    standing_for,
)

#: Rounds of relaxations at the most, before those at transitions: in the first one a crystal may
#: become a new one, which is relaxed at the other pressures in the second.
MOST_ROUNDS = 2


def starts(
    state: ExchangeState, rankings: Rankings, phases: Sequence[FollowedPhase]
) -> list[tuple[CandidateDocument, SearchCandidate]]:
    """
    Find what is to be relaxed next: crystals at other pressures, and then at the transitions.

    Between two pressures a cubic may be off by much where crystals are soft; two more points
    where it says that lines cross make the crossing exact.

    Parameters
    ----------
    state : ExchangeState
        With the relaxations.
    rankings : mapping
        Crystals of each pressure, ranked.
    phases : sequence of FollowedPhase
        Followed through these.

    Returns
    -------
    list of tuple
        Row of a crystal, and where its relaxation at another pressure begins; empty after the
        last round.
    """
    if any(attempt.start.pressure not in rankings for attempt in state.attempts):
        return []
    missing = _missing(state, rankings, phases) if state.rounds < MOST_ROUNDS else []
    if missing:
        return missing
    lines = [line_of(phase) for phase in describe_phases(phases, in_order=False)]
    return [
        (row, _start(row, one.pressure))
        for one in crossings(lines)
        if one.pressure is not None
        for row in (phases[k].nearest(one.pressure) for k in (one.below, one.above))
    ]


def _missing(
    state: ExchangeState, rankings: Rankings, phases: Sequence[FollowedPhase]
) -> list[tuple[CandidateDocument, SearchCandidate]]:
    """Crystals that no relaxation has led to another pressure yet, and where they begin."""
    by_key = {key_of(row): row for row in state.rows}
    tried = set()
    for attempt in state.attempts:
        row = by_key[attempt.row]
        stand = standing_for(row, rankings[row.pressure]) or row
        tried.add((key_of(stand), attempt.start.pressure))
    found = []
    for phase in phases:
        for pressure in rankings:
            done = any((key_of(row), pressure) in tried for row in phase.rows.values())
            if pressure not in phase.rows and not done:
                row = phase.nearest(pressure)
                found.append((row, _start(row, pressure)))
    return found


def _start(row: CandidateDocument, pressure: float) -> SearchCandidate:
    """Crystal of a ranking at another pressure (kbar), compressed as compounds usually are."""
    structure = row.structure.copy()
    ratio = compressed(1.0, pressure) / compressed(1.0, row.pressure)
    structure.scale_lattice(structure.volume * ratio)
    return SearchCandidate(
        structure=structure,
        pressure=pressure,
        energy=row.energy if row.energy is not None else 0.0,
        energy_of=row.engine,
        formula_units=row.formula_units,
        found_by=row.found_by,
        found_at=row.found_at,
        of_prototype=row.of_prototype,
        converged=False,
    )
