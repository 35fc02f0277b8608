"""Known phases beside a ranking: whether they were found, where, and how far above or below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launch.report.pressure import at_pressure
from search.state.similarity import REFERENCE_ENERGY_TOLERANCE, TIGHTLY_RELAXED, match
from workflows.stages.ranking import fitness_of

if TYPE_CHECKING:
    from rich.table import Table

    from workflows.documents.known import KnownPhase, KnownPhasesDocument
    from workflows.documents.prediction import CandidateDocument, PredictionDocument


@dataclass(frozen=True)
class PhaseFound:
    """
    A known phase, and what a campaign has of it.

    Attributes
    ----------
    phase : KnownPhase
    above_best : float
        Above the best ranked structure, meV/atom; below zero: the search has missed it.
    place : int
        1 + the number of ranked structures that are lower.
    rank : int or None
        Of the ranked structure that is the same; none: it was not found.
    ranked : int
        Structures that are ranked at the pressure of the phase.
    """

    phase: KnownPhase
    above_best: float
    place: int
    rank: int | None
    ranked: int


def find_known(known: KnownPhasesDocument, ranking: PredictionDocument) -> list[PhaseFound]:
    """
    Compare known phases with a ranking.

    Parameters
    ----------
    known : KnownPhasesDocument
        The lowest first.
    ranking : PredictionDocument

    Returns
    -------
    list of PhaseFound
        The lowest first; empty if nothing is ranked at their pressure.
    """
    ranked = [one for one in ranking.candidates if one.pressure == known.pressure]
    return [compare_phase(phase, ranked) for phase in known.phases] if ranked else []


def compare_phase(phase: KnownPhase, ranked: Sequence[CandidateDocument]) -> PhaseFound:
    """
    Look for a known phase among ranked structures.

    Parameters
    ----------
    phase : KnownPhase
    ranked : sequence of CandidateDocument
        At the pressure of the phase; at least one, best first.
    """
    own = fitness_of(phase.crystal)
    others = [fitness_of(candidate) for candidate in ranked]
    same = next(
        (
            candidate.rank
            for candidate, other in zip(ranked, others, strict=True)
            if abs(other - own) < REFERENCE_ENERGY_TOLERANCE
            and match(phase.crystal.structure, candidate.structure, TIGHTLY_RELAXED)
        ),
        None,
    )
    lower = sum(other < own - 1e-9 for other in others)
    return PhaseFound(phase, 1000 * (own - others[0]), lower + 1, same, len(ranked))


def known_table(found: Sequence[PhaseFound], ranking: PredictionDocument) -> Table:
    """
    Tabulate known phases.

    Parameters
    ----------
    found : sequence of PhaseFound
    ranking : PredictionDocument
    """
    from rich.markup import escape
    from rich.table import Table

    at = at_pressure(found[0].phase.crystal.pressure) if found else ""
    table = Table(title=f"{ranking.formula}: known phases by {ranking.engine}{at}")
    for heading in ("known phase", "space group", "found"):
        table.add_column(heading, overflow="fold")
    for heading in ("Z", f"{ranking.engine}\neV/atom", "above best\nmeV/atom", "volume\nÅ³/atom"):
        table.add_column(heading, justify="right")
    for one in found:
        crystal = one.phase.crystal
        table.add_row(
            escape(one.phase.label) + ("" if crystal.converged else " *"),
            f"{crystal.space_group} ({crystal.space_group_number})",
            in_words(one),
            str(crystal.formula_units),
            "" if crystal.energy is None else f"{crystal.energy:.4f}",
            f"{one.above_best:+.1f}",
            f"{crystal.volume:.2f}",
        )
    return table


def in_words(found: PhaseFound) -> str:
    """Say whether a phase was found, and where."""
    if found.rank is not None:
        return f"as rank {found.rank}"
    if found.above_best < -1000 * REFERENCE_ENERGY_TOLERANCE:
        return "no, and it is lower than all"
    if found.place > found.ranked:
        return "no; it is above all ranked"
    return f"no; it would be rank {found.place}"
