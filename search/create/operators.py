"""
Variation: children from relaxed parents.

Every operator here keeps the composition, returns a child no two atoms of which are nearer than the
limits, and raises `NoChildError` with the reason when it cannot. Atoms that come out too near are
moved apart first; relaxation does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from search.cells import reduced
from search.geometry import DistanceLimits
from search.symmetry_operations import Symmetry

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

TRIES = 10
"""Children tried before an operator gives up."""

WITHOUT_SYMMETRY = 0.25
"""Part of the children of operators that move all atoms that keep no symmetry in any case."""

ATOMIC_ENERGIES = "atomic_energies"
"""Name of the per-atom array (eV) that parents may carry, for cuts through their good parts."""


class NoChildError(RuntimeError):
    """An operator found no acceptable child; the message says why."""


def first_apart(make: Callable[[], Atoms | None], limits: DistanceLimits, otherwise: str) -> Atoms:
    """
    Return the first child whose atoms can be moved apart.

    Parameters
    ----------
    make : callable
        Tries to make a child; None where that attempt made none.
    limits : DistanceLimits
        Shortest distances allowed.
    otherwise : str
        Why there is no child, if none of several attempts gives one.

    Raises
    ------
    NoChildError
        If none does.
    """
    for _ in range(TRIES):
        child = make()
        if child is not None and limits.push_apart(child):
            return plain_sorted(child)
    raise NoChildError(otherwise)


def permutation(parent: Atoms, limits: DistanceLimits, rng: np.random.Generator) -> Atoms:
    """
    Swap atoms of two elements: one pair up to half of the scarcer element.

    Parameters
    ----------
    parent : ase.Atoms
        A relaxed structure.
    limits : DistanceLimits
        Shortest distances allowed.
    rng : numpy.random.Generator
        Source of chance.
    """
    elements = np.unique(parent.numbers)
    if len(elements) < 2:
        raise NoChildError("nothing to permute in one element")

    def swapped() -> Atoms:
        one, other = rng.choice(elements, 2, replace=False)
        first, second = (
            np.flatnonzero(parent.numbers == one),
            np.flatnonzero(parent.numbers == other),
        )
        swaps = int(rng.integers(1, max(1, min(len(first), len(second)) // 2) + 1))
        child = parent.copy()
        child.numbers[rng.choice(first, swaps, replace=False)] = other
        child.numbers[rng.choice(second, swaps, replace=False)] = one
        return child

    return first_apart(swapped, limits, "swapped atoms are too near")


def lattice_mutation(
    parent: Atoms,
    limits: DistanceLimits,
    rng: np.random.Generator,
    strength: float = 0.25,
    displacement: float = 0.35,
) -> Atoms:
    """
    Strain the cell at constant volume and shift the atoms a little; see `keeping_symmetry`.

    Parameters
    ----------
    strength : float
        Standard deviation of the strain components.
    displacement : float
        Standard deviation of the displacements, Å.
    """
    parent, symmetry = keeping_symmetry(parent, rng)
    cell = np.array(parent.cell)

    def strained() -> Atoms | None:
        random = rng.normal(0.0, strength, (3, 3))
        shifts = rng.normal(0.0, displacement, parent.positions.shape)
        if symmetry is not None:
            random, shifts = symmetry.strain(cell, random), symmetry.average(cell, shifts)
        deformation = np.eye(3) + (random + random.T) / 2
        size = np.linalg.det(deformation)
        if size < 0.3:
            return None
        child = parent.copy()
        child.positions += shifts
        child.set_cell(cell @ deformation / size ** (1 / 3), scale_atoms=True)
        return child

    return first_apart(strained, limits, "strained atoms are too near")


def rattle(
    parent: Atoms, limits: DistanceLimits, rng: np.random.Generator, largest: float = 1.6
) -> Atoms:
    """Displace atoms at random, by a width drawn up to `largest` (Å); see `keeping_symmetry`."""
    parent, symmetry = keeping_symmetry(parent, rng)
    for _ in range(TRIES):
        child = parent.copy()
        width = rng.uniform(0.4, largest)
        shifts = rng.normal(0.0, 1.0, child.positions.shape)
        if symmetry is not None:
            shifts = symmetry.average(np.array(parent.cell), shifts)
            typical = np.sqrt((shifts**2).mean())
            if typical < 1e-6:
                break  # no atom is free to move
            shifts /= typical
        child.positions += width / np.sqrt(3) * shifts
        if limits.push_apart(child):
            return plain_sorted(child)
    raise NoChildError("displaced atoms are too near")


def keeping_symmetry(parent: Atoms, rng: np.random.Generator) -> tuple[Atoms, Symmetry | None]:
    """
    Draw the symmetry that a child keeps: a random subgroup of the parent's, or none.

    Returns the parent with this symmetry made exact, and the symmetry, if it is any.
    """
    if rng.random() < WITHOUT_SYMMETRY:
        return parent, None
    whole = Symmetry.of(parent)
    if not whole.is_proper:
        return parent, None
    symmetry = whole.subgroup(rng)
    if len(symmetry.images) == 1:
        return parent, None
    return symmetry.imposed(parent), symmetry


def heredity(one: Atoms, other: Atoms, limits: DistanceLimits, rng: np.random.Generator) -> Atoms:
    """
    Join a slab of one parent and the complementary slab of the other.

    The parents, in their reduced cells, are cut across a lattice vector of each. Where they carry
    atomic energies, slabs are placed where the atoms are best bound. The child's cell is the mean
    of the parents', weighted by the share of each. Too many atoms of an element leave at the cut,
    missing ones come from the parents' unused parts, nearest the cut first.
    """
    if sorted(one.numbers) != sorted(other.numbers):
        raise NoChildError("parents differ in composition")
    return first_apart(
        lambda: joined_slabs(one, other, rng, lambda _: one.numbers),
        limits,
        "joined slabs are too near",
    )


def joined_slabs(
    one: Atoms,
    other: Atoms,
    rng: np.random.Generator,
    contents: Callable[[NDArray[np.integer]], NDArray[np.integer]],
) -> Atoms:
    """
    Join slabs of two structures; atoms may come out too near.

    Parameters
    ----------
    one, other : ase.Atoms
        The structures.
    rng : numpy.random.Generator
        Source of chance.
    contents : callable
        Is told the atomic numbers (n,) that the slabs hold and returns those the child is to have:
        of atoms that the structures have together.
    """
    from ase import Atoms

    share = rng.uniform(0.25, 0.75)
    first, second = _turned(one, rng), _turned(other, rng)
    cell = _mean_cell(first, second, share)
    fractions_a, outside_a = _slab(first, share, rng)
    # the second slab follows the first one: its window starts where the first ends
    fractions_b, outside_b = _slab(second, 1.0 - share, rng)
    fractions_b[:, 0] = (fractions_b[:, 0] + share) % 1.0
    numbers = np.concatenate([first.numbers[~outside_a], second.numbers[~outside_b]])
    fractions = np.concatenate([fractions_a[~outside_a], fractions_b[~outside_b]])
    spare_numbers = np.concatenate([first.numbers[outside_a], second.numbers[outside_b]])
    spare = np.concatenate([fractions_a[outside_a], fractions_b[outside_b]])
    numbers, fractions = _completed(
        contents(numbers), numbers, fractions, spare_numbers, spare, share
    )
    return Atoms(numbers, scaled_positions=fractions, cell=cell, pbc=True)


def _turned(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Return the reduced cell with its vectors in a random cyclic order."""
    from ase import Atoms

    compact = reduced(atoms)
    order = np.roll(np.arange(3), int(rng.integers(3)))
    turned = Atoms(compact.numbers, compact.positions, cell=compact.cell.array[order], pbc=True)
    if ATOMIC_ENERGIES in atoms.arrays:
        turned.set_array(ATOMIC_ENERGIES, atoms.arrays[ATOMIC_ENERGIES])
    return turned


