"""
Neighbours of atoms, as a page draws and counts them.

An atom has a neighbour where the distance is below a limit for the two elements, a little more than
the sum of their covalent radii. It takes milliseconds a crystal, and the page can follow the same
rule for any cell that it draws. Two cations are no neighbours.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Element

#: How many times the sum of the covalent radii two neighbours are apart at the most: in general,
#: and two nonmetals.
REACH, NONMETAL_REACH = 1.25, 1.15
#: Elements whose electronegativity (Pauling) is less than this below the highest one are anions.
ANION_SPAN = 0.5


@dataclass(frozen=True)
class Surroundings:
    """
    What atoms of a crystal have around them.

    Attributes
    ----------
    coordination : dict of str to str
        By element, its neighbours: ``{"Si": "4 O"}``; a mean where atoms differ.
    shortest : dict of str to float
        Shortest distance of neighbours by pair of elements, Å: ``{"O-Si": 1.63}``.
    """

    coordination: dict[str, str]
    shortest: dict[str, float]

    @property
    def coordination_in_words(self) -> str:
        """All elements with their neighbours: ``O: 2 Si; Si: 4 O``."""
        return "; ".join(f"{element}: {text}" for element, text in self.coordination.items())


def bond_limits(elements: Iterable[str]) -> dict[tuple[str, str], float]:
    """
    Largest distances of neighbours by pair of elements.

    Parameters
    ----------
    elements : iterable of str
        Of a compound.

    Returns
    -------
    dict of (str, str) to float
        Å; pairs in alphabetical order. Pairs that are no neighbours are left out.
    """
    from ase.data import atomic_numbers, covalent_radii
    from pymatgen.core import Element

    known = {symbol: Element(symbol) for symbol in sorted(set(elements))}
    nonmetals = {s for s, e in known.items() if not (e.is_metal or e.is_metalloid)}
    cations = _cations(list(known.values()))
    limits = {}
    for one, other in combinations_with_replacement(known, 2):
        pair = {one, other}
        covalent = pair <= nonmetals
        if pair <= cations and not covalent:
            continue
        reach = NONMETAL_REACH if covalent else REACH
        radii = covalent_radii[atomic_numbers[one]] + covalent_radii[atomic_numbers[other]]
        limits[one, other] = round(float(reach * radii), 3)
    return limits


def _cations(elements: list[Element]) -> set[str]:
    """Elements that give electrons away; none among metals alone."""
    if all(element.is_metal for element in elements):
        return set()
    highest = max(element.X for element in elements)
    return {element.symbol for element in elements if highest - element.X > ANION_SPAN}


def surroundings_of(atoms: Atoms, limits: dict[tuple[str, str], float]) -> Surroundings:
    """
    Count the neighbours of each element.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    limits : dict of (str, str) to float
        Of `bond_limits`, of whatever the crystal is compared with. Atoms of one element are
        neighbours where they are alone, whatever they are in compounds.
    """
    from ase.neighborlist import neighbor_list

    symbols = atoms.get_chemical_symbols()
    if len(set(symbols)) == 1:
        limits = bond_limits(symbols)
    firsts, others, lengths = neighbor_list("ijd", atoms, limits)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    shortest: dict[str, float] = {}
    for i, j, length in zip(firsts, others, lengths, strict=True):
        counts[symbols[i]][symbols[j]] += 1
        pair = "-".join(sorted((symbols[i], symbols[j])))
        shortest[pair] = min(shortest.get(pair, np.inf), float(length))
    numbers = Counter(symbols)
    coordination = {
        element: ", ".join(
            f"{round(number / numbers[element], 1):g} {other}"
            for other, number in sorted(counts[element].items())
        )
        or "none"
        for element in sorted(numbers)
    }
    return Surroundings(coordination, dict(sorted(shortest.items())))
