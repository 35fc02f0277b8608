"""Compiled geometry of periodic cells: distances between atoms and their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray


@numba.njit(cache=True)
def volume(cell: NDArray[np.float64]) -> float:
    """Volume (Å³) of a cell (3, 3) with lattice vectors as rows."""
    return abs(
        cell[0, 0] * (cell[1, 1] * cell[2, 2] - cell[1, 2] * cell[2, 1])
        - cell[0, 1] * (cell[1, 0] * cell[2, 2] - cell[1, 2] * cell[2, 0])
        + cell[0, 2] * (cell[1, 0] * cell[2, 1] - cell[1, 1] * cell[2, 0])
    )


@numba.njit(cache=True)
def image_shifts(cell: NDArray[np.float64], cutoff: float) -> NDArray[np.float64]:
    """
    Lattice vectors (m, 3) in Å that lead to all images within `cutoff` (Å), shortest first.

    They are meant to be added to what `nearest` gives, which lies in the cell centred at zero.
    """
    inverse: NDArray[Any] = np.linalg.inv(cell)
    ranges = np.empty(3, np.int64)
    for k in range(3):
        height = np.sqrt(inverse[0, k] ** 2 + inverse[1, k] ** 2 + inverse[2, k] ** 2)
        ranges[k] = int(np.ceil(cutoff * height + 0.5 - 1e-9))
    corner = 0.0
    for s in (-0.5, 0.5):
        for t in (-0.5, 0.5):
            diagonal = 0.5 * cell[0] + s * cell[1] + t * cell[2]
            corner = max(corner, np.sqrt((diagonal**2).sum()))
    reach = (cutoff + corner + 1e-9) ** 2
    shifts = np.zeros((np.prod(2 * ranges + 1), 3))
    squares = np.zeros(len(shifts))
    count = 1
    for p in range(-ranges[0], ranges[0] + 1):
        for q in range(-ranges[1], ranges[1] + 1):
            for r in range(-ranges[2], ranges[2] + 1):
                if p == 0 and q == 0 and r == 0:
                    continue
                square = 0.0
                for k in range(3):
                    shifts[count, k] = p * cell[0, k] + q * cell[1, k] + r * cell[2, k]
                    square += shifts[count, k] ** 2
                if square < reach:
                    squares[count] = square
                    count += 1
    return shifts[np.argsort(squares[:count], kind="mergesort")]


@numba.njit(cache=True)
def count_near(delta: NDArray[np.float64], shifts: NDArray[np.float64], cutoff: float) -> int:
    """
    How many of `shifts` (m, 3), sorted, can bring `delta` (3,) within `cutoff` (Å).

    By the triangle inequality: of the shifts of a small cell most cannot.
    """
    reach = np.sqrt(delta[0] ** 2 + delta[1] ** 2 + delta[2] ** 2) + cutoff
    square = reach * reach
    for m in range(len(shifts)):
        if shifts[m, 0] ** 2 + shifts[m, 1] ** 2 + shifts[m, 2] ** 2 > square:
            return m
    return len(shifts)


@numba.njit(cache=True)
def nearest(
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    cell: NDArray[np.float64],
    inverse: NDArray[np.float64],
    delta: NDArray[np.float64],
) -> None:
    """
    Write the vector from `one` to an image of `other` near it to `delta`; all (3,), Å.

    Its fractional coordinates lie in [-1/2, 1/2]. `inverse` is that of the cell (3, 3).
    """
    delta[:] = 0.0
    for k in range(3):
        f = 0.0
        for m in range(3):
            f += (other[m] - one[m]) * inverse[m, k]
        f -= np.round(f)
        for m in range(3):
            delta[m] += f * cell[k, m]


@numba.njit(cache=True)
def shifted_square(delta: NDArray[np.float64], shift: NDArray[np.float64]) -> float:
    """Squared length (Å²) of `delta` (3,) plus a lattice vector `shift` (3,)."""
    x, y, z = delta[0] + shift[0], delta[1] + shift[1], delta[2] + shift[2]
    return x * x + y * y + z * z


@numba.njit(cache=True)
def fits(
    cell: NDArray[np.float64],
    inverse: NDArray[np.float64],
    shifts: NDArray[np.float64],
    positions: NDArray[np.float64],
    kinds: NDArray[np.int64],
    i: int,
    limits: NDArray[np.float64],
) -> bool:
    """
    Whether atom `i` keeps its distances from all `positions` (n, 3) and its own images.

    `inverse` (3, 3) of the cell and `shifts` (m, 3) to its images are the caller's to reuse.
    """
    delta = np.empty(3)
    for j in range(len(positions)):
        limit = limits[kinds[i], kinds[j]]
        nearest(positions[i], positions[j], cell, inverse, delta)
        for m in range(1 if i == j else 0, count_near(delta, shifts, limit)):
            if shifted_square(delta, shifts[m]) < limit * limit:
                return False
    return True


@numba.njit(cache=True)
def _closest(
    cell: NDArray[np.float64],
    positions: NDArray[np.float64],
    kinds: NDArray[np.int64],
    limits: NDArray[np.float64],
    first_only: bool,
) -> NDArray[np.float64]:
    """
    Shortest distances (n_kinds, n_kinds) within the largest limit; inf where there is none.

    With `first_only` the search ends at the first pair nearer than its limit.
    """
    n_kinds = len(limits)
    squares = np.full((n_kinds, n_kinds), np.inf)
    inverse: NDArray[Any] = np.linalg.inv(cell)
    shifts = image_shifts(cell, limits.max())
    delta = np.empty(3)
    for i in range(len(positions)):
        for j in range(i, len(positions)):
            a, b = kinds[i], kinds[j]
            ceiling = limits[a, b] ** 2 if first_only else squares[a, b]
            nearest(positions[i], positions[j], cell, inverse, delta)
            near = count_near(delta, shifts, limits.max())
            for m in range(1 if i == j else 0, near):
                square = shifted_square(delta, shifts[m])
                if square < ceiling:
                    squares[a, b] = squares[b, a] = ceiling = square
                    if first_only:
                        return np.sqrt(squares)
    return np.sqrt(squares)


@numba.njit(cache=True)
def _push_apart(
    cell: NDArray[np.float64],
    positions: NDArray[np.float64],
    kinds: NDArray[np.int64],
    limits: NDArray[np.float64],
    sweeps: int,
) -> bool:
    """Move atoms nearer than their limits apart, in place; whether that ended in success."""
    n = len(positions)
    inverse: NDArray[Any] = np.linalg.inv(cell)
    shifts = image_shifts(cell, limits.max())
    delta = np.empty(3)
    for _ in range(sweeps):
        clean = True
        for i in range(n):
            for j in range(i, n):
                limit = limits[kinds[i], kinds[j]]
                nearest(positions[i], positions[j], cell, inverse, delta)
                for m in range(1 if i == j else 0, count_near(delta, shifts, limit)):
                    square = shifted_square(delta, shifts[m])
                    if square >= limit * limit:
                        continue
                    if i == j:
                        return False  # an image stays where the cell puts it
                    clean = False
                    distance = np.sqrt(square)
                    if distance < 1e-6:
                        return False
                    half = 0.5 * (1.02 * limit - distance) / distance
                    for k in range(3):
                        positions[i, k] -= half * (delta[k] + shifts[m, k])
                        positions[j, k] += half * (delta[k] + shifts[m, k])
        if clean:
            return True
    return False


class DistanceLimits:
    """
    The shortest distances a structure may have, for each pair of elements.

    Parameters
    ----------
    limits : mapping from "A-B" to float
        Å, for each pair of elements, in either order.

    Examples
    --------
    >>> limits = DistanceLimits.from_radii(("Cu", "Au"))
    >>> limits.violated(atoms)
    False
    """

    def __init__(self, limits: Mapping[str, float]) -> None:
        from ase.data import atomic_numbers

        pairs = {tuple(sorted(pair.split("-"))): float(limit) for pair, limit in limits.items()}
        self.elements = tuple(sorted({symbol for pair in pairs for symbol in pair}))
        self.matrix = np.empty((len(self.elements), len(self.elements)))
        self._kind_of_number = np.full(len(atomic_numbers), -1, dtype=np.int64)
        for i, a in enumerate(self.elements):
            self._kind_of_number[atomic_numbers[a]] = i
            for j, b in enumerate(self.elements):
                if tuple(sorted((a, b))) not in pairs:
                    raise ValueError(f"no shortest distance given for the pair {a}-{b}")
                self.matrix[i, j] = pairs[tuple(sorted((a, b)))]

    @classmethod
    def from_radii(cls, elements: Sequence[str], factor: float = 0.7) -> DistanceLimits:
        """Limits of `factor` times the sum of the covalent radii."""
        from ase.data import atomic_numbers, covalent_radii

        radius = {symbol: covalent_radii[atomic_numbers[symbol]] for symbol in elements}
        pairs = combinations_with_replacement(sorted(set(elements)), 2)
        return cls({f"{a}-{b}": factor * (radius[a] + radius[b]) for a, b in pairs})

    def as_dict(self) -> dict[str, float]:
        """Limits (Å) by pair, "A-B"."""
        n = range(len(self.elements))
        return {
            f"{self.elements[i]}-{self.elements[j]}": float(self.matrix[i, j])
            for i, j in combinations_with_replacement(n, 2)
        }

    def scaled(self, factor: float) -> DistanceLimits:
        """All limits multiplied by `factor`."""
        return DistanceLimits({pair: factor * limit for pair, limit in self.as_dict().items()})

    def kinds(self, numbers: NDArray[np.integer]) -> NDArray[np.int64]:
        """Index into `elements` for each atomic number."""
        kinds: NDArray[np.int64] = self._kind_of_number[np.asarray(numbers, dtype=np.int64)]
        if (kinds < 0).any():
            raise ValueError(f"a structure has elements other than {', '.join(self.elements)}")
        return kinds

    def shortest(self, atoms: Atoms) -> NDArray[np.float64]:
        """Shortest distances (n_elements, n_elements) in Å, inf beyond the largest limit."""
        distances: NDArray[np.float64] = _closest(
            np.array(atoms.cell), atoms.positions, self.kinds(atoms.numbers), self.matrix, False
        )
        return np.where(distances <= self.matrix.max(), distances, np.inf)

    def violated(self, atoms: Atoms) -> bool:
        """Whether two atoms, or an atom and its image, are nearer than allowed."""
        return self.violated_arrays(
            np.array(atoms.cell), atoms.positions, self.kinds(atoms.numbers)
        )

    def violated_arrays(
        self,
        cell: NDArray[np.float64],
        positions: NDArray[np.float64],
        kinds: NDArray[np.int64],
    ) -> bool:
        """As `violated`, from the cell (3, 3), positions (n, 3) in Å and kinds (n,)."""
        if volume(cell) < 1e-3:
            return True
        return bool(np.isfinite(_closest(cell, positions, kinds, self.matrix, True)).any())

    def push_apart(self, atoms: Atoms, sweeps: int = 30) -> bool:
        """
        Move atoms of `atoms` that are too near apart, in place.

        Pairs are moved along their connection, sweep after sweep. Returns whether all distances
        are allowed in the end; if not, the positions are no use.
        """
        cell = np.array(atoms.cell)
        if volume(cell) < 1e-3:
            return False
        kinds = self.kinds(atoms.numbers)
        return bool(_push_apart(cell, atoms.positions, kinds, self.matrix, sweeps))

    def describe(self, atoms: Atoms) -> str:
        """Name the worst violation in words, or an empty string."""
        shortest = self.shortest(atoms)
        ratio = shortest / self.matrix
        i, j = np.unravel_index(int(np.argmin(ratio)), ratio.shape)
        if ratio[i, j] >= 1.0:
            return ""
        return f"{self.elements[i]}-{self.elements[j]} at {shortest[i, j]:.2f} Å"
