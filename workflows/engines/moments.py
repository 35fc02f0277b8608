"""Magnetic moments of atoms, as relaxations tell them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

#: μB; what is smaller is none: of closed shells a model finds some hundredths.
SMALLEST_MOMENT = 0.1


def told(moments: ArrayLike, n_atoms: int) -> list[float] | None:
    """
    Magnetic moments for a document.

    Parameters
    ----------
    moments : array_like
        μB, of each atom; empty where an engine has none.
    n_atoms : int
        How many there are.

    Returns
    -------
    list of float or None
        None where there are none, or all are zero.

    Examples
    --------
    >>> told([3.7, 0.1], 2), told([0.01, 0.0], 2), told([], 2)
    ([3.7, 0.1], None, None)
    """
    found = np.asarray(moments, dtype=float)
    known = found.shape == (n_atoms,) and np.abs(found).max() >= SMALLEST_MOMENT
    return found.tolist() if known else None
