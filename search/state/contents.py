"""What cells of a search may hold: formula units of one compound, or anything of a system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from search.composition_space import CompositionSpace, formula_of, reduced_counts
from search.create.space_groups import SpaceGroupError, fits, usable_units

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from search.options import EvolutionOptions
    from search.state.individual import Individual

Counts = dict[str, int]
"""Atoms of each element in a cell."""
FROM_PARENTS = 0.5
"""Part of the structures from nothing that take the composition of a good one."""
FIRST_COMPOSITIONS = 200
"""Compositions that are spread over a system before chance takes over."""
DRAWS = 100
"""Cells drawn before one is found that fits into a space group asked for."""


class FormulaContents:
    """
    Whole numbers of formula units of one composition.

    Parameters
    ----------
    composition : mapping of str to int
        Atoms of each element in one formula unit.
    options : EvolutionOptions
        Formula units and space groups.

    Raises
    ------
    SpaceGroupError
        If none of them fits into any of the space groups.
    """

    def __init__(self, composition: Mapping[str, int], options: EvolutionOptions) -> None:
        self.composition = {symbol: int(n) for symbol, n in composition.items()}
        self.units = options.formula_units
        if options.groups is not None:
            self.units = usable_units(options.groups, self.composition, self.units)
        self.largest = max(options.formula_units) * sum(self.composition.values())

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols, in the order of the composition."""
        return tuple(self.composition)

    def draw(
        self, id_: int, parents: Sequence[Individual], rng: np.random.Generator
    ) -> tuple[int, Counts]:
        """Draw formula units, and the atoms of a cell of them."""
        del id_, parents  # every structure is of the same composition
        units = int(rng.choice(self.units))
        return units, {symbol: n * units for symbol, n in self.composition.items()}

    def units_of(self, atoms: Atoms) -> int:
        """Formula units of a structure."""
        return len(atoms) // sum(self.composition.values())

    def holds(self, atoms: Atoms) -> bool:
        """Whether a structure is one of any number of formula units."""
        units = self.units_of(atoms)
        wanted = {symbol: n * units for symbol, n in self.composition.items()}
        return len(atoms) > 0 and dict(Counter(atoms.symbols)) == wanted

    def may_be_joined(self, one: Individual, other: Individual) -> bool:
        """Whether a child of two structures has the same cell as both."""
        return one.formula_units == other.formula_units


class SystemContents:
    """
    Everything that a chemical system has, in cells of a limited size.

    The first structures are spread over the compositions, corners first. Later half of the
    structures from nothing have the composition of a good one, in a cell of any size; the others
    are drawn at random, first the number of atoms and then what they are.

    Parameters
    ----------
    space : CompositionSpace
        The system.
    options : EvolutionOptions
        Space groups.

    Raises
    ------
    SpaceGroupError
        If no cell fits into any of the space groups.
    """

    def __init__(self, space: CompositionSpace, options: EvolutionOptions) -> None:
        self.composition = space
        self.groups = options.groups
        self.largest = space.atoms_max
        if self.groups is not None and not any(self._fits(row) for row in space.cells.tolist()):
            raise SpaceGroupError(
                f"none of the space groups asked for can hold a cell of {space.name} of up to "
                f"{space.atoms_max} atoms"
            )

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of the system."""
        return self.composition.elements

    def draw(
        self, id_: int, parents: Sequence[Individual], rng: np.random.Generator
    ) -> tuple[int, Counts]:
        """Draw the atoms of a cell; with them, their largest common divisor."""
        for _ in range(DRAWS):
            row = self._row(id_, parents, rng)
            if self._fits(row):
                break
        counts = self.composition.as_counts(row)
        return _divisor(row), counts

    def units_of(self, atoms: Atoms) -> int:
        """Return how often the reduced formula of a structure is in its cell."""
        return _divisor(list(Counter(atoms.symbols).values()))

    def holds(self, atoms: Atoms) -> bool:
        """Whether a structure is of the system, whatever its size."""
        return self.composition.spans(Counter(atoms.symbols))

    def may_be_joined(self, one: Individual, other: Individual) -> bool:
        """Whether a child of two structures has the same cell as both."""
        return one.contents == other.contents

    def _row(
        self, id_: int, parents: Sequence[Individual], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        cells = self.composition.cells
        sizes = self.composition.sizes
        reduced: Mapping[str, int] | None = None
        if not parents:
            if id_ < len(self._spread):
                reduced = self._spread[id_]
        elif rng.random() < FROM_PARENTS:
            chosen = parents[int(rng.integers(len(parents)))]
            reduced = reduced_counts(Counter(chosen.structure.symbols))
        if reduced is not None:
            unit = np.array([reduced.get(symbol, 0) for symbol in self.elements])
            same = np.flatnonzero((np.outer(sizes, unit) == cells * unit.sum()).all(axis=1))
            if len(same):
                return np.asarray(cells[int(rng.choice(same))])
        size = int(rng.choice(np.unique(sizes)))
        return np.asarray(cells[int(rng.choice(np.flatnonzero(sizes == size)))])

    def _fits(self, row: NDArray[np.int64] | list[int]) -> bool:
        if self.groups is None:
            return True
        counts = self.composition.as_counts(row)
        return any(fits(group, counts) for group in self.groups)

    @cached_property
    def _spread(self) -> list[Counts]:
        """
        Compositions of the first structures: corners, then each as far as may be from all before.

        Of those that are as far, the first is the one that is simplest.
        """
        listed = sorted(
            self.composition.compositions(), key=lambda c: (sum(c.values()), formula_of(c))
        )
        where = np.array([[c.get(s, 0) for s in self.elements] for c in listed], dtype=float)
        where /= where.sum(axis=1, keepdims=True)
        corners = self.composition.corners()
        chosen = [listed.index(corner) for corner in corners if corner in listed]
        nearest = np.full(len(listed), np.inf)
        for i in chosen:
            nearest = np.minimum(nearest, np.abs(where - where[i]).sum(axis=1))
        while len(chosen) < min(FIRST_COMPOSITIONS, len(listed)):
            i = int(np.argmax(nearest.round(9)))
            chosen.append(i)
            nearest = np.minimum(nearest, np.abs(where - where[i]).sum(axis=1))
        # corners twice: everything is held against them
        return [listed[i] for i in (*chosen[: len(corners)], *chosen)]


Contents = FormulaContents | SystemContents


def contents_of(
    composition: Mapping[str, int] | CompositionSpace, options: EvolutionOptions
) -> Contents:
    """
    Say what cells hold.

    Parameters
    ----------
    composition : mapping of str to int, or CompositionSpace
        One formula unit, or a system.
    options : EvolutionOptions
        Formula units and space groups.

    Raises
    ------
    ValueError
        If the formula unit lacks atoms, or fits into none of the space groups.
    """
    if isinstance(composition, CompositionSpace):
        return SystemContents(composition, options)
    if not composition or min(composition.values()) < 1:
        raise ValueError("the composition needs at least one atom of each of its elements")
    return FormulaContents(composition, options)


def pack_composition(composition: dict[str, int] | CompositionSpace) -> dict[str, Any]:
    """Turn what is searched into a document."""
    return asdict(composition) if isinstance(composition, CompositionSpace) else composition


def unpack_composition(document: dict[str, Any]) -> dict[str, int] | CompositionSpace:
    """Undo `pack_composition`."""
    return CompositionSpace(**document) if "blocks" in document else document


def _divisor(row: Sequence[int] | NDArray[np.int64]) -> int:
    return int(np.gcd.reduce(np.asarray(row)))
