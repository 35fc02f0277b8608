"""Whether more frames would help: errors against the size of the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Shares of the training frames at which the curve is taken.
FRACTIONS = (0.1, 0.2, 0.4, 0.8, 1.0)


def part_of(training: NDArray[np.int64], fraction: float) -> NDArray[np.int64]:
    """
    Some of the training frames, spread evenly over the trajectory.

    Parameters
    ----------
    training : ndarray of int
        Indices of the training frames in the order of time.
    fraction : float
        Share of them, at least one frame.

    Returns
    -------
    ndarray of int
        Indices of the part.
    """
    n = max(1, round(fraction * len(training)))
    return training[np.unique(np.linspace(0, len(training) - 1, n).round().astype(int))]
