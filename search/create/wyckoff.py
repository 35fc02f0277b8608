"""
Wyckoff positions of the 230 space groups, ready for primitive cells.

The tables come from pyxtal (standard settings: unique axis b, origin choice 2, hexagonal axes).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

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

SYSTEMS = (
    "triclinic",
    "monoclinic",
    "orthorhombic",
    "tetragonal",
    "trigonal",
    "hexagonal",
    "cubic",
)
"""Crystal systems; the trigonal one on hexagonal axes."""


@dataclass(frozen=True)
class Site:
    """
    A Wyckoff position.

    Attributes
    ----------
    rotations : (m, 3, 3) array
        With `translations` (m, 3): m conventional fractional coordinates of the orbit in the
        primitive cell from any point, which the first operation projects onto the position.
    free : bool
        Whether the position has a free coordinate, so that it can be taken more than once.
    """

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


class SiteTables(NamedTuple):
    """
    The sites of a space group as arrays, for compiled code.

    Attributes
    ----------
    system : int
        Index into `SYSTEMS`.
    primitive, to_primitive : (3, 3) arrays
        Primitive lattice vectors in units of the conventional ones, and the inverse.
    multiplicities : (n,) array
        Atoms of each site in the primitive cell.
    free : (n,) array
        Whether each site has a free coordinate.
    first : (n,) array
        Where the operations of each site begin.
    rotations, translations : (m, 3, 3) and (m, 3) arrays
        Operations, site after site.
    """

    system: int
    primitive: NDArray[np.float64]
    to_primitive: NDArray[np.float64]
    multiplicities: NDArray[np.int64]
    free: NDArray[np.bool_]
    first: NDArray[np.int64]
    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]


@dataclass(frozen=True)
class SpaceGroup:
    """
    What generating a structure needs to know of a space group.

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
    def tables(self) -> SiteTables:
        """The sites as arrays."""
        inverse: NDArray[Any] = np.linalg.inv(self.primitive)
        multiplicities = np.array([site.multiplicity for site in self.sites])
        return SiteTables(
            system=SYSTEMS.index(self.system),
            primitive=self.primitive,
            to_primitive=inverse,
            multiplicities=multiplicities,
            free=np.array([site.free for site in self.sites]),
            first=np.cumsum(multiplicities) - multiplicities,
            rotations=np.concatenate([site.rotations for site in self.sites]),
            translations=np.concatenate([site.translations for site in self.sites]),
        )


@lru_cache(maxsize=230)
def space_group(number: int) -> SpaceGroup:
    """Return the space group of a number, 1-230."""
    from pyxtal.symmetry import Group, get_wyckoffs

    group = Group(number, quick=True)  # without tables that take ten times as long
    primitive = np.array(PRIMITIVE_VECTORS[group.symbol[0]], dtype=float)
    centrings = round(1 / np.linalg.det(primitive))
    positions = get_wyckoffs(number)
    sites = []
    for position in positions:
        # the operations come centring by centring: the first share fills the primitive cell
        operations = position[: len(position) // centrings]
        rotations = np.array([op.rotation_matrix for op in operations], dtype=float)
        sites.append(
            Site(
                rotations=rotations,
                translations=np.array([op.translation_vector for op in operations], dtype=float),
                free=bool(np.abs(rotations[0]).max() > 1e-6),
            )
        )
    return SpaceGroup(number, group.lattice_type, primitive, tuple(sites))


@numba.njit(cache=True)
def choose_sites(
    multiplicities: NDArray[np.int64],
    free: NDArray[np.bool_],
    wanted: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Fill the counts of each element in the primitive cell with sites at random.

    Half of the time all sites that fit are alike, half of the time they weigh with their
    multiplicity, so that groups with many special positions are not confined to them.

    Parameters
    ----------
    multiplicities, free : (n,) arrays
        As in `SiteTables`.
    wanted : (n_elements,) array
        Atoms of each element.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    elements, sites : (n_chosen,) arrays
        Indices, in the order they were chosen; empty if this attempt came to a dead end.
    """
    n = len(multiplicities)
    order = rng.permutation(len(wanted))
    by_multiplicity = rng.random() < 0.5
    taken = np.zeros(n, np.bool_)
    total_wanted = wanted.sum()
    elements = np.empty(total_wanted, np.int64)
    sites = np.empty(total_wanted, np.int64)
    weights = np.empty(n)
    chosen = 0
    for element in order:
        left = wanted[element]
        while left > 0:
            for i in range(n):
                fitting = multiplicities[i] <= left and not taken[i]
                weights[i] = 0.0
                if fitting:
                    weights[i] = float(multiplicities[i]) if by_multiplicity else 1.0
            total = weights.sum()
            if total == 0.0:
                return elements[:0], sites[:0]
            threshold = rng.random() * total
            pick = -1
            for i in range(n):
                if weights[i] > 0.0:
                    pick = i
                    threshold -= weights[i]
                    if threshold < 0.0:
                        break
            taken[pick] = not free[pick]
            elements[chosen], sites[chosen] = element, pick
            chosen += 1
            left -= multiplicities[pick]
    return elements[:chosen], sites[:chosen]
