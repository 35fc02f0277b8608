"""Crystals at several pressures as phases: which of them are one, and which phase is the lowest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search.state.similarity import TIGHTLY_RELAXED, match
from workflows.documents.phases import Phase, PhasePoint, Transition
from workflows.documents.prediction import CandidateDocument
from workflows.enthalpy_lines import EnthalpyLine, crossings
from workflows.stages.ranking import energy_of, enthalpy_of, is_same

#: Ranked crystals by pressure in kbar, best first.
Rankings = Mapping[float, Sequence[CandidateDocument]]


@dataclass
class FollowedPhase:
    """
    A crystal at the pressures at which it is known.

    Attributes
    ----------
    rows : dict of float to CandidateDocument
        By pressure, kbar; rows of the rankings.
    """

    rows: dict[float, CandidateDocument] = field(default_factory=dict)

    def nearest(self, pressure: float) -> CandidateDocument:
        """Row at the pressure that is nearest to another one, in kbar."""
        return self.rows[min(self.rows, key=lambda known: abs(known - pressure))]

    def is_at(self, row: CandidateDocument) -> bool:
        """Whether a crystal is this one, at any volume."""
        return match(self.nearest(row.pressure).structure, row.structure, TIGHTLY_RELAXED)

    def join(self, other: FollowedPhase) -> None:
        """Take the rows of another phase that has become this one: the lower at each pressure."""
        for pressure, row in other.rows.items():
            own = self.rows.get(pressure)
            if own is None or enthalpy_of(row) < enthalpy_of(own):
                self.rows[pressure] = row


def key_of(row: CandidateDocument) -> str:
    """What tells a relaxed crystal from all others: the jobs that relaxed and refined it."""
    return f"{row.job}/{row.refined_by}"


def standing_for(
    row: CandidateDocument, ranked: Sequence[CandidateDocument]
) -> CandidateDocument | None:
    """
    Find a relaxed crystal in a ranking, or the one that it was found to be the same as.

    Parameters
    ----------
    row : CandidateDocument
        At the pressure of the ranking.
    ranked : sequence of CandidateDocument
        Each structure once.
    """
    itself = next((one for one in ranked if key_of(one) == key_of(row)), None)
    return itself or next((one for one in ranked if is_same(row, one)), None)


def follow_phases(
    rankings: Rankings,
    number: int,
    kept: Sequence[tuple[CandidateDocument, CandidateDocument]] = (),
) -> list[FollowedPhase]:
    """
    Find out which crystals at different pressures are one phase.

    Parameters
    ----------
    rankings : mapping
        Of each pressure.
    number : int
        The best of each pressure are followed, so many.
    kept : sequence of tuple
        Crystals that were relaxed from one pressure to another and stayed what they were: rows of
        the rankings, before and after.

    Returns
    -------
    list of FollowedPhase
        Each has one row at a pressure at the most, and no two have the same.
    """
    phases: list[FollowedPhase] = []
    for pressure, ranked in rankings.items():
        for row in ranked[:number]:
            open_ones = (one for one in phases if pressure not in one.rows)
            known = next((one for one in open_ones if one.is_at(row)), None)
            if known is None:
                phases.append(FollowedPhase({pressure: row}))
            else:
                known.rows[pressure] = row
    for before, after in kept:
        _link(phases, before, after)
    for phase in phases:
        for pressure in [p for p in rankings if p not in phase.rows]:
            taken = {id(one.rows[pressure]) for one in phases if pressure in one.rows}
            free = (row for row in rankings[pressure] if id(row) not in taken)
            found = next((row for row in free if phase.is_at(row)), None)
            if found is not None:
                phase.rows[pressure] = found
    return phases


def _link(phases: list[FollowedPhase], before: CandidateDocument, after: CandidateDocument) -> None:
    """Let two crystals be of one phase, one of which is of a phase already."""
    first = next((one for one in phases if one.rows.get(before.pressure) is before), None)
    second = next((one for one in phases if one.rows.get(after.pressure) is after), None)
    if first is None or first is second:
        return
    if second is None:
        first.join(FollowedPhase({after.pressure: after}))
        return
    second.join(first)
    phases.remove(first)


def describe_phases(phases: Sequence[FollowedPhase], in_order: bool = True) -> list[Phase]:
    """
    Number phases and say what they are at each pressure.

    Parameters
    ----------
    phases : sequence of FollowedPhase
        Their rows are ranked, but for those at transitions.
    in_order : bool
        Whether they are sorted; else they are in the order given.

    Returns
    -------
    list of Phase
        Those first that are the lowest, from the lowest pressure on.
    """
    described = [
        [
            PhasePoint(
                pressure=pressure,
                enthalpy=enthalpy_of(row),
                energy=energy_of(row),
                volume=row.volume,
                above_best=row.energy_above_best,
                rank=row.rank,
                space_group=row.space_group,
                formula_units=row.formula_units,
            )
            for pressure, row in sorted(phase.rows.items())
        ]
        for phase in phases
    ]
    if in_order:  # by the best rank that they ever have, and where they have it
        described.sort(key=lambda points: min((p.rank, p.pressure) for p in points if p.rank))
    return [Phase(number=k, points=points) for k, points in enumerate(described, start=1)]


def find_transitions(phases: Sequence[Phase]) -> list[Transition]:
    """
    Follow the phase of lowest enthalpy from the lowest pressure to the highest.

    Parameters
    ----------
    phases : sequence of Phase
        Relaxed by one engine.
    """
    lines = [line_of(phase) for phase in phases]
    found = []
    for one in crossings(lines):
        change = None
        if one.pressure is not None:
            volumes = [lines[k].volume_at(one.pressure) for k in (one.below, one.above)]
            change = volumes[1] / volumes[0] - 1
        found.append(
            Transition(
                below=phases[one.below].number,
                above=phases[one.above].number,
                pressure=one.pressure,
                between=list(one.between),
                volume_change=change,
            )
        )
    return found


def line_of(phase: Phase) -> EnthalpyLine:
    """Enthalpy of a phase against the pressure."""
    return EnthalpyLine(
        phase.pressures,
        [point.enthalpy for point in phase.points],
        [point.volume for point in phase.points],
    )
