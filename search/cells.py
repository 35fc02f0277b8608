"""Cells of a lattice: the reduced one, and whether a smaller one would do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray


@numba.njit(cache=True)
def reduced_cell(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return a cell (3, 3) of the same lattice with short, nearly orthogonal vectors.

    Pairwise Gauss reduction followed by the shortest of the sums with the third vector; this is
    the Minkowski-reduced cell but for rare ties, and always a basis of the same lattice.
    """
    reduced = cell.copy()
    for _ in range(100):
        changed = False
        for i in range(3):
            for j in range(3):
                if i == j:
                    continue
                length = np.dot(reduced[j], reduced[j])
                times = np.round(np.dot(reduced[i], reduced[j]) / length)
                if times != 0.0:
                    trial = reduced[i] - times * reduced[j]
                    if np.dot(trial, trial) < np.dot(reduced[i], reduced[i]) * (1.0 - 1e-9):
                        reduced[i] = trial
                        changed = True
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            for s in (-1.0, 1.0):
                for t in (-1.0, 1.0):
                    trial = reduced[i] + s * reduced[j] + t * reduced[k]
                    if np.dot(trial, trial) < np.dot(reduced[i], reduced[i]) * (1.0 - 1e-9):
                        reduced[i] = trial
                        changed = True
        if not changed:
            break
    return reduced


def may_be_supercell(atoms: Atoms, tolerance: float) -> bool:
    """
    Whether a translation may map a crystal onto itself, each atom within `tolerance` (Å).

    It would map atoms of the rarest element onto each other.
    """
    rarest = min(Counter(atoms.numbers.tolist()).items(), key=lambda item: item[1])[0]
    cell = np.array(atoms.cell)
    fractions = atoms.positions @ np.linalg.inv(cell)
    alike = atoms.numbers[:, None] == atoms.numbers
    first, *others = fractions[atoms.numbers == rarest]
    for other in others:
        apart = fractions[:, None] + (other - first) - fractions
        squares = (((apart - np.round(apart)) @ cell) ** 2).sum(axis=-1)
        if np.where(alike, squares, np.inf).min(axis=1).max() < tolerance**2:
            return True
    return False


def reduced(atoms: Atoms) -> Atoms:
    """Return the same crystal in its reduced, right-handed cell, with atoms wrapped into it."""
    from ase import Atoms

    cell = reduced_cell(np.array(atoms.cell))
    if np.linalg.det(cell) < 0:
        cell = -cell
    fractions = atoms.positions @ np.linalg.inv(cell)
    return Atoms(atoms.numbers, (fractions % 1.0) @ cell, cell=cell, pbc=True)
