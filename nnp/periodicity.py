"""Periodic cells for what is not periodic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

#: Å between an atom and the images beyond the cutoff, along directions without periodicity.
VACUUM = 3.0


def periodic_cell(atoms: Atoms, cutoff: float) -> NDArray[np.float64]:
    """
    Cell in which images do not see each other along directions without periodicity.

    Parameters
    ----------
    atoms : Atoms
        Any structure; missing lattice vectors are completed.
    cutoff : float
        Range of the potential in Å.

    Returns
    -------
    ndarray
        Lattice vectors as rows in Å, shape (3, 3).
    """
    if atoms.pbc.all():
        return atoms.cell.array.copy()
    cell = atoms.cell.complete().array.copy()
    for axis in np.flatnonzero(~atoms.pbc):
        others = cell[[k for k in range(3) if k != axis]]
        normal = np.cross(*others)
        normal /= np.linalg.norm(normal)
        heights = atoms.positions @ normal
        cell[axis] = normal * (np.ptp(heights) + cutoff + VACUUM)
    return cell
