"""Which compositions common oxidation states balance, for ionic systems."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from nnp.storage.electronegativity import no_warnings_of_noble_gases


def is_balanced(counts: Mapping[str, int]) -> bool:
    """
    Whether common oxidation states add up to nothing; those of an element alone always do.

    The most electronegative element has its lowest state, metals have positive ones, and the others
    may have either: chlorine is -1 in LiAlCl4, where oxygen is with it also +7. An element may have
    two states at once, of one sign, as iron has in Fe3O4.
    """
    if len(counts) == 1:
        return True
    anion = max(counts, key=electronegativity)
    reached = {0}
    for symbol, n in counts.items():
        charges = {
            k * one + (n - k) * other
            for one, other in product(_states(symbol, symbol == anion), repeat=2)
            if one * other > 0
            for k in range(n + 1)
        }
        reached = {total + charge for total in reached for charge in charges}
    return 0 in reached


def _states(symbol: str, is_anion: bool) -> list[int]:
    """Oxidation states that an element of a compound may have."""
    from pymatgen.core import Element

    element = Element(symbol)
    states = element.common_oxidation_states or element.oxidation_states
    lowest = [state for state in [min(states, default=0)] if state < 0]
    positive = [state for state in states if state > 0]
    if is_anion:
        return lowest
    return positive if element.is_metal else lowest + positive


def electronegativity(symbol: str) -> float:
    """Pauling's; of elements that have none, more than all others."""
    from pymatgen.core import Element

    with no_warnings_of_noble_gases():
        found = float(Element(symbol).X)
    return found if np.isfinite(found) else 5.0
