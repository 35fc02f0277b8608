"""Crystals made exactly symmetric where they are so within a tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from search.symmetry import (
    TIGHT_TOLERANCE,
    TOLERANCES,
    SpaceGroupLabel,
    find_space_group,
    symmetry_dataset,
)
from search.symmetry_operations import Symmetry

if TYPE_CHECKING:
    from ase import Atoms

EXACT = 1e-3
"""Å by which atoms of a symmetrised crystal may miss its symmetry; rounding makes less."""


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
        None where the symmetry takes two atoms to the same one.
    """
    symmetry = Symmetry.of(atoms, tolerance)
    return symmetry.imposed(atoms) if symmetry.is_proper else None


def _count_operations(atoms: Atoms, tolerance: float) -> int:
    """Symmetry operations in the cell, translations that make a smaller cell among them."""
    dataset = symmetry_dataset(atoms, tolerance)
    return 1 if dataset is None else len(dataset.rotations)
