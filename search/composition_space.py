"""Chemical systems: every composition that some building blocks make, and the cells to search."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from monty.json import MSONable

from search.charge_balance import electronegativity, is_balanced

if TYPE_CHECKING:
    from numpy.typing import NDArray

USUAL_SYSTEM_ATOMS = 16
"""Largest cell of a system if nothing is said."""
MOST_ELEMENTS = 5
"""Elements of a system; more have too many compositions."""
MOST_CELLS = 300_000
"""Contents of cells that are listed; more would take minutes, and no search could visit them."""
NEARLY = 1e-9
"""Rounding of fractions."""

_BLOCK = re.compile(r"[A-Za-z0-9()\[\]]+", re.ASCII)


class CompositionSpaceError(ValueError):
    """A system, one of its blocks or a range that cannot be searched; a sentence says why."""


class CompositionRange(NamedTuple):
    """
    How much of an element or a block there may be.

    Attributes
    ----------
    name : str
        Element, whose fraction of the atoms is limited, or block, whose fraction of the blocks
        (its mole fraction) is. For a block of one atom both are the same.
    least, most : float
        From 0 to 1, both inclusive.
    """

    name: str
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.name}={self.least:g}:{self.most:g}"


@dataclass(frozen=True)
class CompositionSpace(MSONable):
    """
    A chemical system: whole numbers of building blocks, in cells of a limited size.

    An element is a block of one atom: ``Mg-Si-O`` has all compositions of three elements,
    ``MgO-SiO2`` those that two oxides make (a pseudo-binary), and any number of blocks may follow.
    Ranges and charge balance choose among them; the blocks themselves, its corners, are always in
    the system, since every other composition is held against them.

    Parameters
    ----------
    blocks : tuple of str
        Formulas of the blocks, at least two, none of which the others can make.
    atoms_max, atoms_min : int
        Most and least atoms of a cell.
    ranges : tuple of CompositionRange
        Least and most of elements or blocks.
    charge_balance : bool
        Only compositions that common oxidation states balance; an element alone always is.

    Raises
    ------
    CompositionSpaceError
        If there is no such system.

    Examples
    --------
    >>> space = CompositionSpace(("MgO", "SiO2"), atoms_max=7)
    >>> [formula_of(counts) for counts in space.compositions()]
    ['SiO2', 'MgSiO3', 'Mg2SiO4', 'MgO']
    >>> space.spans({"Mg": 4, "Si": 3, "O": 10}), space.has({"Mg": 4, "Si": 3, "O": 10})
    (True, False)
    """

    blocks: tuple[str, ...]
    atoms_max: int = USUAL_SYSTEM_ATOMS
    atoms_min: int = 1
    ranges: tuple[CompositionRange, ...] = ()
    charge_balance: bool = False

    def __post_init__(self) -> None:
        # JSON has neither tuples nor named ones
        object.__setattr__(self, "blocks", tuple(self.blocks))
        ranges = tuple(CompositionRange(*given) for given in self.ranges)
        object.__setattr__(self, "ranges", ranges)
        self._check_blocks()
        self._check_sizes()
        for given in ranges:
            self._check_range(given)
        if self._corners_of(self.block_cells).all():
            raise CompositionSpaceError(
                f"no cell of {self.atoms_min} to {self.atoms_max} atoms of {self.name} "
                f"{self._wishes()}; ask for less, or raise --atoms-max"
            )

    @property
    def name(self) -> str:
        """The blocks with dashes between them, as the system is written."""
        return "-".join(self.blocks)

    @cached_property
    def block_counts(self) -> tuple[dict[str, int], ...]:
        """Atoms of each element in one of each block."""
        return tuple(counts_of(block) for block in self.blocks)

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Symbols, the least electronegative first, as formulas are written."""
        named = dict.fromkeys(symbol for counts in self.block_counts for symbol in counts)
        return tuple(sorted(named, key=electronegativity))

    @cached_property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic numbers (elements,)."""
        from ase.data import atomic_numbers

        return np.array([atomic_numbers[symbol] for symbol in self.elements])

    @cached_property
    def matrix(self) -> NDArray[np.int64]:
        """Atoms (blocks, elements) of each element in each block."""
        return np.array(
            [[counts.get(symbol, 0) for symbol in self.elements] for counts in self.block_counts]
        )

    @cached_property
    def block_cells(self) -> NDArray[np.int64]:
        """Numbers (n, blocks) of each block in every cell allowed, small cells first."""
        sizes = self.matrix.sum(axis=1)
        self._require_few(sizes)
        found = _combinations(sizes, self.atoms_max)
        found = found[found @ sizes >= self.atoms_min]
        kept = self._within_ranges(found)
        if self.charge_balance:
            kept[kept] = [is_balanced(self.as_counts(row @ self.matrix)) for row in found[kept]]
        found = found[kept | self._corners_of(found)]
        return found[np.argsort(found @ sizes, kind="stable")]

    @cached_property
    def cells(self) -> NDArray[np.int64]:
        """Atoms (n, elements) of each element in every cell allowed, small cells first."""
        return np.asarray(self.block_cells @ self.matrix)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Atoms (n,) of every cell allowed, in rising order."""
        return np.asarray(self.cells.sum(axis=1))

    def compositions(self) -> list[dict[str, int]]:
        """
        List the allowed compositions, each in its reduced formula, in order of their fractions.

        Returns
        -------
        list of dict of str to int
            Smallest whole numbers of atoms, corners among them; MgO stands for Mg2O2, too.
        """
        reduced = {tuple(row // np.gcd.reduce(row)) for row in self.cells}
        ordered = sorted(reduced, key=lambda row: [n / sum(row) for n in row])
        return [self.as_counts(row) for row in ordered]

    def corners(self) -> list[dict[str, int]]:
        """Return the blocks as compositions: the ends of the system."""
        return [reduced_counts(counts) for counts in self.block_counts]

    def amounts(self, counts: Mapping[str, float]) -> NDArray[np.float64] | None:
        """
        Return how many of each block make a composition.

        Parameters
        ----------
        counts : mapping of str to float
            Atoms of each element.

        Returns
        -------
        (blocks,) array or None
            None where the blocks cannot make it, in whatever fractions.
        """
        total = sum(counts.values())
        if total <= 0 or any(n for symbol, n in counts.items() if symbol not in self.elements):
            return None
        wanted = np.array([counts.get(symbol, 0) for symbol in self.elements], dtype=float)
        amounts = np.linalg.lstsq(self.matrix.T.astype(float), wanted, rcond=None)[0]
        off = np.abs(amounts @ self.matrix - wanted).max()
        if off > NEARLY * total or amounts.min() < -NEARLY * total:
            return None
        return np.maximum(amounts, 0.0)

    def spans(self, counts: Mapping[str, float]) -> bool:
        """
        Whether a composition belongs to the system, whatever the size of its cell.

        Parameters
        ----------
        counts : mapping of str to float
            Atoms of each element. Ranges and charge balance must hold, too, but for a corner.
        """
        amounts = self.amounts(counts)
        if amounts is None:
            return False
        rows = np.where(amounts > NEARLY * amounts.max(), amounts, 0.0)[None]
        if self._corners_of(rows)[0]:
            return True
        return bool(self._within_ranges(rows)[0]) and (
            not self.charge_balance
            or is_balanced({symbol: round(n) for symbol, n in counts.items() if n})
        )

    def has(self, counts: Mapping[str, int]) -> bool:
        """Whether a cell with these atoms is one of those that are searched."""
        row = [int(counts.get(symbol, 0)) for symbol in self.elements]
        return sum(row) == sum(counts.values()) and self.has_row(row)

    def has_row(self, row: Sequence[int] | NDArray[np.int64]) -> bool:
        """Whether a cell with numbers (elements,) of atoms is one of those that are searched."""
        return tuple(int(n) for n in row) in self._rows

    @cached_property
    def _rows(self) -> frozenset[tuple[int, ...]]:
        return frozenset(tuple(row) for row in self.cells.tolist())

    def row_of(self, numbers: NDArray[np.integer]) -> NDArray[np.int64]:
        """Count the atoms (elements,) of each element among atomic numbers (n,)."""
        return np.asarray(np.bincount(numbers, minlength=120)[self.atomic_numbers])

    def as_counts(self, row: Sequence[int] | NDArray[np.int64]) -> dict[str, int]:
        """Write numbers (elements,) of atoms as a composition."""
        return {s: int(n) for s, n in zip(self.elements, row, strict=True) if n}

    def _blocks_and_names(self) -> Iterator[tuple[dict[str, int], str]]:
        return zip(self.block_counts, self.blocks, strict=True)

    def _corners_of(self, amounts: NDArray[np.number]) -> NDArray[np.bool_]:
        """Which of some numbers (n, blocks) are of one block alone."""
        return np.asarray((amounts > 0).sum(axis=1) == 1)

    def _within_ranges(self, amounts: NDArray[np.number]) -> NDArray[np.bool_]:
        """Which of some numbers (n, blocks) fulfil all ranges."""
        inside = np.ones(len(amounts), dtype=bool)
        for given in self.ranges:
            fractions = self._fractions(amounts, given.name)
            inside &= (fractions >= given.least - NEARLY) & (fractions <= given.most + NEARLY)
        return inside

    def _fractions(self, amounts: NDArray[np.number], name: str) -> NDArray[np.float64]:
        """Fraction (n,) of a block or an element in numbers (n, blocks) of the blocks."""
        if name in self.blocks:
            of_it, of_all = amounts[:, self.blocks.index(name)], amounts.sum(axis=1)
        else:
            atoms = amounts @ self.matrix
            of_it, of_all = atoms[:, self.elements.index(name)], atoms.sum(axis=1)
        return np.asarray(of_it / of_all, dtype=float)

    # what is no system

    def _check_blocks(self) -> None:
        if len(self.blocks) < 2:
            raise CompositionSpaceError(
                f"a system needs two blocks or more with dashes between them, such as Mg-Si or "
                f"MgO-SiO2, not {self.name or 'none'} alone"
            )
        named: dict[str, str] = {}
        for counts, block in self._blocks_and_names():
            before = named.setdefault(formula_of(dict(sorted(counts.items()))), block)
            if before is not block or self.blocks.count(block) > 1:
                same = block if before == block else f"{before} and {block}"
                raise CompositionSpaceError(
                    f"{self.name} has a block twice ({same}); name each block once"
                )
        if len(self.elements) > MOST_ELEMENTS:
            raise CompositionSpaceError(
                f"{self.name} has {len(self.elements)} elements; {MOST_ELEMENTS} are the most"
            )
        dependent = self._dependent_block()
        if dependent is not None:
            raise CompositionSpaceError(
                f"the block {dependent} of {self.name} can be written by the blocks before it; "
                "leave it out: its composition is searched without it"
            )

    def _dependent_block(self) -> str | None:
        for n in range(2, len(self.blocks) + 1):
            if np.linalg.matrix_rank(self.matrix[:n]) < n:
                return self.blocks[n - 1]
        return None

    def _check_sizes(self) -> None:
        if not 1 <= self.atoms_min <= self.atoms_max:
            raise CompositionSpaceError(
                f"cells of {self.atoms_min} to {self.atoms_max} atoms cannot be; give "
                "numbers of at least 1, the smaller one first"
            )
        largest = max(sum(counts.values()) for counts in self.block_counts)
        if largest > self.atoms_max:
            raise CompositionSpaceError(
                f"--atoms-max {self.atoms_max} is too small for {self.name}: its largest block has "
                f"{largest} atoms"
            )

    def _check_range(self, given: CompositionRange) -> None:
        if given.name not in (*self.blocks, *self.elements):
            names = ", ".join(dict.fromkeys((*self.blocks, *self.elements)))
            raise CompositionSpaceError(
                f"the range {given} is of nothing that {self.name} has; it has {names}"
            )
        if sum(other.name == given.name for other in self.ranges) > 1:
            raise CompositionSpaceError(f"there are two ranges of {given.name}; give one of each")
        if not 0.0 <= given.least <= given.most <= 1.0:
            raise CompositionSpaceError(
                f"the range {given} is empty or leaves 0 to 1; give two fractions, the smaller "
                f"one first, such as {given.name}=0.2:0.8"
            )

    def _require_few(self, sizes: NDArray[np.int64]) -> None:
        """Refuse a system whose cells are too many to list: the volume of a simplex tells."""
        steps = np.arange(1, len(sizes) + 1)
        estimate = float(np.prod((self.atoms_max + sizes) / (steps * sizes)))
        if estimate > 3 * MOST_CELLS:
            raise CompositionSpaceError(
                f"{self.name} has some {estimate:.0e} different cells of up to {self.atoms_max} "
                "atoms; lower --atoms-max"
            )

    def _wishes(self) -> str:
        """What a cell would have to fulfil, in words."""
        wishes = [f"has {', '.join(map(str, self.ranges))}"] if self.ranges else []
        wishes += ["balances its charges"] if self.charge_balance else []
        return " and ".join(wishes) or "has more than one block"


def reduced_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """Divide numbers of atoms by the largest number that divides all of them."""
    units = gcd(*counts.values())
    return {symbol: n // units for symbol, n in counts.items() if n}


def formula_of(counts: Mapping[str, int]) -> str:
    """
    Spell the reduced formula of some atoms, in the order they are given in.

    Examples
    --------
    >>> formula_of({"Mg": 4, "Si": 2, "O": 8})
    'Mg2SiO4'
    """
    return "".join(f"{s}{n if n > 1 else ''}" for s, n in reduced_counts(counts).items())


def counts_of(block: str) -> dict[str, int]:
    """Return the atoms of each element in one block, from its formula."""
    from pymatgen.core import Composition, Element

    example = "write elements or formulas with whole numbers, such as Mg-Si or MgO-SiO2"
    if not _BLOCK.fullmatch(block):
        raise CompositionSpaceError(f"the block {block!r} does not parse; {example}")
    try:
        composition = Composition(block, strict=True)
        pairs = [(element.symbol, n) for element, n in composition.items()]
        known = all(isinstance(element, Element) for element in composition)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, AttributeError):
        pairs, known = [], False
    if not known or not pairs or {"D", "T"} & {symbol for symbol, _ in pairs}:
        raise CompositionSpaceError(f"the block {block!r} is of no elements there are; {example}")
    if any(n != int(n) or n < 1 for _, n in pairs):
        raise CompositionSpaceError(f"the block {block!r} has no whole numbers; {example}")
    return {symbol: int(n) for symbol, n in pairs}


def _combinations(sizes: NDArray[np.int64], atoms_max: int) -> NDArray[np.int64]:
    """Numbers (n, blocks) of blocks of some sizes that have 1 to `atoms_max` atoms together."""
    rows = np.zeros((1, 0), dtype=np.int64)
    atoms = np.zeros(1, dtype=np.int64)
    for size in sizes:
        most = (atoms_max - atoms) // size
        before = np.repeat(np.arange(len(rows)), most + 1)
        number = np.concatenate([np.arange(n + 1) for n in most])
        rows = np.column_stack([rows[before], number])
        atoms = atoms[before] + size * number
    return rows[atoms > 0]
