"""Pairs of atoms within a cutoff, kept from step to step as long as they are valid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Atom pairs times images looked at in one go, to bound the memory.
_BATCH = 2_000_000


class Pairs(NamedTuple):
    """
    Each pair once.

    Attributes
    ----------
    first, second : NDArray[np.intp]
        Indices of the atoms, shape (p,).
    vectors : NDArray[np.float64]
        From first to second in Å, shape (p, 3).
    distances : NDArray[np.float64]
        Å, shape (p,).
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    vectors: NDArray[np.float64]
    distances: NDArray[np.float64]


class PairList:
    """
    Verlet list of a periodic structure.

    Parameters
    ----------
    cutoff : float
        Å.
    skin : float
        The list reaches this much further (Å), so that it lasts until some atom has moved by half
        of it or the cell has changed.
    """

    def __init__(self, cutoff: float, skin: float = 0.8) -> None:
        self.cutoff, self.skin = cutoff, skin
        self._cell: NDArray[np.float64] | None = None

    def update(self, cell: NDArray, positions: NDArray) -> Pairs:
        """Pairs at these lattice vectors (rows, Å) and positions (Å, shape (n, 3))."""
        if not self._is_valid(cell, positions):
            self._build(cell, positions)
        vectors = positions[self._second] - positions[self._first] + self._shifts @ cell
        squares = np.einsum("pc,pc->p", vectors, vectors)
        keep = np.flatnonzero(squares < self.cutoff**2)
        return Pairs(self._first[keep], self._second[keep], vectors[keep], np.sqrt(squares[keep]))

    def _is_valid(self, cell: NDArray, positions: NDArray) -> bool:
        if self._cell is None or len(positions) != len(self._positions):
            return False
        stretch = np.linalg.solve(self._cell, cell)
        homogeneous = self._positions @ stretch
        moved = np.sqrt(((positions - homogeneous) ** 2).sum(axis=1).max())
        smallest = np.linalg.svd(stretch, compute_uv=False)[-1]
        return bool(smallest * (self.cutoff + self.skin) - 2 * moved > self.cutoff)

    def _build(self, cell: NDArray, positions: NDArray) -> None:
        reach = self.cutoff + self.skin
        scaled = np.linalg.solve(cell.T, positions.T).T
        offsets = np.floor(scaled)
        wrapped = (scaled - offsets) @ cell
        n = len(positions)
        first, second, shifts = [], [], []
        images = _half_of_images(cell, reach)
        for batch in np.array_split(images, 1 + len(images) * n * n // _BATCH):
            vectors = wrapped[None, None] - wrapped[None, :, None] + (batch @ cell)[:, None, None]
            s, i, j = np.nonzero((vectors**2).sum(axis=-1) < reach**2)
            # in the home cell every pair comes twice, and every atom meets itself
            keep = batch[s].any(axis=1) | (i < j)
            first.append(i[keep])
            second.append(j[keep])
            shifts.append(batch[s[keep]])
        self._first, self._second = np.concatenate(first), np.concatenate(second)
        self._shifts = np.concatenate(shifts) + offsets[self._first] - offsets[self._second]
        self._cell, self._positions = cell.copy(), positions.copy()


def _half_of_images(cell: NDArray, reach: float) -> NDArray[np.float64]:
    """Lattice translations within reach, one of each pair t and -t, and the home cell."""
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    a, b, c = (int(limit) for limit in np.ceil(reach / heights))
    return np.array(
        [
            (p, q, r)
            for p in range(a + 1)
            for q in range(-b, b + 1)
            for r in range(-c, c + 1)
            if (p, q, r) >= (0, 0, 0)
        ],
        dtype=float,
    )
