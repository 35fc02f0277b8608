"""Space groups of crystals that are symmetric only within a tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

SYMMETRY_TOLERANCE = 0.1
"""Å by which atoms may miss a symmetry that still counts: relaxations end at finite forces."""
TIGHT_TOLERANCE = 0.01
"""Å by which atoms may miss a symmetry that nobody doubts, and that files are written with."""
TOLERANCES = (0.02, 0.05, 0.1, 0.2, 0.3)
"""Looser ones, Å, at which a symmetry is only a guess: a distortion may be real."""


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
    dataset = symmetry_dataset(atoms, tolerance)
    if dataset is None:
        return SpaceGroupLabel("P1", 1)
    return SpaceGroupLabel(str(dataset.international), int(dataset.number))


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
    except spglib.SpglibError:
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
    dataset = symmetry_dataset(atoms, tolerance)
    return len(atoms) if dataset is None else len(dataset.std_types)


def spglib_cell(atoms: Atoms) -> Any:
    """Lattice vectors, fractional coordinates and atomic numbers, as spglib takes a crystal."""
    return np.array(atoms.cell), atoms.get_scaled_positions(), atoms.numbers


def symmetry_dataset(atoms: Atoms, tolerance: float) -> Any:
    """
    Tell what spglib knows of the symmetry of a crystal.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    tolerance : float
        Å by which atoms may miss a symmetry.

    Returns
    -------
    spglib.SpglibDataset or None
        None where no symmetry can be found, as in degenerate cells.
    """
    import spglib

    try:
        return spglib.get_symmetry_dataset(spglib_cell(atoms), symprec=tolerance)
    except spglib.SpglibError:  # raised or not as a variable of the system says
        return None
