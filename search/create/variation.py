"""Making one structure by one operator: from nothing, from a prototype, or from parents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from search.candidate import Candidate
from search.create.nets import net_structure
from search.create.operators import NoChildError, heredity, lattice_mutation, permutation, rattle
from search.create.prototypes import PrototypeLibrary
from search.create.random_crystals import GenerationError, RandomSymmetric
from search.create.soft_mutation import soft_mutation
from search.create.symmetric_operators import orbit_mutation, orbit_permutation
from search.options import HEREDITY, PROTOTYPE, RANDOM, TOPOLOGICAL

if TYPE_CHECKING:
    from ase import Atoms

    from search.geometry import DistanceLimits
    from search.options import EvolutionOptions
    from search.state.archive import Individual
    from search.state.learned import Learned

MUTATIONS: dict[str, Callable[[Atoms, DistanceLimits, np.random.Generator], Atoms]] = {
    "orbit mutation": orbit_mutation,
    "orbit permutation": orbit_permutation,
    "permutation": permutation,
    "soft mutation": soft_mutation,
    "lattice mutation": lattice_mutation,
    "rattle": rattle,
}
WITHOUT_PARENTS = (RANDOM, TOPOLOGICAL, PROTOTYPE)
ROOMIER = 6
"""Times a random structure is tried in more and more volume."""


class Variation:
    """Makes structures of one composition.

    Parameters
    ----------
    composition : mapping of str to int
        Atoms of each element in a formula unit.
    options : EvolutionOptions
        Formula units, volumes and the source of prototypes.
    learned : Learned
        Volume, distances and symmetries to start from; read anew for each structure.
    discards : Counter
        Counts attempts that failed, by reason.
    """

    def __init__(
        self,
        composition: Mapping[str, int],
        options: EvolutionOptions,
        learned: Learned,
        discards: Counter[str],
    ) -> None:
        self.composition = dict(composition)
        self.options = options
        self.learned = learned
        self.discards = discards
        self.prototypes = (
            PrototypeLibrary.load(options.prototypes, self.composition)
            if options.prototypes is not None
            else None
        )

    def create(
        self, id_: int, operator: str, parents: list[Individual], rng: np.random.Generator
    ) -> Candidate:
        """Make a structure by `operator`; where that fails, a random one.

        `parents`, fittest first, are those it may draw from.
        """
        try:
            if operator == TOPOLOGICAL:
                return self._net(id_, rng)
            if operator == PROTOTYPE:
                return self._prototype(id_, rng)
            if operator != RANDOM:
                return self._child(id_, operator, parents, rng)
        except (NoChildError, GenerationError) as error:
            self.discards[f"{operator}: {error}"] += 1
        return self._random(id_, rng)

    def _drawn_size(self, rng: np.random.Generator) -> tuple[int, dict[str, int], float]:
        """Draw formula units, with the counts of the elements and a volume (Å³) for the cell."""
        formula_units = int(rng.choice(self.options.formula_units))
        counts = {symbol: n * formula_units for symbol, n in self.composition.items()}
        per_atom = self.learned.volume_per_atom * rng.uniform(*self.options.volume_range)
        return formula_units, counts, per_atom * sum(counts.values())

    def _net(self, id_: int, rng: np.random.Generator) -> Candidate:
        """Make a decorated net."""
        formula_units, counts, size = self._drawn_size(rng)
        atoms = net_structure(counts, size, self.learned.spacing, rng)
        return Candidate(id_, atoms, TOPOLOGICAL, (), formula_units)

    def _prototype(self, id_: int, rng: np.random.Generator) -> Candidate:
        """Make a known structure type with the elements of the search."""
        if self.prototypes is None:
            raise GenerationError("no prototypes were asked for")
        formula_units, counts, size = self._drawn_size(rng)
        atoms = self.prototypes.structure(counts, size, self.learned.limits, rng)
        return Candidate(id_, atoms, PROTOTYPE, (), formula_units)

    def _random(self, id_: int, rng: np.random.Generator) -> Candidate:
        """Make a random symmetric structure, in more volume if the atoms find no room."""
        spacing = self.learned.spacing
        formula_units, counts, size = self._drawn_size(rng)
        for _ in range(ROOMIER):
            try:
                generator = RandomSymmetric(spacing, weights=self.learned.group_weights())
                atoms = generator.generate(counts, size, rng)
            except GenerationError:
                self.discards["random: no room for the atoms"] += 1
                size *= 1.1
                spacing = spacing.scaled(0.9)
                continue
            group = int(atoms.info.pop("space_group"))
            return Candidate(id_, atoms, RANDOM, (), formula_units, group)
        raise GenerationError(
            f"no random structure of {counts} fits even {size:.0f} Å³; "
            f"shortest distances: {spacing.as_dict()}"
        )

    def _child(
        self, id_: int, operator: str, parents: list[Individual], rng: np.random.Generator
    ) -> Candidate:
        parent = drawn_parent(parents, rng)
        chosen: tuple[int, ...] = (parent.id,)
        spacing = self.learned.spacing
        if operator == HEREDITY:
            mates = [
                member
                for member in parents
                if member.formula_units == parent.formula_units and member.id != parent.id
            ]
            mate = drawn_parent(mates, rng)
            chosen = (parent.id, mate.id)
            child = heredity(parent.structure, mate.structure, spacing, rng)
        else:
            child = MUTATIONS[operator](parent.structure, spacing, rng)
        return Candidate(id_, child, operator, chosen, parent.formula_units)


def drawn_parent(pool: list[Individual], rng: np.random.Generator) -> Individual:
    """Draw one of `pool`, the likelier the nearer to its front."""
    if not pool:
        raise NoChildError("no second parent")
    weights = np.arange(len(pool), 0, -1, dtype=float)
    return pool[int(rng.choice(len(pool), p=weights / weights.sum()))]
