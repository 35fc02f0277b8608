"""Space groups of crystals that are symmetric only within a tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

SYMMETRY_TOLERANCE = 0.1
"""Å by which atoms may miss a symmetry that still counts: relaxations end at finite forces."""


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
    import spglib

    dataset = spglib.get_symmetry_dataset(spglib_cell(atoms), symprec=tolerance)
    if dataset is None:
        return SpaceGroupLabel("P1", 1)
    return SpaceGroupLabel(str(dataset.international), int(dataset.number))


def spglib_cell(atoms: Atoms) -> Any:
    """Lattice vectors, fractional coordinates and atomic numbers, as spglib takes a crystal."""
    return np.array(atoms.cell), atoms.get_scaled_positions(), atoms.numbers
