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


def force_spreads(potential: Potential, frames: Frames, threads: int = 1) -> NDArray[np.float64]:
    """
    How far the networks of an ensemble disagree on forces; each of them is evaluated.

    Parameters
    ----------
    potential : Potential
        Any potential that knows the elements.
    frames : Frames
        Configurations.
    threads : int
        Threads over frames.

    Returns
    -------
    ndarray
        Standard deviation of a component of each atom's force in eV/Å, root mean square over the
        three, shape (n_atoms,); zero for one network.
    """
    n = potential.n_members
    total, squares = np.zeros((2, len(frames.numbers), 3))
    if n == 1 or not len(frames):
        return np.zeros(len(frames.numbers))
    first = np.concatenate(predict(potential.member(0), frames, threads).forces)
    for k in range(1, n):
        # from the first network's forces: their squares are small, and nothing is lost in them
        difference = np.concatenate(predict(potential.member(k), frames, threads).forces) - first
        total += difference
        squares += difference**2
    variances = np.maximum(squares / n - (total / n) ** 2, 0.0)
    return np.asarray(np.sqrt(variances.mean(axis=1)))


def force_calibration(potential: Potential, frames: Frames, threads: int = 1) -> Calibration:
    """
    Find what turns :func:`force_spreads` into errors of force components.

    Parameters
    ----------
    potential : Potential
        Any potential that knows the elements.
    frames : Frames
        With forces, not of the training set.
    threads : int
        Threads over frames.
    """
    spreads = force_spreads(potential, frames, threads)
    forces = np.concatenate(predict(potential, frames, threads).forces)
    return Calibration.fit((forces - frames.forces).ravel(), np.repeat(spreads, 3))


def expected_force_errors(
    potential: Potential, frames: Frames, threads: int = 1
) -> NDArray[np.float64]:
    """
    Error to expect of a component of each atom's force in eV/Å; zero for one network.

    Parameters
    ----------
    potential : Potential
        Any potential that knows the elements.
    frames : Frames
        Configurations.
    threads : int
        Threads over frames.

    Returns
    -------
    ndarray
        Shape (n_atoms,).
    """
    spreads = force_spreads(potential, frames, threads)
    return potential.force_calibration.apply(spreads) if potential.n_members > 1 else spreads


def predict(potential: Potential, frames: Frames, threads: int = 1) -> Predictions:
    """Energies, forces, stresses and uncertainties of frames."""
    return potential.compute_arrays(
        frames.numbers, frames.counts, frames.cells, frames.positions, threads
    )


def expected_errors(
    potential: Potential, frames: Frames, moments: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Errors to expect of the energies of frames whose moments are known; no forces are computed.

    Parameters
    ----------
    potential : Potential
        Any potential that knows the elements.
    frames : Frames
        Configurations.
    moments : ndarray
        Of its symmetry functions for all atoms, see :func:`nnp.training.dataset.moments_of`.

    Returns
    -------
    ndarray
        In eV/atom, shape (n_frames,), as those of :func:`predict`.
    """
    if potential.n_members == 1 or not len(frames):
        return np.zeros(len(frames))
    # the repulsive core is the same for all networks and does not count
    members = potential.networks().energies(moments, potential.functions.types(frames.numbers))
    totals = np.add.reduceat(members, frames.offsets[:-1], axis=0)
    return potential.expected_errors(totals.std(axis=1) / frames.counts)
