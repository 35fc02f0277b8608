"""Whether the ends of a system, from which all its formation energies count, can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnp.potential import Potential
from workflows.documents.prediction import CandidateDocument
from workflows.stages.agreement import single_points
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
    potential: Potential | None,
) -> list[str]:
    """
    Say at which ends a lower crystal may well have been missed.

    Parameters
    ----------
    target : SystemTarget
        What was looked for.
    rows : sequence of CandidateDocument
        Found, ranked, relaxed by the engine.
    tried : mapping of str to int
        Simple crystals that the engine has relaxed, by formula of the end.
    potential : Potential or None
        That the search was made with; none: there was none.

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
        if potential is not None and (error := _error(own, potential)) is not None:
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


def _error(rows: Sequence[CandidateDocument], potential: Potential) -> float | None:
    """Largest error at the low crystals of an end, eV/atom; none if it is as expected."""
    best = min(enthalpy_of(row) for row in rows)
    near = [
        (row.relaxed, row.relaxed_energy)
        for row in rows
        if row.relaxed is not None and enthalpy_of(row) <= best + NEAR
    ]
    if not near:
        return None
    energies, expected = single_points([crystal for crystal, _ in near], potential)
    errors = energies - np.array([energy for _, energy in near], dtype=float)
    limits = np.maximum(TOLERATED, TIMES * np.nan_to_num(expected))
    excess = np.where(np.isfinite(errors), np.abs(errors) / limits, 0.0)
    worst = int(excess.argmax())
    return float(errors[worst]) if excess[worst] > 1.0 else None
