"""From the spread of an ensemble to the error that is to be expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray


@dataclass(frozen=True)
class Calibration(MSONable):
    """
    Expected error of an energy or a force, sqrt(floor² + (scale * spread)²).

    Networks trained on the same frames share part of their error, which their spread does not
    show: that is the floor. The scale stays at one or above, so that structures on which the
    networks disagree more than on the held-out frames are never called certain.

    Parameters
    ----------
    floor : float
        Error at no spread, in eV/atom; that of a component of a force in eV/Å.
    scale : float
        Factor of the spread.
    """

    floor: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.floor < np.inf and 0.0 <= self.scale < np.inf):
            raise ValueError(
                f"the calibration must be finite, not floor {self.floor}, scale {self.scale}"
            )

    @classmethod
    def fit(cls, errors: NDArray[np.float64], spreads: NDArray[np.float64]) -> Calibration:
        """
        Find what makes normally distributed errors most likely.

        Parameters
        ----------
        errors : ndarray
            Predicted minus reference energies of held-out frames in eV/atom, shape (n,); those
            that are not finite are left out.
        spreads : ndarray
            Standard deviations of the ensemble for the same frames in eV/atom, shape (n,).

        Returns
        -------
        Calibration
            The identity where there is nothing to learn from: no spread or no error.
        """
        from scipy.optimize import minimize

        known = np.isfinite(errors) & np.isfinite(spreads)
        squares, spread_squares = errors[known] ** 2, spreads[known] ** 2
        if not (spread_squares.any() and squares.any()):
            return cls()
        unit = squares.mean()

        def negative_log_likelihood(x: NDArray[np.float64]) -> float:
            variance = unit * x[0] + x[1] * spread_squares
            return float(0.5 * np.mean(np.log(variance / unit) + squares / variance))

        # bounds: a floor of a hundredth of the error keeps the logarithm finite
        found = minimize(
            negative_log_likelihood,
            x0=[0.5, max(1.0, 0.5 * unit / spread_squares.mean())],
            bounds=[(1e-4, None), (1.0, None)],
            method="L-BFGS-B",
        )
        floor, scale = np.sqrt([unit * found.x[0], found.x[1]])
        return cls(float(floor), float(scale))

    def apply(self, spreads: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected errors in eV/atom of structures with such spreads."""
        return np.hypot(self.floor, self.scale * np.asarray(spreads))
