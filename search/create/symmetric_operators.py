"""Variation that keeps symmetry: orbits of a parent move or change element as a whole.

Low-energy crystals are symmetric as a rule, and a child without symmetry relaxes into a rugged
landscape with many times the degrees of freedom. These operators act on the orbits of the parent's
space group or, to let symmetry go step by step, of a random subgroup of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from search.create.operators import TRIES, NoChildError, plain_sorted
from search.geometry import DistanceLimits, fits, image_shifts
from search.symmetry import SYMMETRY_TOLERANCE, spglib_cell

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

LIFTED = 0.75
"""Largest part of the free orbits that moves; where few move, most children fall back."""


@numba.njit(cache=True)
def _images(
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
    fractions: NDArray[np.float64],
    cell: NDArray[np.float64],
    numbers: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Atom nearest to where each operation takes each atom, (m, n), of the same element."""
    n = len(fractions)
    images = np.empty((len(rotations), n), np.int64)
    apart = np.empty(3)
    for operation in range(len(rotations)):
        for i in range(n):
            moved = rotations[operation] @ fractions[i] + translations[operation]
            least = np.inf
            for j in range(n):
                if numbers[i] != numbers[j]:
                    continue
                for k in range(3):
                    apart[k] = moved[k] - fractions[j, k]
                    apart[k] -= np.round(apart[k])
                square = 0.0
                for m in range(3):
                    x = apart[0] * cell[0, m] + apart[1] * cell[1, m] + apart[2] * cell[2, m]
                    square += x * x
                if square < least:
                    least = square
                    images[operation, i] = j
    return images


@numba.njit(cache=True)
def _find(
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
    rotation: NDArray[np.float64],
    translation: NDArray[np.float64],
) -> int:
    """Index of the operation nearest to a product; translations are known roughly only."""
    best, least = -1, np.inf
    for operation in range(len(rotations)):
        if np.abs(rotations[operation] - rotation).max() > 0.5:
            continue
        apart = translations[operation] - translation
        distance = np.abs(apart - np.round(apart)).sum()
        if distance < least:
            best, least = operation, distance
    return best


