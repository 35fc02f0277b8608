"""
Variation that keeps symmetry: orbits of a parent move or change element as a whole.

Low-energy crystals are symmetric as a rule, and a child without symmetry relaxes into a rugged
landscape with many times the degrees of freedom. These operators act on the orbits of the parent's
space group or, to let symmetry go step by step, of a random subgroup of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from search.create.operators import TRIES, NoChildError, plain_sorted
from search.geometry import DistanceLimits, fits, image_shifts
from search.symmetry_operations import Symmetry

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

LIFTED = 0.75
"""Largest part of the free orbits that moves; where few move, most children fall back."""


def orbit_mutation(
    parent: Atoms,
    limits: DistanceLimits,
    rng: np.random.Generator,
    strength: float = 0.1,
    groups: tuple[int, ...] | None = None,
) -> Atoms:
    """
    Put some orbits of the parent elsewhere, at random, and strain the cell a little.

    Up to three quarters of the orbits that have a free coordinate are lifted, and dropped one
    after the other where they find room; the others stay. The cell keeps its symmetry and volume.
    """
    symmetry = _chosen_symmetry(parent, rng, groups)
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


def orbit_permutation(
    parent: Atoms,
    limits: DistanceLimits,
    rng: np.random.Generator,
    groups: tuple[int, ...] | None = None,
) -> Atoms:
    """Exchange the elements of two orbits of equal size, once or twice."""
    symmetry = _chosen_symmetry(parent, rng, groups)
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


def _chosen_symmetry(
    parent: Atoms, rng: np.random.Generator, groups: tuple[int, ...] | None
) -> Symmetry:
    """The parent's symmetry, or half of the time that of a random subgroup, if that may be."""
    symmetry = Symmetry.of(parent)
    if rng.random() >= 0.5:
        return symmetry
    part = symmetry.subgroup(rng)
    may_be = groups is None or part.space_group(np.array(parent.cell)) in groups
    return part if may_be else symmetry


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
