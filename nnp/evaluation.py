"""A potential against reference values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnp.calibration import Calibration
from nnp.evaluator import Predictions
from nnp.frames import Frames
from nnp.metrics import Errors, root_mean_square
from nnp.potential import Potential
from nnp.units import KBAR


@dataclass(frozen=True, eq=False)
class Evaluation:
    """
    Predictions for frames, and how wrong they are.

    Parameters
    ----------
    predictions : Predictions
        Of every frame.
    errors : Errors
        Root-mean-square errors in meV/atom, eV/Å, kbar; NaN for what has no reference.
    energy_errors : ndarray
        Predicted minus reference in eV/atom, shape (n_frames,).
    calibration : Calibration
        What turns the ensemble's spread into errors of this size; nothing for a single network.
    """

    predictions: Predictions
    errors: Errors
    energy_errors: NDArray[np.float64]
    calibration: Calibration

    def within(self, sigmas: float) -> NDArray[np.bool_]:
        """Which known energies lie within so many of their uncertainties, shape (n_known,)."""
        known = np.isfinite(self.energy_errors)
        allowed = sigmas * self.predictions.uncertainties[known]
        return np.asarray(np.abs(self.energy_errors[known]) <= allowed)


def evaluate(potential: Potential, frames: Frames, threads: int = 1) -> Evaluation:
    """
    Predict frames and compare with their reference values, where they have some.

    Parameters
    ----------
    potential : Potential
        Any potential that knows the elements.
    frames : Frames
        Configurations; missing references (NaN) are left out of the errors.
    threads : int
        Threads over frames.
    """
    found = predict(potential, frames, threads)
    energy_errors = (found.energies - frames.energies) / frames.counts
    forces = np.concatenate(found.forces) if len(frames) else np.zeros((0, 3))
    errors = Errors(
        1e3 * root_mean_square(energy_errors),
        root_mean_square(forces - frames.forces),
        KBAR * root_mean_square(found.stresses - frames.stresses),
    )
    return Evaluation(found, errors, energy_errors, Calibration.fit(energy_errors, found.spreads))


def predict(potential: Potential, frames: Frames, threads: int = 1) -> Predictions:
    """Energies, forces, stresses and uncertainties of frames."""
    return potential.compute_arrays(
        frames.numbers, frames.counts, frames.cells, frames.positions, threads
    )
