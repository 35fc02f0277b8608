"""Whether the ends of a system, from which all its formation energies count, can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workflows.documents.prediction import CandidateDocument
from workflows.stages.ranking import enthalpy_of
from workflows.system import SystemTarget

#: eV/atom above the best of an end up to which the potential is held against the engine.
NEAR = 0.25
#: Errors of a potential, eV/atom, that are never worth a warning, and times the expected one.
TOLERATED, TIMES = 0.05, 3.0
#: Crystals and motifs below which an end has hardly been looked at.
LEAST = 5


def doubtful_ends(
    target: SystemTarget,
    rows: Sequence[CandidateDocument],
    tried: Mapping[str, int],
) -> list[str]:
    """
    Say at which ends a lower crystal may well have been missed.

    Parameters
    ----------
    target : SystemTarget
        What was looked for.
    rows : sequence of CandidateDocument
        Found, ranked, relaxed by the engine, with what the potential says of them.
    tried : mapping of str to int
        Simple crystals that the engine has relaxed, by formula of the end.

    Returns
    -------
    list of str
        Sentences without full stops.
    """
    told = []
    for formula in target.block_formulas:
        own = [row for row in rows if row.formula == formula and row.energy is not None]
        if not own:
            continue  # which the notes on the hull say
        reasons = []
        if (error := _error(own)) is not None:
            reasons.append(
                f"the potential that searched is off by {1000 * error:+.0f} meV/atom for one of "
                "its lowest crystals"
            )
        looked_at = tried.get(formula, 0) + len({row.motif for row in own})
        if looked_at < LEAST:
            reasons.append(f"only {looked_at} kinds of crystals of it were compared")
        if reasons:
            told.append(
                f"the reference of {formula} is uncertain ({' and '.join(reasons)}): a lower one "
                "would move all formation energies; give what is known by --known"
            )
    return told


def _error(rows: Sequence[CandidateDocument]) -> float | None:
    """Largest error at the low crystals of an end, eV/atom; none if it is as expected."""
    best = min(enthalpy_of(row) for row in rows)
    worst, excess = None, 1.0
    for row in rows:
        if row.single_point is None or row.energy is None or enthalpy_of(row) > best + NEAR:
            continue
        error = row.single_point - row.energy
        beyond = abs(error) / max(TOLERATED, TIMES * (row.expected_error or 0.0))
        if beyond > excess:
            worst, excess = error, beyond
    return worst
