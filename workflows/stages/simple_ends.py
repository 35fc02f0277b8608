"""What becomes of the simple crystals of the ends of a system, after the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from search.state.seen import SeenStructures
from workflows.composition import Target
from workflows.conversion import to_atoms
from workflows.documents.improvement import RelaxedStructure
from workflows.documents.search import SearchCandidate
from workflows.documents.simple_crystals import SimpleCrystal, SimpleCrystalsDocument
from workflows.stages.simple_crystals import SIMPLE
from workflows.system import SystemTarget

#: eV/atom above the lowest simple crystal of an end up to which others are candidates.
WINDOW = 0.02
#: Of each end, at the most.
MOST = 3


def ends_not_among(
    candidates: Sequence[SearchCandidate],
    relaxed: Sequence[RelaxedStructure],
    simple: SimpleCrystalsDocument | None,
    target: Target,
) -> list[SearchCandidate]:
    """
    Take the lowest simple crystals of each end that nobody else has chosen.

    So no reference of the hull can be higher than what the engine itself has found.

    Parameters
    ----------
    candidates : sequence of SearchCandidate
        Chosen, not to be taken twice.
    relaxed : sequence of RelaxedStructure
        By the rounds of learning.
    simple : SimpleCrystalsDocument or None
        None where there is none.
    target : Target
        What is looked for.
    """
    if simple is None or not isinstance(target, SystemTarget):
        return []
    known = [one.structure for one in (*candidates, *relaxed)]
    chosen: list[SearchCandidate] = []
    for formula in target.block_formulas:
        own = [structure for structure in known if target.formula_of(structure) == formula]
        seen = SeenStructures([to_atoms(structure) for structure in own])
        fresh = [
            one
            for one in simple.lowest_of(formula, WINDOW)
            if not seen.has(to_atoms(one.structure))
        ]
        chosen += [_as_candidate(one, target.pressure) for one in fresh[:MOST]]
    return chosen


def relaxed_ends(
    simple: SimpleCrystalsDocument | None, target: Target, engine: str
) -> list[RelaxedStructure]:
    """
    Take the lowest simple crystals of each end as if a round of learning had relaxed them.

    They were relaxed for a few steps, so that they still have to reach the limits of candidates.

    Parameters
    ----------
    simple : SimpleCrystalsDocument or None
        None where there is none.
    target : Target
        What is looked for.
    engine : str
        Name of the reference engine.
    """
    if simple is None or not isinstance(target, SystemTarget):
        return []
    return [
        RelaxedStructure(
            structure=one.structure,
            pressure=one.pressure,
            energy=one.energy,
            engine=engine,
            job=one.job,
            found=_as_candidate(one, one.pressure),
        )
        for formula in target.block_formulas
        for one in simple.lowest_of(formula, WINDOW)[:MOST]
    ]


def lowest_ends(relaxed: Sequence[RelaxedStructure], target: Target) -> list[RelaxedStructure]:
    """
    Find the lowest crystal that the engine knows of each end of a system.

    Parameters
    ----------
    relaxed : sequence of RelaxedStructure
        By the reference engine, at any pressures.
    target : Target
        What is looked for.

    Returns
    -------
    list of RelaxedStructure
        One for each end and pressure of which there is any; none unless it is a system.
    """
    if not isinstance(target, SystemTarget):
        return []
    found: dict[tuple[str, float], RelaxedStructure] = {}
    for one in sorted(relaxed, key=lambda one: one.enthalpy):
        found.setdefault((target.formula_of(one.structure), one.pressure), one)
    return [one for (formula, _), one in found.items() if formula in target.block_formulas]


def _as_candidate(one: SimpleCrystal, pressure: float) -> SearchCandidate:
    """Describe a simple crystal as if a search had found it."""
    return SearchCandidate(
        structure=one.structure,
        pressure=pressure,
        energy=one.energy,
        energy_of=SIMPLE,
        formula_units=round(one.structure.composition.get_reduced_composition_and_factor()[1]),
        found_by=SIMPLE,
        found_at=0,
    )


def tried_of(simple: SimpleCrystalsDocument | None) -> dict[str, int]:
    """Count the simple crystals that the engine has relaxed of each end."""
    return {} if simple is None else dict(Counter(one.formula for one in simple.crystals))
