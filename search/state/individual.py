"""One structure of a search, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from search.relax.relaxed import CONVERGED
from search.state.similarity import reduced_structure

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

DUPLICATE = "duplicate"
"""Status of a structure that was found before or later with a better fitness."""


class NewBest(NamedTuple):
    """
    A structure that was better than all before it.

    Attributes
    ----------
    structures : int
        Structures evaluated by then.
    id : int
        Of the individual.
    energy, fitness : float
        eV/atom; the energy is an enthalpy where the search has a pressure.
    """

    structures: int
    id: int
    energy: float
    fitness: float


@dataclass
class Individual:
    """
    One structure of the search.

    Attributes
    ----------
    id : int
        Number in the order of creation.
    generation : int
        Generation it was made in, from 0.
    operator : str
        What made it.
    parents : tuple of int
        Ids of its parents.
    formula_units : int
        Z of its cell.
    energy : float
        eV/atom; NaN if it has none. An enthalpy where the search has a pressure.
    fitness : float
        eV/atom, the lower, the better; NaN if the structure is of no use.
    volume : float
        Å³/atom.
    status : str
        How its relaxation ended, or "duplicate of" and the id of the one kept.
    atoms : ase.Atoms or None
        Relaxed structure; None where it is not kept.
    space_group : int or None
        Number of the space group, once asked for.
    uncertainty : float or None
        Error to expect of the energy, eV/atom; none where nothing is known of it.
    of_prototype : bool
        Whether it, or one of its ancestors, came from a known structure type.
    reduced : dict
        Reduced cells, once asked for: whether primitive, and the cell.
    """

    id: int
    generation: int
    operator: str
    parents: tuple[int, ...]
    formula_units: int
    energy: float
    fitness: float
    volume: float
    status: str
    atoms: Atoms | None = None
    space_group: int | None = None
    uncertainty: float | None = None
    of_prototype: bool = False
    reduced: dict[bool, Structure] = field(default_factory=dict, repr=False, compare=False)

    @property
    def converged(self) -> bool:
        """Whether it is under all limits there are, the tight ones among them."""
        return self.status == CONVERGED

    @property
    def structure(self) -> Atoms:
        """The relaxed structure of an individual that has one."""
        if self.atoms is None:
            raise ValueError(f"individual {self.id} has no structure")
        return self.atoms

    @property
    def contents(self) -> tuple[tuple[int, int], ...]:
        """Atomic numbers in the cell, rising, and how many atoms there are of each."""
        numbers, counts = np.unique(self.structure.numbers, return_counts=True)
        return tuple(zip(numbers.tolist(), counts.tolist(), strict=True))

    @cached_property
    def compound(self) -> tuple[tuple[int, int], ...]:
        """Atomic numbers of the reduced formula, rising, and how often each of them is in it."""
        contents = self.contents
        units = gcd(*(n for _, n in contents))
        return tuple((number, n // units) for number, n in contents)

    def reduced_cell(self, *, primitive: bool = True) -> Structure:
        """
        Return the structure in a reduced cell, as pymatgen compares structures.

        Finding it takes several times as long as a comparison, so that it is kept.

        Parameters
        ----------
        primitive : bool
            Whether it is the primitive one, or has all the atoms.
        """
        if primitive not in self.reduced:
            self.reduced[primitive] = reduced_structure(self.structure, primitive=primitive)
        return self.reduced[primitive]

    def forget_structure(self) -> None:
        """Keep the figures only."""
        self.atoms, self.reduced = None, {}


def note_best(history: list[NewBest], individual: Individual, structures: int) -> None:
    """
    Write down that an individual is better than all before it.

    Parameters
    ----------
    history : list of NewBest
        Of the search. One that only relaxed on is the same find.
    individual : Individual
        The best of all now.
    structures : int
        Structures evaluated by now.
    """
    if history and history[-1].id == individual.id:
        structures = history.pop().structures
    history.append(NewBest(structures, individual.id, individual.energy, individual.fitness))