@numba.njit(cache=True)
def _generated(
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
    generators: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Operations (indices) of the group that some of them generate."""
    member = np.zeros(len(rotations), np.bool_)
    fresh = np.empty(len(rotations), np.int64)
    fresh[0] = _find(rotations, translations, np.eye(3), np.zeros(3))
    member[fresh[0]] = True
    waiting = 1
    while waiting:
        waiting -= 1
        one = fresh[waiting]
        for other in generators:
            product = _find(
                rotations,
                translations,
                rotations[one] @ rotations[other],
                rotations[one] @ translations[other] + translations[one],
            )
            if not member[product]:
                member[product] = True
                fresh[waiting] = product
                waiting += 1
    return np.flatnonzero(member)


@dataclass(frozen=True)
class Symmetry:
    """Operations of a crystal on fractional coordinates, and what they do to its atoms.

    Attributes
    ----------
    rotations : (m, 3, 3) array
        Act on fractional coordinates.
    translations : (m, 3) array
        Fractional.
    images : (m, n) array
        Atom that each operation takes each atom to.
    """

    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]
    images: NDArray[np.int64]

    @classmethod
    def of(cls, atoms: Atoms, precision: float = SYMMETRY_TOLERANCE) -> Symmetry:
        """Find the symmetry of `atoms` within `precision` (Å)."""
        import spglib

        fractions = atoms.get_scaled_positions()
        found = spglib.get_symmetry(spglib_cell(atoms), symprec=precision)
        identity = np.eye(3)[None], np.zeros((1, 3))
        if found is None:
            rotations, translations = identity
        else:
            rotations, translations = found["rotations"].astype(float), found["translations"]
        points = np.ascontiguousarray(fractions)
        images = _images(rotations, translations, points, np.array(atoms.cell), atoms.numbers)
        return cls(rotations, translations, images)

    def subgroup(self, rng: np.random.Generator) -> Symmetry:
        """The group generated by one or two random operations."""
        generators = np.unique(rng.integers(len(self.images), size=int(rng.integers(1, 3))))
        chosen = _generated(self.rotations, self.translations, generators)
        return Symmetry(self.rotations[chosen], self.translations[chosen], self.images[chosen])

    def orbits(self) -> list[NDArray[np.int64]]:
        """Atoms of each orbit, the representative first."""
        smallest = self.images.min(axis=0)
        # an orbit may need several steps where positions are only nearly symmetric
        while not np.array_equal(smallest[smallest], smallest):
            smallest = smallest[smallest]
        return [np.flatnonzero(smallest == first) for first in np.unique(smallest)]

    def orbit_of(self, first: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Atoms (k,) that atom `first` is taken to, and an operation (k,) for each."""
        atoms, operations = np.unique(self.images[:, first], return_index=True)
        return atoms, operations

    def freedom(self, first: int) -> NDArray[np.float64]:
        """Projector (3, 3) of fractional moves of atom `first` on what its site leaves free."""
        stabiliser = self.images[:, first] == first
        projector: NDArray[np.float64] = self.rotations[stabiliser].mean(axis=0)
        return projector

    def strain(self, cell: NDArray[np.float64], strain: NDArray[np.float64]) -> NDArray[Any]:
        """Average a Cartesian strain (3, 3) over the point group of the crystal of `cell`."""
        turn = np.swapaxes(np.einsum("ij,mjk->mik", cell.T, self.rotations), 1, 2)
        cartesian = np.swapaxes(np.linalg.inv(cell) @ turn, 1, 2)
        return np.mean([q @ strain @ q.T for q in cartesian], axis=0)


def orbit_mutation(
    parent: Atoms, limits: DistanceLimits, rng: np.random.Generator, strength: float = 0.1
) -> Atoms:
    """Put some orbits of the parent elsewhere, at random, and strain the cell a little.

    Up to three quarters of the orbits that have a free coordinate are lifted, and dropped one
    after the other where they find room; the others stay. The cell keeps its symmetry and volume.
    """
    symmetry = _chosen_symmetry(parent, rng)
    orbits = symmetry.orbits()
    free = [o for o in orbits if np.abs(symmetry.freedom(int(o[0]))).max() > 1e-6]
    if not free:
        raise NoChildError("no orbit is free to move")
    for _ in range(TRIES):
        child = parent.copy()
        cell = np.array(child.cell)
        random = rng.normal(0.0, strength, (3, 3))
        deformation = np.eye(3) + symmetry.strain(cell, (random + random.T) / 2)
        size = np.linalg.det(deformation)
        if size < 0.3:
            continue
        child.set_cell(cell @ deformation / size ** (1 / 3), scale_atoms=True)
        number = int(rng.integers(1, int(np.ceil(LIFTED * len(free))) + 1))
        lifted = [free[i] for i in rng.choice(len(free), number, replace=False)]
        if _drop(child, symmetry, lifted, limits, rng) and limits.push_apart(child):
            return plain_sorted(child)
    raise NoChildError("orbits find no room")


def orbit_permutation(parent: Atoms, limits: DistanceLimits, rng: np.random.Generator) -> Atoms:
    """Exchange the elements of two orbits of equal size, once or twice."""
    symmetry = _chosen_symmetry(parent, rng)
    orbits = symmetry.orbits()
    for _ in range(TRIES):
        child = parent.copy()
        for _ in range(int(rng.integers(1, 3))):
            one = orbits[int(rng.integers(len(orbits)))]
            partners = [
                o
                for o in orbits
                if len(o) == len(one) and child.numbers[o[0]] != child.numbers[one[0]]
            ]
            if not partners:
                continue
            other = partners[int(rng.integers(len(partners)))]
            a, b = child.numbers[one[0]], child.numbers[other[0]]
            child.numbers[one], child.numbers[other] = b, a
        if (child.numbers != parent.numbers).any() and limits.push_apart(child):
            return plain_sorted(child)
    raise NoChildError("no two orbits to exchange")


def _chosen_symmetry(parent: Atoms, rng: np.random.Generator) -> Symmetry:
    """The parent's symmetry, or half of the time that of a random subgroup."""
    symmetry = Symmetry.of(parent)
    return symmetry.subgroup(rng) if rng.random() < 0.5 else symmetry


def _drop(
    child: Atoms,
    symmetry: Symmetry,
    lifted: list[NDArray[np.int64]],
    limits: DistanceLimits,
    rng: np.random.Generator,
    tries: int = 20,
) -> bool:
    """Place the lifted orbits again, in place; whether all found room."""
    cell = np.array(child.cell)
    kinds = limits.kinds(child.numbers)
    fractions = child.positions @ np.linalg.inv(cell)
    present = np.ones(len(child), dtype=bool)
    present[np.concatenate(lifted)] = False
    for orbit in lifted:
        first = int(orbit[0])
        atoms, operations = symmetry.orbit_of(first)
        points = fractions[first] + (rng.random((tries, 3)) - 0.5) @ symmetry.freedom(first).T
        present[orbit] = True
        for point in points:
            fractions[atoms] = _moved(symmetry.rotations, symmetry.translations, operations, point)
            if _has_room(cell, fractions, kinds, present, first, limits.matrix):
                break
        else:
            return False
    child.positions = fractions @ cell
    return True


@numba.njit(cache=True)
def _moved(
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
    operations: NDArray[np.int64],
    point: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Where some operations take a fractional `point` (3,)."""
    moved = np.empty((len(operations), 3))
    for i, operation in enumerate(operations):
        moved[i] = rotations[operation] @ point + translations[operation]
    return moved


@numba.njit(cache=True)
def _has_room(
    cell: NDArray[np.float64],
    fractions: NDArray[np.float64],
    kinds: NDArray[np.int64],
    present: NDArray[np.bool_],
    atom: int,
    limits: NDArray[np.float64],
) -> bool:
    """Whether `atom` keeps its distances from the atoms that are `present` (n,)."""
    inverse: NDArray[Any] = np.linalg.inv(cell)
    here = int(present[:atom].sum())
    return fits(
        cell,
        inverse,
        image_shifts(cell, limits.max()),
        fractions[present] @ cell,
        kinds[present],
        here,
        limits,
    )
