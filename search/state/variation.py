"""Making one candidate by one operator: from nothing, from a prototype, or from parents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from search.candidate import Candidate
from search.create.operators import NoChildError
from search.create.prototypes import PrototypeError, PrototypeLibrary
from search.create.random_crystals import GenerationError
from search.create.registry import OPERATORS, RANDOM, Operator, Wanted
from search.state.contents import Contents, FormulaContents
from search.symmetry import TIGHT_TOLERANCE, find_space_group

if TYPE_CHECKING:
    from ase import Atoms

    from search.options import EvolutionOptions
    from search.state.adaptation import Adaptation
    from search.state.individual import Individual

ATTEMPTS_AT_RANDOM = 6
"""Times a random structure is tried in more and more volume."""


class Variation:
    """
    Makes candidates.

    Parameters
    ----------
    contents : FormulaContents or SystemContents
        What their cells may hold.
    options : EvolutionOptions
        Volumes and the source of prototypes.
    adaptation : Adaptation
        Volume, distances and symmetries to start from; read anew for each structure.
    discards : Counter
        Counts attempts that failed, by reason.

    Raises
    ------
    PrototypeError
        If there are no prototypes of what is searched.
    """

    def __init__(
        self,
        contents: Contents,
        options: EvolutionOptions,
        adaptation: Adaptation,
        discards: Counter[str],
    ) -> None:
        self.contents = contents
        self.options = options
        self.adaptation = adaptation
        self.discards = discards
        self.prototypes = (
            PrototypeLibrary.load(options.prototypes, _of_one_compound(contents).composition)
            if options.prototypes is not None
            else None
        )

    def first_prototypes(self) -> list[Atoms]:
        """Make the structures that a search with prototypes begins with; the same for any seed."""
        if self.prototypes is None:
            return []
        contents = _of_one_compound(self.contents)
        made = self.prototypes.first_structures(
            contents.composition,
            contents.units,
            self.options.volume_per_atom,
            self.adaptation.limits,
        )
        groups = self.options.groups
        return [
            atoms
            for atoms in made
            if groups is None or find_space_group(atoms, TIGHT_TOLERANCE).number in groups
        ]

    def create_by_shares(
        self,
        id_: int,
        shares: Mapping[str, float],
        parents: list[Individual],
        rng: np.random.Generator,
    ) -> Candidate:
        """
        Make a structure by an operator that is drawn.

        Parameters
        ----------
        id_ : int
            Number of the structure.
        shares : mapping of str to float
            Of the operators; without parents only of those that need none.
        parents : list of Individual
            Those it may draw from, fittest first.
        rng : numpy.random.Generator
            Source of chance.
        """
        usable = {
            name: shares[name]
            for name, operator in OPERATORS.items()
            if name in shares and not operator.parents
        }
        if parents:
            usable = dict(shares)
        chances = np.array(list(usable.values()))
        operator = str(rng.choice(list(usable), p=chances / chances.sum()))
        return self.create(id_, operator, parents, rng)

    def create(
        self, id_: int, name: str, parents: list[Individual], rng: np.random.Generator
    ) -> Candidate:
        """
        Make a structure by an operator; where that fails, a random one.

        Parameters
        ----------
        id_ : int
            Number of the structure.
        name : str
            Of the operator.
        parents : list of Individual
            Those it may draw from, fittest first.
        rng : numpy.random.Generator
            Source of chance.
        """
        operator = OPERATORS[name]
        try:
            if operator.parents:
                return self._child(id_, name, operator, parents, rng)
            if name != RANDOM:
                return self._from_nothing(id_, name, *self._wanted(id_, parents, rng), rng)
        except (NoChildError, GenerationError) as error:
            self.discards[f"{name}: {error}"] += 1
        return self._random(id_, parents, rng)

    def _wanted(
        self, id_: int, parents: list[Individual], rng: np.random.Generator
    ) -> tuple[int, Wanted]:
        """Draw what a cell holds, and its volume."""
        formula_units, counts = self.contents.draw(id_, parents, rng)
        volume = self.adaptation.volume_per_atom_of(counts)
        per_atom = volume * rng.uniform(*self.options.volume_range)
        return formula_units, Wanted(
            counts=counts,
            volume=per_atom * sum(counts.values()),
            limits=self.adaptation.limits,
            spacing=self.adaptation.spacing,
            group_weights=self.adaptation.group_weights(),
            prototypes=self.prototypes,
            groups=self.options.groups,
        )

    def _from_nothing(
        self, id_: int, name: str, formula_units: int, wanted: Wanted, rng: np.random.Generator
    ) -> Candidate:
        """Make a structure by an operator without parents."""
        atoms = OPERATORS[name].function(wanted, rng)
        return Candidate(id_, atoms, name, (), formula_units, atoms.info.pop("space_group", None))

    def _random(self, id_: int, parents: list[Individual], rng: np.random.Generator) -> Candidate:
        """Make a random structure, in more volume if the atoms find no room."""
        formula_units, wanted = self._wanted(id_, parents, rng)
        for _ in range(ATTEMPTS_AT_RANDOM):
            try:
                return self._from_nothing(id_, RANDOM, formula_units, wanted, rng)
            except GenerationError:
                self.discards[f"{RANDOM}: no room for the atoms"] += 1
                wanted = wanted.roomier()
        raise GenerationError(
            f"no random structure of {wanted.counts} fits even {wanted.volume:.0f} Å³; "
            f"shortest distances: {wanted.spacing.as_dict()}"
        )

    def _child(
        self,
        id_: int,
        name: str,
        operator: Operator,
        parents: list[Individual],
        rng: np.random.Generator,
    ) -> Candidate:
        """Make a structure by an operator with parents, of equal cells unless it changes them."""
        first = drawn_parent(parents, rng)
        chosen = [first]
        while len(chosen) < operator.parents:
            others = [
                member
                for member in parents
                if self.contents.may_be_joined(first, member) != operator.changes_composition
                and all(member.id != parent.id for parent in chosen)
            ]
            chosen.append(drawn_parent(others, rng))
        structures = [parent.structure for parent in chosen]
        chosen_by_it: dict[str, Any] = {}
        if operator.chooses_group:
            chosen_by_it["groups"] = self.options.groups
        if operator.changes_composition:
            chosen_by_it["space"] = self.contents.composition
        child = operator.function(*structures, self.adaptation.spacing, rng, **chosen_by_it)
        ids = tuple(parent.id for parent in chosen)
        return Candidate(id_, child, name, ids, self.contents.units_of(child))


def _of_one_compound(contents: Contents) -> FormulaContents:
    """
    Return the contents of a search of one compound.

    Raises
    ------
    PrototypeError
        If they are of a whole system.
    """
    if isinstance(contents, FormulaContents):
        return contents
    raise PrototypeError(
        "prototypes are of one composition each, and not known of a whole system; leave them out, "
        "or give structures to begin with"
    )


def drawn_parent(pool: list[Individual], rng: np.random.Generator) -> Individual:
    """Draw one of `pool`, the likelier the nearer to its front."""
    if not pool:
        raise NoChildError("no second parent")
    weights = np.arange(len(pool), 0, -1, dtype=float)
    return pool[int(rng.choice(len(pool), p=weights / weights.sum()))]
