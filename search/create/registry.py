"""
The search operators: what makes a new structure, from nothing or from relaxed parents.

An operator is one function and one row here. Its options, shares and books follow from the row.

>>> from search.create.registry import OPERATORS, Operator
>>> def mirror(parent, limits, rng):
...     child = parent.copy()
...     child.positions[:, 2] *= -1.0
...     return child
>>> OPERATORS["mirror"] = Operator(mirror, parents=1, share=0.05)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from search.create.composition_operators import (
    addition,
    composition_heredity,
    removal,
    superlattice,
    transmutation,
)
from search.create.nets import net_structure
from search.create.operators import heredity, lattice_mutation, permutation, rattle
from search.create.random_crystals import GenerationError, RandomSymmetric
from search.create.soft_mutation import soft_mutation
from search.create.symmetric_operators import orbit_mutation, orbit_permutation
from search.symmetry import TIGHT_TOLERANCE, find_space_group

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from search.create.prototypes import PrototypeLibrary
    from search.geometry import DistanceLimits


@dataclass(frozen=True)
class Wanted:
    """
    What a structure from nothing should be like.

    Parameters
    ----------
    counts : dict of str to int
        Atoms of each element.
    volume : float
        Of the cell, Å³.
    limits : DistanceLimits
        Shortest distances a structure may have.
    spacing : DistanceLimits
        Shortest distances to begin with; wider than `limits` once the search knows its system.
    group_weights : tuple of float
        Chance of each of the 230 space groups.
    prototypes : PrototypeLibrary or None
        Known structure types, if the search may use them.
    groups : tuple of int or None
        Space groups that structures may have; none: all.
    """

    counts: dict[str, int]
    volume: float
    limits: DistanceLimits
    spacing: DistanceLimits
    group_weights: tuple[float, ...]
    prototypes: PrototypeLibrary | None = None
    groups: tuple[int, ...] | None = None

    def roomier(self) -> Wanted:
        """Return the same in a tenth more volume, with atoms that may be a tenth nearer."""
        return replace(self, volume=1.1 * self.volume, spacing=self.spacing.scaled(0.9))


@dataclass(frozen=True)
class Operator:
    """
    A row of the registry.

    Parameters
    ----------
    function : callable
        Without parents, `function(wanted, rng)` with `Wanted`; with one or two,
        `function(parent, limits, rng)` or `function(one, other, limits, rng)`, where `limits` are
        the shortest distances that the child must keep. It returns `ase.Atoms` and raises
        `GenerationError` or `NoChildError`, with the reason, when it cannot.
    parents : int
        How many it takes: 0, 1 or 2.
    share : float
        Of the structures of a generation, before success has changed it; shares are normalised.
    needs : str
        Option of the search without which the operator is not used; empty if there is none.
    chooses_group : bool
        Whether it takes the space groups that are asked for as its argument `groups`, because it
        works in one that it chooses itself.
    changes_composition : bool
        Whether its children are of other cells than their parents: it is used in searches of a
        system only, and takes that as its argument `space`. Two parents differ in their contents.
    """

    function: Callable[..., Atoms]
    parents: int
    share: float
    needs: str = ""
    chooses_group: bool = False
    changes_composition: bool = False


def random_crystal(wanted: Wanted, rng: np.random.Generator) -> Atoms:
    """Make a crystal with the symmetry of a random space group."""
    generator = RandomSymmetric(wanted.spacing, weights=wanted.group_weights)
    return generator.generate(wanted.counts, wanted.volume, rng)


def decorated_net(wanted: Wanted, rng: np.random.Generator) -> Atoms:
    """Make a symmetric net of equal vertices and distribute the elements over it."""
    return _checked(net_structure(wanted.counts, wanted.volume, wanted.spacing, rng), wanted)


def prototype(wanted: Wanted, rng: np.random.Generator) -> Atoms:
    """Put the elements of the search into a known structure type."""
    if wanted.prototypes is None:
        raise GenerationError("no prototypes were asked for")
    made = wanted.prototypes.structure(wanted.counts, wanted.volume, wanted.limits, rng)
    return _checked(made, wanted)


def _checked(atoms: Atoms, wanted: Wanted) -> Atoms:
    """Refuse a structure of a space group that is not asked for."""
    if wanted.groups is not None:
        found = find_space_group(atoms, TIGHT_TOLERANCE).number
        if found not in wanted.groups:
            raise GenerationError("its space group is not asked for")
    return atoms


PROTOTYPE = "prototype"
"""The operator that puts the elements into a known structure type."""
RANDOM = "random"
"""The operator that stands in where another one fails; no search can do without it."""

OPERATORS: dict[str, Operator] = {
    RANDOM: Operator(random_crystal, parents=0, share=0.4),
    "topological": Operator(decorated_net, parents=0, share=0.02),
    PROTOTYPE: Operator(prototype, parents=0, share=0.1, needs="prototypes"),
    "heredity": Operator(heredity, parents=2, share=0.15),
    "orbit mutation": Operator(orbit_mutation, parents=1, share=0.2, chooses_group=True),
    "orbit permutation": Operator(orbit_permutation, parents=1, share=0.05, chooses_group=True),
    "permutation": Operator(permutation, parents=1, share=0.05),
    "lattice mutation": Operator(lattice_mutation, parents=1, share=0.05),
    "soft mutation": Operator(soft_mutation, parents=1, share=0.05),
    "rattle": Operator(rattle, parents=1, share=0.05),
    "composition heredity": Operator(
        composition_heredity, parents=2, share=0.1, changes_composition=True
    ),
    "transmutation": Operator(transmutation, parents=1, share=0.1, changes_composition=True),
    "superlattice": Operator(superlattice, parents=1, share=0.1, changes_composition=True),
    "addition": Operator(addition, parents=1, share=0.05, changes_composition=True),
    "removal": Operator(removal, parents=1, share=0.05, changes_composition=True),
}
"""All operators by name. Their order is part of what a seed of random numbers stands for."""


def default_shares(changes_composition: bool = False) -> dict[str, float]:
    """
    Share of each operator at the start.

    Parameters
    ----------
    changes_composition : bool
        Whether of those that change the composition, or of those that keep it.
    """
    return {
        name: operator.share
        for name, operator in OPERATORS.items()
        if operator.changes_composition == changes_composition
    }
