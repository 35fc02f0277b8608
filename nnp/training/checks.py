"""Whether frames can be learned from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnp.frames import Frames
from nnp.training.distances import shortest_distances
from nnp.units import KBAR

#: eV/atom; the heaviest atoms have less than a tenth of it with all their electrons.
LARGEST_ENERGY = 1e7
#: eV/Å, far beyond what atoms feel that have not met with an accident.
LARGEST_FORCE = 1e5
#: eV/Å³: a hundred times the pressure in the middle of the largest planets.
LARGEST_STRESS = 1e4
#: eV/Å³ in half of the frames: there, stresses are in other units.
LARGEST_USUAL_STRESS = 10.0
#: Å; beyond, a distance between neighbours is lost among the digits.
LARGEST_COORDINATE = 1e6
#: Å; nuclei of no compound are nearer, and a repulsive core could not begin below it.
SHORTEST_DISTANCE = 0.5


def check_frames(frames: Frames) -> None:
    """
    Refuse data that cannot be learned from, naming the first offending frame.

    Parameters
    ----------
    frames : Frames
        As given for training.

    Raises
    ------
    ValueError
        If numbers are missing, infinite, or such as no calculation gives.
    """
    if not len(frames):
        raise ValueError("There are no frames to train on.")
    bad = ~np.isfinite(frames.energies)
    if bad.any():
        raise ValueError(
            f"Frame {int(np.argmax(bad))} has no finite energy; training needs one in every frame."
        )
    for name in ("forces", "positions"):
        finite = np.isfinite(getattr(frames, name)).all(axis=1)
        if not finite.all():
            frame = _frame_of(frames, int(np.argmin(finite)))
            raise ValueError(f"Frame {frame} has missing or infinite {name}.")
    if not (np.isfinite(frames.cells).all() and (frames.volumes > 0).all()):
        raise ValueError("Every frame needs a periodic cell of finite volume.")
    check_sizes(frames)
    nearest = shortest_distances(frames, frames.elements).min(axis=(1, 2))
    _refuse(nearest < SHORTEST_DISTANCE, nearest, "Å", "has two atoms at a distance of")


def check_sizes(frames: Frames) -> None:
    """
    Refuse numbers that no calculation gives; labels that are missing (NaN) pass.

    Parameters
    ----------
    frames : Frames
        To learn from, or to be compared with.

    Raises
    ------
    ValueError
        Naming the first offending frame.
    """
    for name in ("positions", "cells"):
        if np.abs(getattr(frames, name)).max() > LARGEST_COORDINATE:
            raise ValueError(f"The {name} of a frame exceed {LARGEST_COORDINATE:g} Å.")
    energies = np.abs(frames.energies) / frames.counts
    _refuse(energies > LARGEST_ENERGY, energies, "eV/atom", "has an energy of")
    forces = np.abs(frames.forces).max(axis=1)
    too_large = forces > LARGEST_FORCE
    if too_large.any():
        atom = int(np.argmax(too_large))
        raise ValueError(
            f"Frame {_frame_of(frames, atom)} has a force of {forces[atom]:.3g} eV/Å, which no "
            "calculation gives."
        )
    stresses = np.nan_to_num(np.abs(frames.stresses)).max(axis=(1, 2))
    _refuse(stresses > LARGEST_STRESS, stresses, "eV/Å³", "has a stress of")
    known = stresses[stresses > 0.0]
    usual = float(np.median(known)) if len(known) else 0.0
    if usual > LARGEST_USUAL_STRESS:
        raise ValueError(
            f"Half of the frames have stresses above {usual:.3g} eV/Å³, or {usual * KBAR / 10:.3g} "
            "GPa; they seem to be in kbar or GPa: write them in eV/Å³."
        )


def _refuse(bad: NDArray[np.bool_], values: NDArray[np.float64], unit: str, what: str) -> None:
    """Raise a ValueError if one of the frames is bad."""
    if bad.any():
        frame = int(np.argmax(bad))
        raise ValueError(
            f"Frame {frame} {what} {values[frame]:.3g} {unit}, which no calculation gives."
        )


def _frame_of(frames: Frames, atom: int) -> int:
    """Frame of an atom."""
    return int(np.searchsorted(frames.offsets, atom, side="right")) - 1
