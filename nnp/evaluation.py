"""A potential against reference values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnp.evaluator import Predictions
from nnp.frames import Frames
from nnp.loss import KBAR, Errors
from nnp.potential import Potential


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions for frames, and how wrong they are.

    Parameters
    ----------
    predictions
        Of every frame.
    errors
        Root-mean-square errors in meV/atom, eV/Å, kbar; NaN for what has no reference.
    energy_errors
        Predicted minus reference in eV/atom, shape (n_frames,).
    calibration
        Root-mean-square energy error over root-mean-square uncertainty before calibration: what
        the ensemble's spread must be multiplied with. One for a single network.
    """

    predictions: Predictions
    errors: Errors
    energy_errors: NDArray[np.float64]
    calibration: float


def evaluate(potential: Potential, frames: Frames, threads: int = 1) -> Evaluation:
    """Predict frames and compare with their reference values, where they have some.

    Parameters
    ----------
    potential
        Any potential that knows the elements.
    frames
        Configurations; missing references (NaN) are left out of the errors.
    threads
        Threads over frames.
    """
    found = predict(potential, frames, threads)
    energy_errors = (found.energies - frames.energies) / frames.counts
    forces = np.concatenate(found.forces) if len(frames) else np.zeros((0, 3))
    errors = Errors(
        1e3 * _root_mean_square(energy_errors),
        _root_mean_square(forces - frames.forces),
        KBAR * _root_mean_square(found.stresses - frames.stresses),
    )
    spread = _root_mean_square(found.uncertainties) / potential.uncertainty_scale
    known = spread > 0 and np.isfinite(errors.energy)
    calibration = 1e-3 * errors.energy / spread if known else 1.0
    return Evaluation(found, errors, energy_errors, calibration)


def predict(potential: Potential, frames: Frames, threads: int = 1) -> Predictions:
    """Energies, forces, stresses and uncertainties of frames."""
    return potential.compute_arrays(
        frames.numbers, frames.counts, frames.cells, frames.positions, threads
    )


def _root_mean_square(values: NDArray[np.float64]) -> float:
    """Over the finite entries; NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else float("nan")