def _mean_cell(one: Atoms, other: Atoms, share: float) -> NDArray[np.float64]:
    """Weighted mean of two cells' lengths and angles, with the weighted mean of the volumes."""
    from ase.cell import Cell

    parameters = share * one.cell.cellpar() + (1 - share) * other.cell.cellpar()
    cell = Cell.fromcellpar(parameters).array
    size = share * one.get_volume() + (1 - share) * other.get_volume()
    return np.asarray(cell * (size / abs(np.linalg.det(cell))) ** (1 / 3))


def _slab(
    atoms: Atoms, thickness: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """
    Shift `atoms` and say which lie outside the slab of the first `thickness` of the cell.

    Returns the fractional coordinates (n, 3) and a mask (n,). Of several random shifts along the
    cut the one with the best bound slab is taken, if atomic energies are known.
    """
    fractions = atoms.get_scaled_positions() + rng.random(3)
    if ATOMIC_ENERGIES in atoms.arrays:
        strain = _excess_energies(atoms)
        shifts = rng.random(4)
        inside = ((fractions[None, :, 0] + shifts[:, None]) % 1.0) < thickness
        mean = (inside * strain).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
        fractions[:, 0] += shifts[int(np.argmin(mean))]
    fractions %= 1.0
    return fractions, fractions[:, 0] >= thickness


def _excess_energies(atoms: Atoms) -> NDArray[np.float64]:
    """Atomic energies (eV) above the mean of their element in this structure."""
    energies = atoms.arrays[ATOMIC_ENERGIES]
    excess = np.empty(len(atoms))
    for number in np.unique(atoms.numbers):
        same = atoms.numbers == number
        excess[same] = energies[same] - energies[same].mean()
    return excess


def _completed(
    target: NDArray[np.integer],
    numbers: NDArray[np.integer],
    fractions: NDArray[np.float64],
    spare_numbers: NDArray[np.integer],
    spare: NDArray[np.float64],
    share: float,
) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
    """Restore the composition `target` (n,): numbers (n,) and fractional coordinates (n, 3)."""
    chosen_numbers, chosen = [], []
    for number in np.unique(target):
        wanted = int((target == number).sum())
        own = fractions[numbers == number]
        if len(own) > wanted:
            own = own[np.argsort(_to_cut(own[:, 0], share))[len(own) - wanted :]]
        elif len(own) < wanted:
            others = spare[spare_numbers == number]
            nearest_first = np.argsort(_to_cut(others[:, 0], share))
            own = np.concatenate([own, others[nearest_first[: wanted - len(own)]]])
        chosen.append(own)
        chosen_numbers += [number] * wanted
    return np.array(chosen_numbers), np.concatenate(chosen)


def _to_cut(coordinate: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Distance (in cells) to the nearer of the two cuts, at 0 and at `share`."""
    to_zero = np.abs(coordinate - np.round(coordinate))
    offset = coordinate - share
    return np.minimum(to_zero, np.abs(offset - np.round(offset)))


def plain_sorted(atoms: Atoms) -> Atoms:
    """Return atoms in order of their numbers, in the reduced cell, with geometry only."""
    from ase import Atoms

    order = np.argsort(atoms.numbers, kind="stable")
    plain = Atoms(atoms.numbers[order], atoms.positions[order], cell=atoms.cell, pbc=True)
    return reduced(plain)
