"""Wyckoff positions of the 230 space groups, ready for primitive cells.

The tables come from pyxtal (standard settings: unique axis b, origin choice 2, hexagonal axes).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

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
    group: SpaceGroup, counts: dict[str, int], rng: np.random.Generator
) -> list[tuple[str, Site]] | None:
    """Fill the counts of each element in the primitive cell with Wyckoff positions at random.

    Half of the time all positions that fit are alike, half of the time they weigh with their
    multiplicity, so that groups with many special positions are not confined to them. Returns
    None if this attempt came to a dead end.
    """
    by_multiplicity = rng.random() < 0.5
    taken: set[str] = set()
    chosen: list[tuple[str, Site]] = []
    for symbol in rng.permutation(list(counts)):
        left = counts[str(symbol)]
        while left:
            fitting = [
                site
                for site in group.sites
                if site.multiplicity <= left and (site.free or site.letter not in taken)
            ]
            if not fitting:
                return None
            weights = np.array([s.multiplicity if by_multiplicity else 1 for s in fitting], float)
            site = fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))]
            if not site.free:
                taken.add(site.letter)
            chosen.append((str(symbol), site))
            left -= site.multiplicity
    return chosen
