"""How far predictions are from reference values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Errors:
    """
    Root-mean-square errors.

    Parameters
    ----------
    energy : float
        In meV/atom.
    force : float
        In eV/Å, over components.
    stress : float
        In kbar, over the nine components; NaN without reference stresses.
    """

    energy: float
    force: float
    stress: float


def root_mean_square(values: NDArray[np.float64]) -> float:
    """
    Root of the mean square of the finite entries.

    Parameters
    ----------
    values : ndarray
        Of any shape; NaN marks what has no reference.

    Returns
    -------
    float
        NaN if no entry is finite.
    """
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else float("nan")
