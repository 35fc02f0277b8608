"""How well predicted energies rank structures, near the bottom and above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: meV/atom above the lowest reference energy. The paper's figures are those within 200.
WINDOWS = (50.0, 200.0, 500.0)


@dataclass(frozen=True)
class RankingErrors:
    """
    Predicted against reference energies of the structures within a window.

    Parameters
    ----------
    window : float
        Reference energies up to this far above the lowest one count, meV/atom.
    n : int
        Structures within it.
    pearson : float
        Linear correlation coefficient; NaN if there are fewer than two structures, or all have
        the same energy.
    spearman : float
        Rank correlation coefficient, ties sharing their mean rank; NaN in the same cases.
    mean_error : float
        Predicted minus reference, meV/atom; NaN without structures, like the next two.
    rmse : float
        Root of the mean squared error, meV/atom.
    mae : float
        Mean absolute error, meV/atom.
    """

    window: float
    n: int
    pearson: float
    spearman: float
    mean_error: float
    rmse: float
    mae: float


def ranking_errors(
    reference: ArrayLike,
    predicted: ArrayLike,
    windows: Sequence[float] = WINDOWS,
    lowest: float | None = None,
) -> tuple[RankingErrors, ...]:
    """
    Compare predicted with reference energies within windows above the lowest reference energy.

    Parameters
    ----------
    reference, predicted : array_like, shape (n_structures,)
        eV/atom. Structures of which either is not finite are left out.
    windows : sequence of float
        meV/atom; ``inf`` takes all.
    lowest : float or None
        Reference energy from which the windows count, eV/atom; none: the lowest of those given.

    Returns
    -------
    tuple of RankingErrors
        One for each window, in their order.

    Raises
    ------
    ValueError
        If the two differ in length, or are not lists of numbers.

    Examples
    --------
    >>> reference = [-4.10, -4.08, -4.00, -3.50]
    >>> predicted = [-4.09, -4.10, -4.00, -3.00]
    >>> near, far = ranking_errors(reference, predicted, windows=(50.0, 200.0))
    >>> near.n, round(near.spearman, 3), round(near.mean_error, 3)
    (2, -1.0, -5.0)
    >>> far.n, round(far.spearman, 3), round(far.mae, 3)
    (3, 0.5, 10.0)
    """
    true, found = np.asarray(reference, dtype=float), np.asarray(predicted, dtype=float)
    if true.ndim != 1 or true.shape != found.shape:
        raise ValueError(
            f"energies to be compared must be two lists of equal length, not of shapes "
            f"{true.shape} and {found.shape}"
        )
    known = np.isfinite(true) & np.isfinite(found)
    true, found = true[known], found[known]
    bottom = lowest if lowest is not None else true.min() if len(true) else np.nan
    # energies that were written with ten digits must not fall out of a window by rounding
    height = 1000.0 * (true - bottom) - 1e-6
    return tuple(
        _within(float(window), true[height <= window], found[height <= window])
        for window in windows
    )


def _within(window: float, true: NDArray[np.float64], found: NDArray[np.float64]) -> RankingErrors:
    """All figures of the structures in a window."""
    if not len(true):
        nan = float("nan")
        return RankingErrors(window, 0, nan, nan, nan, nan, nan)
    errors = 1000.0 * (found - true)
    pearson, spearman = correlations(true, found)
    return RankingErrors(
        window,
        len(true),
        pearson,
        spearman,
        mean_error=float(errors.mean()),
        rmse=float(np.sqrt(np.mean(errors**2))),
        mae=float(np.abs(errors).mean()),
    )


def correlations(x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
    """
    Pearson's and Spearman's correlation coefficients.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Finite numbers.

    Returns
    -------
    tuple of float
        NaN, both, where they are not defined: fewer than two points, or no variation.
    """
    from scipy.stats import pearsonr, spearmanr

    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(first) < 2 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return float("nan"), float("nan")
    return float(pearsonr(first, second)[0]), float(spearmanr(first, second)[0])


def order_of_distinct(x: ArrayLike, y: ArrayLike, resolution: float) -> float:
    """
    How well `y` puts in order what `x` tells apart.

    Goodman and Kruskal's gamma over the pairs that differ by more than `resolution` in `x`: the
    part of them that `y` has in the same order minus that which it has in the other one.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Finite numbers.
    resolution : float
        In the unit of `x`.

    Returns
    -------
    float
        From -1 to 1; NaN where there is no such pair.
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    i, j = np.triu_indices(len(first), k=1)
    gaps = first[i] - first[j]
    signs = np.sign(gaps) * np.sign(second[i] - second[j])
    apart = np.abs(gaps) > resolution
    return float(signs[apart].mean()) if apart.any() else float("nan")
