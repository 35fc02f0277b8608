"""Space groups of crystals that are symmetric only within a tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

SYMMETRY_TOLERANCE = 0.1
"""Å by which atoms may miss a symmetry that still counts: relaxations end at finite forces."""
TIGHT_TOLERANCE = 0.01
"""Å by which atoms may miss a symmetry that nobody doubts, and that files are written with."""
TOLERANCES = (0.02, 0.05, 0.1, 0.2, 0.3)
"""Looser ones, Å, at which a symmetry is only a guess: a distortion may be real."""
EXACT = 1e-3
"""Å by which atoms of a symmetrised crystal may miss its symmetry; rounding makes less."""


class SpaceGroupLabel(NamedTuple):
    """
    What a space group is called.

    Attributes
    ----------
    symbol : str
        Short Hermann-Mauguin symbol, e.g. ``"Fm-3m"``.
    number : int
        1-230.
    """

    symbol: str
    number: int


class SymmetricVariant(NamedTuple):
    """
    A crystal with a higher symmetry than it had.

    Attributes
    ----------
    atoms : ase.Atoms
        In a cell of the same shape, atoms in the same order.
    tolerance : float
        Å within which the crystal had the symmetry.
    group : SpaceGroupLabel
        Space group now.
    """

    atoms: Atoms
    tolerance: float
    group: SpaceGroupLabel


def find_space_group(atoms: Atoms, tolerance: float = SYMMETRY_TOLERANCE) -> SpaceGroupLabel:
    """
    Find the space group of a crystal; P1 where none can be found, as in degenerate cells.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    tolerance : float
        Å by which atoms may miss a symmetry.
    """
    dataset = _dataset(atoms, tolerance)
    if dataset is None:
        return SpaceGroupLabel("P1", 1)
    return SpaceGroupLabel(str(dataset.international), int(dataset.number))


def higher_symmetries(
    atoms: Atoms, tolerances: Sequence[float] = TOLERANCES
) -> list[SymmetricVariant]:
    """
    Symmetrise a crystal within looser and looser tolerances.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    tolerances : sequence of float
        Å, beyond `TIGHT_TOLERANCE`.

    Returns
    -------
    list of SymmetricVariant
        Each has more symmetry operations than the next, and the last one more than the crystal has
        within the tight tolerance; empty if no tolerance gives more.
    """
    known = _count_operations(atoms, TIGHT_TOLERANCE)
    variants: list[SymmetricVariant] = []
    for tolerance in sorted(tolerances):
        count = _count_operations(atoms, tolerance)
        if count <= known:
            continue
        exact = symmetrised(atoms, tolerance)
        # a symmetry that spglib guesses at a loose tolerance need not be one that can be had
        reached = 0 if exact is None else _count_operations(exact, EXACT)
        if exact is not None and reached > known:
            variants.append(SymmetricVariant(exact, tolerance, find_space_group(exact, EXACT)))
            known = reached
    return variants[::-1]


def symmetrised(atoms: Atoms, tolerance: float) -> Atoms | None:
    """
    Move cell and atoms to where the symmetry within a tolerance has them.

    The cell keeps its vectors but for that, so that a mesh of k-points stays the same one.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    tolerance : float
        Å by which atoms may miss a symmetry.

    Returns
    -------
    ase.Atoms or None
        None where there is none, or where it takes two atoms to the same one.
    """
    from ase import Atoms

    dataset = _dataset(atoms, tolerance)
    if dataset is None:
        return None
    cell, fractions, numbers = spglib_cell(atoms)
    images = _images(dataset, cell, fractions, numbers)
    if (np.sort(images, axis=1) != np.arange(len(atoms))).any():
        return None
    moved = np.einsum("mij,nj->mni", dataset.rotations, fractions) + dataset.translations[:, None]
    sums = np.zeros_like(fractions)
    for image, points in zip(images, moved, strict=True):
        apart = points - fractions[image]
        sums[image] += fractions[image] + apart - np.round(apart)
    exact = _symmetric_cell(cell, dataset.rotations)
    return Atoms(numbers, sums / len(images) @ exact, cell=exact, pbc=True)


def primitive_cell(atoms: Atoms, tolerance: float = TIGHT_TOLERANCE) -> Atoms:
    """
    Return a crystal in the standard primitive cell of its space group, exactly symmetric.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    tolerance : float
        Å by which atoms may miss a symmetry.

    Returns
    -------
    ase.Atoms
        Sorted by elements; as it was where no symmetry can be found, as in degenerate cells.
    """
    import spglib
    from ase import Atoms

    try:
        found = spglib.standardize_cell(spglib_cell(atoms), to_primitive=True, symprec=tolerance)
    except (
        spglib.SpglibError
    ):  # which it raises or keeps to itself as a variable of the system says
        found = None
    if found is None:
        return atoms
    cell, positions, numbers = (np.asarray(part) for part in found)
    order = np.argsort(numbers, kind="stable")
    return Atoms(numbers[order], scaled_positions=positions[order], cell=cell, pbc=True)


def count_conventional(atoms: Atoms, tolerance: float = TIGHT_TOLERANCE) -> int:
    """
    Count the atoms of the conventional cell.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    tolerance : float
        Å by which atoms may miss a symmetry.
    """
    dataset = _dataset(atoms, tolerance)
    return len(atoms) if dataset is None else len(dataset.std_types)


def spglib_cell(atoms: Atoms) -> Any:
    """Lattice vectors, fractional coordinates and atomic numbers, as spglib takes a crystal."""
    return np.array(atoms.cell), atoms.get_scaled_positions(), atoms.numbers


def _dataset(atoms: Atoms, tolerance: float) -> Any:
    """What spglib knows of the symmetry of a crystal; None if nothing."""
    import spglib

    try:
        return spglib.get_symmetry_dataset(spglib_cell(atoms), symprec=tolerance)
    except (
        spglib.SpglibError
    ):  # which it raises or keeps to itself as a variable of the system says
        return None


def _images(
    dataset: Any, cell: NDArray[np.float64], fractions: NDArray[np.float64], numbers: NDArray[Any]
) -> NDArray[np.int64]:
    """Atom of the same element nearest to where each operation takes each atom, (m, n)."""
    moved = np.einsum("mij,nj->mni", dataset.rotations, fractions) + dataset.translations[:, None]
    images = np.empty(moved.shape[:2], np.int64)
    unlike = numbers[:, None] != numbers
    for operation, points in enumerate(moved):
        apart = points[:, None] - fractions
        squares = (((apart - np.round(apart)) @ cell) ** 2).sum(axis=-1)
        images[operation] = np.where(unlike, np.inf, squares).argmin(axis=1)
    return images


def _symmetric_cell(cell: NDArray[np.float64], rotations: NDArray[Any]) -> NDArray[np.float64]:
    """Cell (3, 3) whose metric is the average over the operations, turned as the old one is."""
    metric = np.mean([r.T @ cell @ cell.T @ r for r in rotations.astype(float)], axis=0)
    lengths = np.linalg.cholesky(metric)
    left, _, right = np.linalg.svd(lengths.T @ cell)
    turned: NDArray[np.float64] = lengths @ left @ right
    return turned


def _count_operations(atoms: Atoms, tolerance: float) -> int:
    """Symmetry operations in the cell, translations that make a smaller cell among them."""
    dataset = _dataset(atoms, tolerance)
    return 1 if dataset is None else len(dataset.rotations)
