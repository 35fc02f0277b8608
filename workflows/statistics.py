"""Time averages with honest errors, and diffusion from mean-square displacements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: ps in which an atom has not met its neighbours yet.
BALLISTIC_TIME = 0.1
#: Fewest points that tell a line.
FITTED_LAGS = 3


def block_error(series: ArrayLike, minimum_blocks: int = 5) -> float:
    """
    Standard error of the mean of a correlated time series.

    Blocks are doubled until fewer than ``minimum_blocks`` are left; the largest estimate on the
    way is returned, since too short blocks underestimate the error of a correlated series.

    Parameters
    ----------
    series : array_like, shape (n,)
        Equidistant samples, any unit.
    minimum_blocks : int
        Number of blocks below which an estimate is too noisy to use.

    Returns
    -------
    float
        Standard error in the unit of the series; infinite for fewer than ``minimum_blocks``
        samples.

    References
    ----------
    H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91, 461 (1989).
    """
    blocks = np.asarray(series, dtype=float)
    estimates = []
    while len(blocks) >= minimum_blocks:
        estimates.append(blocks.std(ddof=1) / np.sqrt(len(blocks)))
        pairs = blocks[: len(blocks) // 2 * 2].reshape(-1, 2)
        blocks = pairs.mean(axis=1)
    return float(max(estimates)) if estimates else float("inf")


def remove_drift(
    positions: NDArray[np.float64], masses: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Put the centre of mass of every frame at the origin.

    Parameters
    ----------
    positions : ndarray, shape (n_frames, n_atoms, 3)
        Unwrapped positions in Å.
    masses : ndarray, shape (n_atoms,)
        Masses, any unit.
    """
    centre = np.einsum("a,tax->tx", masses, positions) / masses.sum()
    return positions - centre[:, None, :]


def mean_square_displacement(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Mean-square displacement as a function of the lag, averaged over atoms and time origins.

    Parameters
    ----------
    positions : ndarray, shape (n_frames, n_atoms, 3)
        Unwrapped positions in Å, drift removed.

    Returns
    -------
    ndarray, shape (n_frames // 2 + 1,)
        Å² at lags 0, 1, ... n_frames // 2 frames; longer lags have too few origins to be of use.
    """
    n_frames = len(positions)
    result = np.zeros(n_frames // 2 + 1)
    for lag in range(1, len(result)):
        displacement = positions[lag:] - positions[:-lag]
        result[lag] = np.mean(np.sum(displacement**2, axis=2))
    return result


@dataclass(frozen=True)
class DiffusionFit:
    """
    A straight line through the mean-square displacement of one species.

    Attributes
    ----------
    slope, slope_error : float
        Å²/ps; the error is the standard error over groups of atoms.
    intercept : float
        Å²: the vibrational plateau.
    r_squared : float
        Coefficient of determination of the straight line.
    growth : float
        Å²: how much the fitted line gains within the fitted window.
    largest : float
        Å²: mean-square displacement at the longest lag.
    """

    slope: float
    slope_error: float
    intercept: float
    r_squared: float
    growth: float
    largest: float

    @property
    def diffusivity(self) -> float:
        """Einstein's diffusion coefficient in Å²/ps, slope / 6."""
        return self.slope / 6


def fit_diffusion(
    positions: NDArray[np.float64],
    interval: float,
    ballistic_time: float = BALLISTIC_TIME,
    groups_of_atoms: int = 4,
) -> DiffusionFit:
    """
    Fit a line to the mean-square displacement beyond the ballistic regime.

    The error of the slope comes from fitting groups of atoms on their own over the same lags, since
    points of one mean-square displacement curve are strongly correlated, and atoms hardly.

    Parameters
    ----------
    positions : ndarray, shape (n_frames, n_atoms, 3)
        Unwrapped positions in Å of one species, drift removed.
    interval : float
        Time between frames in ps.
    ballistic_time : float
        Lags below this time in ps are left out of the fit.
    groups_of_atoms : int
        Number of groups for the error; a species of one atom has none, and no error.

    Raises
    ------
    ValueError
        If the run is too short to fit a line.
    """
    displacement = mean_square_displacement(positions)
    slope, intercept, r_squared, growth = _fit_line(displacement, interval, ballistic_time)
    n_atoms = positions.shape[1]
    groups = np.array_split(np.arange(n_atoms), min(groups_of_atoms, n_atoms))
    slopes = [
        _fit_line(mean_square_displacement(positions[:, group]), interval, ballistic_time)[0]
        for group in groups
    ]
    error = float(np.std(slopes, ddof=1) / np.sqrt(len(slopes))) if len(slopes) > 1 else 0.0
    return DiffusionFit(slope, error, intercept, r_squared, growth, float(displacement[-1]))


def _fit_line(
    displacement: NDArray[np.float64], interval: float, ballistic_time: float
) -> tuple[float, float, float, float]:
    """Slope (Å²/ps), intercept (Å²), R² and growth (Å²) of the line through the displacement."""
    times = np.arange(len(displacement)) * interval
    window = times >= ballistic_time
    if window.sum() < FITTED_LAGS:
        raise ValueError(
            f"displacements up to {times[-1]:g} ps are too short to fit diffusion beyond "
            f"{ballistic_time:g} ps; make the run longer"
        )
    x, y = times[window], displacement[window]
    slope, intercept = np.polyfit(x, y, 1)
    residual = np.sum((y - slope * x - intercept) ** 2)
    total = np.sum((y - y.mean()) ** 2)
    r_squared = 1 - residual / total if total > 0 else 0.0
    return float(slope), float(intercept), float(r_squared), float(slope * (x[-1] - x[0]))
