"""What a search varies, and how far it goes."""

from __future__ import annotations

import math
from dataclasses import replace

from search.composition_space import CompositionSpace
from search.options import EvolutionOptions
from search.run.islands import share_budget
from search.state.evolution import Evolution
from workflows.composition import Target
from workflows.system import SystemTarget


def searched(
    target: Target, options: EvolutionOptions
) -> tuple[dict[str, int] | CompositionSpace, EvolutionOptions]:
    """
    Say what a search varies: cells of a composition, or the compositions of a system.

    Parameters
    ----------
    target : Target
        What is looked for.
    options : EvolutionOptions
        Of the search, formula units aside.
    """
    if isinstance(target, SystemTarget):
        return target.space, options
    return target.counts, replace(options, formula_units=target.formula_units)


def expected_extent(options: EvolutionOptions, target: Target, islands: int = 1) -> tuple[int, int]:
    """
    Generations of a search and structures of all together, as its options and the target say.

    Parameters
    ----------
    options : EvolutionOptions
        Of the search, formula units aside.
    target : Target
        What is looked for.
    islands : int
        Populations side by side, which share the budget of structures.

    Raises
    ------
    ValueError
        If the budget is smaller than the number of islands.
    """
    composition, whole = searched(target, options)
    population = Evolution(composition, whole).population
    most = whole.generations * population
    structures = [
        most if budget is None else min(most, budget)
        for budget in share_budget(whole.max_structures, islands)
    ]
    return math.ceil(max(structures) / population), sum(structures)
