"""Wyckoff positions of the 230 space groups, ready for primitive cells.

The tables come from pyxtal (standard settings: unique axis b, origin choice 2, hexagonal axes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRIMITIVE_VECTORS = {
    "P": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "A": [[1, 0, 0], [0, 1 / 2, 1 / 2], [0, -1 / 2, 1 / 2]],
    "C": [[1 / 2, 1 / 2, 0], [-1 / 2, 1 / 2, 0], [0, 0, 1]],
    "I": [[-1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [1 / 2, 1 / 2, -1 / 2]],
    "F": [[0, 1 / 2, 1 / 2], [1 / 2, 0, 1 / 2], [1 / 2, 1 / 2, 0]],
    "R": [[2 / 3, 1 / 3, 1 / 3], [-1 / 3, 1 / 3, 1 / 3], [-1 / 3, -2 / 3, 1 / 3]],
}
"""Primitive lattice vectors as rows, in units of the conventional ones, by centring."""

ORDERS = np.repeat(
    [1, 2, 4, 8, 4, 8, 16, 3, 6, 12, 6, 12, 24, 12, 24, 48],
    [1, 8, 37, 28, 8, 40, 20, 4, 15, 6, 7, 16, 4, 5, 21, 10],
)
"""Operations of each space group in the primitive cell, (230,); those of its point group."""


@dataclass(frozen=True)
class Site:
    """A Wyckoff position.

    Attributes
    ----------
    letter : str
        Wyckoff letter.
    rotations : (m, 3, 3) array
        With `translations` (m, 3): m conventional fractional coordinates of the orbit in the
        primitive cell from any point, which the first operation projects onto the position.
    free : bool
        Whether the position has a free coordinate, so that it can be taken more than once.
    """

    letter: str
    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]
    free: bool

    @property
    def multiplicity(self) -> int:
        """Atoms in the primitive cell."""
        return len(self.rotations)

    def orbit(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Conventional fractional coordinates (m, 3) of the orbit of `point` (3,)."""
        return self.rotations @ point + self.translations


@dataclass(frozen=True)
class SpaceGroup:
    """What generating a structure needs to know of a space group.

    Attributes
    ----------
    number : int
        1-230.
    system : str
        Crystal system, "trigonal" on hexagonal axes.
    primitive : (3, 3) array
        Primitive lattice vectors as rows in units of the conventional ones.
    sites : tuple of Site
        Wyckoff positions, the general one first.
    """

    number: int
    system: str
    primitive: NDArray[np.float64]
    sites: tuple[Site, ...]

    @cached_property
    def to_primitive(self) -> NDArray[np.float64]:
        """Matrix (3, 3) from conventional to primitive fractional coordinates (rows)."""
        inverse: NDArray[Any] = np.linalg.inv(self.primitive)
        return inverse

    @cached_property
    def multiplicities(self) -> NDArray[np.int64]:
        """Multiplicities of the sites in the primitive cell."""
        return np.array([site.multiplicity for site in self.sites])

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Whether each site has a free coordinate."""
        return np.array([site.free for site in self.sites])


@lru_cache(maxsize=230)
def space_group(number: int) -> SpaceGroup:
    """Return the space group of a number, 1-230."""
    from pyxtal.symmetry import Group

    group = Group(number)
    primitive = np.array(PRIMITIVE_VECTORS[group.symbol[0]], dtype=float)
    centrings = round(1 / np.linalg.det(primitive))
    sites = []
    for position in group.Wyckoff_positions:
        # the operations come centring by centring: the first share fills the primitive cell
        operations = position.ops[: len(position.ops) // centrings]
        sites.append(
            Site(
                letter=position.letter,
                rotations=np.array([op.rotation_matrix for op in operations], dtype=float),
                translations=np.array([op.translation_vector for op in operations], dtype=float),
                free=bool(position.get_dof() > 0),
            )
        )
    return SpaceGroup(number, group.lattice_type, primitive, tuple(sites))


def choose_sites(
    group: SpaceGroup, counts: Mapping[str, int], rng: np.random.Generator
) -> list[tuple[str, Site]] | None:
    """Fill the counts of each element in the primitive cell with Wyckoff positions at random.

    Half of the time all positions that fit are alike, half of the time they weigh with their
    multiplicity, so that groups with many special positions are not confined to them. Returns
    None if this attempt came to a dead end.
    """
    symbols = [str(symbol) for symbol in rng.permutation(list(counts))]
    wanted = np.array([counts[symbol] for symbol in symbols])
    by_multiplicity = bool(rng.random() < 0.5)
    chances = rng.random(int(wanted.sum()))
    element, site = _fill(group.multiplicities, group.free, wanted, by_multiplicity, chances)
    if len(element) == 0:
        return None
    return [(symbols[e], group.sites[i]) for e, i in zip(element, site, strict=True)]


@numba.njit(cache=True)
def _fill(
    multiplicities: NDArray[np.int64],
    free: NDArray[np.bool_],
    wanted: NDArray[np.int64],
    by_multiplicity: bool,
    chances: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Elements and sites (indices) chosen with the random numbers `chances`; empty if stuck."""
    n = len(multiplicities)
    taken = np.zeros(n, np.bool_)
    element = np.empty(len(chances), np.int64)
    site = np.empty(len(chances), np.int64)
    weights = np.empty(n)
    chosen = 0
    for e in range(len(wanted)):
        left = wanted[e]
        while left > 0:
            for i in range(n):
                fits = multiplicities[i] <= left and not taken[i]
                weights[i] = 0.0
                if fits:
                    weights[i] = float(multiplicities[i]) if by_multiplicity else 1.0
            total = weights.sum()
            if total == 0.0:
                return element[:0], site[:0]
            threshold = chances[chosen] * total
            pick = -1
            for i in range(n):
                if weights[i] > 0.0:
                    pick = i
                    threshold -= weights[i]
                    if threshold < 0.0:
                        break
            taken[pick] = not free[pick]
            element[chosen], site[chosen] = e, pick
            chosen += 1
            left -= multiplicities[pick]
    return element[:chosen], site[:chosen]
