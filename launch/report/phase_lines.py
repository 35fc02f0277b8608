"""Enthalpies of phases between the pressures at which they were relaxed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workflows.stages.phases import line_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from workflows.documents.prediction import PredictionDocument

#: Pressures at which lines are drawn.
FINE = 301


def lines_above_lowest(
    document: PredictionDocument,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Interpolate the phases of a campaign at several pressures.

    Parameters
    ----------
    document : PredictionDocument
        With phases.

    Returns
    -------
    pressures : ndarray, shape (n,)
        kbar.
    above : ndarray, shape (n_phases, n)
        Enthalpies above the lowest at each, eV/atom; NaN where a phase is not known.
    """
    lines = [line_of(phase) for phase in document.phases]
    grid = np.linspace(document.pressures[0], document.pressures[-1], FINE)
    enthalpies = np.array([line.at(grid) for line in lines])
    known = np.isfinite(enthalpies).any(axis=0)
    lowest = np.full(FINE, np.nan)
    lowest[known] = np.nanmin(enthalpies[:, known], axis=0)
    return grid, enthalpies - lowest
