"""The lower convex hull of energies against composition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from search.composition_space import CompositionSpace, counts_of

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

STEEP = 10.0
"""eV/atom above the highest point: energy of a corner that nobody has found yet."""
SAME_COMPOSITION = 9
"""Decimals of coordinates that are compared."""


class HullPoint(NamedTuple):
    """
    A phase.

    Attributes
    ----------
    counts : dict of str to int
        Atoms of each element.
    energy : float
        eV/atom; an enthalpy where there is a pressure.
    """

    counts: dict[str, int]
    energy: float


class Hull:
    """
    Lowest energy per atom that mixtures of some phases have, at any composition of a system.

    Coordinates of a composition are the fractions of its atoms that each block of the system
    brings; energies per atom mix linearly in them. A corner of which no phase is known has an
    energy far above all others, so that whatever is found near it is on the hull.

    Parameters
    ----------
    blocks : sequence of str
        Of the system.
    points : sequence of HullPoint
        Phases, in any order; those above the hull do not matter.

    Examples
    --------
    >>> hull = Hull(("Cu", "Au"), [HullPoint({"Cu": 1}, -3.0), HullPoint({"Au": 1}, -2.0)])
    >>> hull.energy({"Cu": 2, "Au": 2})
    -2.5
    """

    def __init__(self, blocks: Sequence[str], points: Sequence[HullPoint] = ()) -> None:
        self.blocks = tuple(blocks)
        self.points = tuple(points)
        self.space = _smallest_space(self.blocks)
        self.elements = self.space.elements
        matrix = self.space.matrix.astype(float)
        self._of_atoms = np.linalg.pinv(matrix) * matrix.sum(axis=1)

    def coordinates(self, rows: NDArray[np.number]) -> NDArray[np.float64]:
        """
        Return the fractions of atoms that each block brings.

        Parameters
        ----------
        rows : (n, elements) array
            Atoms of each of `elements`.

        Returns
        -------
        (n, blocks) array
            They sum to 1.
        """
        return np.asarray(rows @ self._of_atoms / rows.sum(axis=1, keepdims=True), dtype=float)

    def rows_of(self, counts: Sequence[Mapping[str, int]]) -> NDArray[np.int64]:
        """Atoms (n, elements) of some compositions."""
        rows = [[one.get(symbol, 0) for symbol in self.elements] for one in counts]
        return np.array(rows, dtype=np.int64).reshape(-1, len(self.elements))

    def energies(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energies (n,) of the hull, eV/atom, at coordinates (n, blocks)."""
        # between its points the hull is the highest of its planes
        return np.asarray((coordinates @ self._planes.T).max(axis=1))

    def energy(self, counts: Mapping[str, int]) -> float:
        """Energy of the hull at a composition, eV/atom."""
        return float(self.energies(self.coordinates(self.rows_of([counts])))[0])

    def energy_at(self, atoms: Atoms) -> float:
        """Energy of the hull at the composition of a structure, eV/atom."""
        return float(self.energies(self.coordinates(self.space.row_of(atoms.numbers)[None]))[0])

    @cached_property
    def corner_energies(self) -> NDArray[np.float64]:
        """Lowest energies (blocks,) of the corners, eV/atom; far above where none is known."""
        heights = self._heights
        top = float(heights.max(initial=0.0)) + STEEP
        return np.array([heights[at].min(initial=top) for at in self._at_corners.T])

    @cached_property
    def _at_corners(self) -> NDArray[np.bool_]:
        """Which points are at which corner (n, blocks)."""
        return np.asarray(self._where > 1.0 - 10.0**-SAME_COMPOSITION)

    @property
    def has_corners(self) -> bool:
        """Whether a phase is known of each corner."""
        return bool(self._at_corners.any(axis=0).all())

    @property
    def _corners(self) -> NDArray[np.float64]:
        """Coordinates (n, blocks) of the corners that nobody has found yet."""
        return np.eye(len(self.blocks))[~self._at_corners.any(axis=0)]

    @cached_property
    def vertices(self) -> list[int]:
        """Points (indices) that make the hull, in rising order."""
        facets = self._facets
        return sorted({int(i) for i in facets.ravel() if i < len(self.points)})

    def formation_energies(self) -> NDArray[np.float64]:
        """Energies (n,) of the points above the mixture of the corners, eV/atom."""
        return np.asarray(self._heights - self._where @ self.corner_energies)

    @cached_property
    def _where(self) -> NDArray[np.float64]:
        return self.coordinates(self.rows_of([point.counts for point in self.points]))

    @cached_property
    def _heights(self) -> NDArray[np.float64]:
        return np.array([point.energy for point in self.points], dtype=float)

    @cached_property
    def _facets(self) -> NDArray[np.int64]:
        """Lower facets (n, blocks) as indices of points; behind the last one come the corners."""
        from scipy.spatial import ConvexHull

        where = np.vstack([self._where, self._corners])
        # from the mixture of the corners: what is left is as small as energies of formation
        height = np.concatenate([self.formation_energies(), np.zeros(len(self._corners))])
        used = _lowest_of_each(where, height)
        # a point above all others, without which few of them would make no body
        apex = height[used].max() + max(float(np.ptp(height[used])), 1e-3)
        body = np.column_stack([where[used, 1:], height[used]])
        body = np.vstack([body, [*where[used, 1:].mean(axis=0), apex]])
        body[:, -1] /= apex - height[used].min()
        found = ConvexHull(body)
        facets = found.simplices[found.equations[:, -2] < -1e-10]
        facets = used[np.sort(facets, axis=1)]
        solid = np.abs(np.linalg.det(where[facets])) > 1e-12  # triangulation leaves splinters
        return np.asarray(facets[solid], dtype=np.int64)

    @cached_property
    def _planes(self) -> NDArray[np.float64]:
        """Energies (facets, blocks) that the plane of each facet has at the corners."""
        where = np.vstack([self._where, self._corners])
        heights = np.concatenate([self._heights, self._corners @ self.corner_energies])
        facets = self._facets
        return np.asarray(np.linalg.solve(where[facets], heights[facets][..., None])[..., 0])


@lru_cache(maxsize=16)
def _smallest_space(blocks: tuple[str, ...]) -> CompositionSpace:
    """Return the system of some blocks; how large cells may be does not matter to a hull."""
    return CompositionSpace(blocks, sum(sum(counts_of(block).values()) for block in blocks))


def _lowest_of_each(where: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices, rising, of the lowest point of each composition; the first one of equals."""
    best: dict[bytes, int] = {}
    for i in np.argsort(height, kind="stable"):
        best.setdefault((where[i].round(SAME_COMPOSITION) + 0.0).tobytes(), int(i))
    return np.array(sorted(best.values()), dtype=np.int64)
