"""
Which crystals have the same local structure, however they stack it.

A motif is what the atoms have around them up to their second neighbours: how many neighbours of
each element, and how many of these they share with which other atoms, which for coordination
polyhedra says whether they meet in corners, edges or faces; and whether all this makes molecules,
chains, layers or a framework. Polytypes of zinc blende are one motif, and so are stackings of the
same layer; zinc blende and rock salt are two; so are olivine and spinel, whose polyhedra are the
same and are joined in other ways. Quartz and cristobalite are one: their tetrahedra share corners
with four others, and only rings tell them apart.

Neighbours are those of pymatgen's CrystalNN, which needs no radius, and hardly changes its mind
where atoms move a little: N. E. R. Zimmermann and A. Jain, RSC Adv. 10, 6063 (2020). Dimensions are
counted as by P. M. Larsen et al., Phys. Rev. Mater. 3, 034003 (2019).
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from search.state.similarity import reduced_structure

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

SAME_MOTIF = 2 / 3
"""Least fraction of the atoms of each element that have like surroundings in both structures."""
LOWEST_KEPT = 3
"""Structures that are chosen for their energy alone, whatever their motifs."""

#: An atom of the crystal: its number in the cell, and the lattice vector of the cell it is in.
Site = tuple[int, tuple[int, int, int]]


class Surroundings(NamedTuple):
    """
    What an atom has around it.

    Attributes
    ----------
    element : str
        Its own.
    neighbors : tuple of (str, int)
        Their number by element.
    joints : tuple of ((str, int), int)
        Other atoms it shares neighbours with: number by element and by how many they share.
        Neighbours that are bonded to another neighbour do not count, since close-packed atoms have
        no polyhedra.
    """

    element: str
    neighbors: tuple[tuple[str, int], ...]
    joints: tuple[tuple[tuple[str, int], int], ...]


class Motif(NamedTuple):
    """
    Local structure of a crystal.

    Attributes
    ----------
    dimensions : int
        In which what is bonded goes on: 0 molecules, 1 chains, 2 layers, 3 a framework; the
        largest if there are several.
    surroundings : Counter of Surroundings
        Atoms of the primitive cell by what they have around them.
    """

    dimensions: int
    surroundings: Counter[Surroundings]


def find_motif(atoms: Atoms) -> Motif | None:
    """
    Describe the local structure of a crystal.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.

    Returns
    -------
    Motif or None
        None if an atom has no neighbours that could be told.
    """
    try:
        structure = reduced_structure(atoms)
        dimensions, bonds = _bonds(structure)
    except (ArithmeticError, ValueError, RuntimeError):
        return None  # no lattice that can be reduced, or atoms far from each other
    symbols = [site.specie.symbol for site in structure]
    firm = [
        {other for other in own if not own & _neighbors(bonds, other)}
        for index, own in enumerate(bonds)
    ]
    counts = Counter(_describe(index, symbols, bonds, firm) for index in range(len(symbols)))
    return Motif(dimensions, counts)


def _bonds(structure: Structure) -> tuple[int, list[set[Site]]]:
    """Dimensions, and neighbours of each atom: who is a neighbour of another has it as one, too."""
    from pymatgen.analysis.dimensionality import get_dimensionality_larsen
    from pymatgen.analysis.local_env import CrystalNN

    with warnings.catch_warnings():  # of missing radii and oxidation states
        warnings.simplefilter("ignore")
        graph = CrystalNN().get_bonded_structure(structure)
    bonds: list[set[Site]] = [set() for _ in range(len(structure))]
    for one, other, edge in graph.graph.edges(data=True):
        i, j, k = (int(n) for n in edge["to_jimage"])
        bonds[one].add((other, (i, j, k)))
        bonds[other].add((one, (-i, -j, -k)))
    return int(get_dimensionality_larsen(graph)), bonds


def _neighbors(bonds: list[set[Site]], site: Site) -> set[Site]:
    """Neighbours of an atom in any cell."""
    index, (a, b, c) = site
    return {(other, (a + i, b + j, c + k)) for other, (i, j, k) in bonds[index]}


def _describe(
    index: int, symbols: list[str], bonds: list[set[Site]], firm: list[set[Site]]
) -> Surroundings:
    """What is around an atom of the first cell."""
    shared: Counter[Site] = Counter()
    for between in firm[index]:
        shared.update(_neighbors(firm, between))
    del shared[index, (0, 0, 0)]
    neighbors = Counter(symbols[other] for other, _ in bonds[index])
    joints = Counter((symbols[other], number) for (other, _), number in shared.items())
    return Surroundings(
        symbols[index], tuple(sorted(neighbors.items())), tuple(sorted(joints.items()))
    )


def likeness(one: Motif, other: Motif) -> float:
    """
    Fraction of atoms with like surroundings, of the element for which it is the smallest.

    Parameters
    ----------
    one, other : Motif
        Of structures of any size.

    Returns
    -------
    float
        1 if each kind of surroundings is as frequent in both; 0 if an element has none in common,
        or the dimensions differ.
    """
    totals = [_count_elements(motif.surroundings) for motif in (one, other)]
    if totals[0].keys() != totals[1].keys() or one.dimensions != other.dimensions:
        return 0.0
    common = dict.fromkeys(totals[0], 0.0)
    for kind, number in one.surroundings.items():
        element, number_there = kind.element, other.surroundings[kind]
        common[element] += min(number / totals[0][element], number_there / totals[1][element])
    return min(common.values(), default=0.0)


def _count_elements(counts: Counter[Surroundings]) -> Counter[str]:
    found: Counter[str] = Counter()
    for kind, number in counts.items():
        found[kind.element] += number
    return found


def number_motifs(structures: Sequence[Atoms]) -> list[int]:
    """
    Number the motifs of structures by first appearance, from 1.

    A structure has the first motif whose first structure it is like; one whose neighbours cannot be
    told has a motif of its own.

    Parameters
    ----------
    structures : sequence of ase.Atoms
        Best first.

    Examples
    --------
    >>> from ase.build import bulk
    >>> zincblende, wurtzite = bulk("ZnS", "zincblende", a=5.4), bulk("ZnS", "wurtzite", a=3.8)
    >>> number_motifs([zincblende, bulk("ZnS", "rocksalt", a=5.1), wurtzite])
    [1, 2, 1]
    """
    firsts: list[Motif | None] = []
    numbers = []
    for atoms in structures:
        own = find_motif(atoms)
        for number, first in enumerate(firsts, start=1):
            if own and first and likeness(own, first) >= SAME_MOTIF:
                numbers.append(number)
                break
        else:
            firsts.append(own)
            numbers.append(len(firsts))
    return numbers


def spread_over_motifs(
    structures: Sequence[Atoms], energies: Sequence[float], number: int
) -> list[int]:
    """
    Choose structures of low energy and of many motifs.

    The three lowest are chosen whatever they are. Then each motif gets its best, the lowest
    first; then its second best, and so on.

    Parameters
    ----------
    structures : sequence of ase.Atoms
        To choose from.
    energies : sequence of float
        eV/atom, or another number that is the better the lower it is.
    number : int
        How many are wanted.

    Returns
    -------
    list of int
        Indices of the chosen ones, lowest energy first; all if there are no more than wanted.
    """
    order = sorted(range(len(structures)), key=lambda index: energies[index])
    if number >= len(order):
        return order
    members: defaultdict[int, int] = defaultdict(int)
    turns: list[tuple[int, int]] = []
    for place, motif in enumerate(number_motifs([structures[index] for index in order])):
        turn = 0 if place < LOWEST_KEPT else members[motif]
        turns.append((turn, place))
        members[motif] += 1
    chosen = sorted(place for _, place in sorted(turns)[:number])
    return [order[place] for place in chosen]
