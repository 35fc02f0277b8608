"""What comes back from the relaxation of a candidate."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from search.create.operators import ATOMIC_ENERGIES
from search.state.archive import Individual

if TYPE_CHECKING:
    from search.candidate import Candidate
    from search.geometry import DistanceLimits
    from search.relax.relaxer import Relaxed

SHORT_BOND = "short bond"


def individual_of(
    candidate: Candidate, outcome: Relaxed, generation: int, limits: DistanceLimits
) -> tuple[Individual, str | None]:
    """Record an outcome; only usable ones keep their structure.

    Parameters
    ----------
    candidate : Candidate
        What was to be relaxed.
    outcome : Relaxed
        What became of it.
    generation : int
        Generation of both.
    limits : DistanceLimits
        Shortest distances a structure may have.

    Returns
    -------
    individual : Individual
        The record.
    reason : str or None
        Why it is of no use, if it is not.

    Raises
    ------
    ValueError
        If the composition has changed.
    """
    atoms = outcome.atoms
    if Counter(atoms.numbers.tolist()) != Counter(candidate.atoms.numbers.tolist()):
        raise ValueError(f"structure {candidate.id} came back with another composition")
    individual = Individual(
        id=candidate.id,
        generation=generation,
        operator=candidate.operator,
        parents=candidate.parents,
        formula_units=candidate.formula_units,
        energy=outcome.energy / len(atoms),
        volume=float(atoms.get_volume()) / len(atoms),
        status=outcome.status,
    )
    reason = _failure(outcome, limits)
    if reason is not None:
        individual.status = f"aborted: {reason}" if outcome.usable else _category(outcome.status)
        return individual, individual.status.removeprefix("aborted: ")
    individual.atoms = atoms.copy()
    if outcome.atomic_energies is not None:
        individual.atoms.set_array(ATOMIC_ENERGIES, outcome.atomic_energies)
    return individual, None


def _failure(outcome: Relaxed, limits: DistanceLimits) -> str | None:
    """Why an outcome is of no use, or none."""
    if not outcome.usable:
        return outcome.status
    if not np.isfinite(outcome.energy):
        return "energy is not finite"
    return SHORT_BOND if limits.violated(outcome.atoms) else None


def _category(status: str) -> str:
    """Return how a relaxation ended without the particulars."""
    short_bond = f"aborted: {SHORT_BOND}"
    return short_bond if status.startswith(short_bond) else status
