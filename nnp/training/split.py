"""Which frames train and which validate."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nnp.frames import Frames

#: Frames of a stage of which one at least validates.
SMALLEST_STAGE = 5


def random_split(
    frames: Frames, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Training and validation frames at random, as in the paper; each stage gives its share.

    A frame is chosen by its content: when others are added it mostly keeps its part, so that what
    an earlier potential was trained on seldom validates a later one that begins from it.

    Parameters
    ----------
    frames : Frames
        In any order.
    fraction : float
        Of frames that validate: of each stage with :data:`SMALLEST_STAGE` frames or more at least
        one, of the rest together as if they were a stage.
    seed : int
        Another one chooses other frames.

    Returns
    -------
    tuple of ndarray
        Indices of training and validation frames.
    """
    validates = np.zeros(len(frames), dtype=bool)
    keys = _keys(frames, seed)
    stages, number = np.unique(frames.stages, return_inverse=True)
    small = np.bincount(number, minlength=len(stages)) < SMALLEST_STAGE
    number[small[number]] = -1
    for group in np.unique(number):
        own = np.flatnonzero(number == group)
        if group >= 0 or len(own) >= SMALLEST_STAGE:
            chosen = own[np.argsort(keys[own], kind="stable")]
            validates[chosen[: _validation_size(len(own), fraction)]] = True
    if not validates.any():
        chosen = np.argsort(keys, kind="stable")
        validates[chosen[: _validation_size(len(frames), fraction)]] = True
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def _keys(frames: Frames, seed: int) -> NDArray[np.uint64]:
    """Random numbers that are the same for the same seed and frame."""
    start = hashlib.blake2b(str(seed).encode(), digest_size=8)
    keys = np.zeros(len(frames), dtype=np.uint64)
    for k, (low, high) in enumerate(pairwise(frames.offsets)):
        digest = start.copy()
        for array in (frames.numbers[low:high], frames.positions[low:high], frames.cells[k]):
            digest.update(np.ascontiguousarray(array).tobytes())
        keys[k] = int.from_bytes(digest.digest(), "little")
    return keys


def block_split(
    frames: Frames, fraction: float, seed: int, block: int = 12, gap: int = 2
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """
    Choose validation frames in stretches of time, with frames left out on both sides.

    Frames 20 fs apart are nearly copies of each other, so a random split measures memory. Every
    run of consecutive frames of one stage gives its share of validation blocks.

    Parameters
    ----------
    frames : Frames
        In the order of their time.
    fraction : float
        Of frames that validate.
    seed : int
        Of the blocks' positions.
    block : int
        Frames in a validation block.
    gap : int
        Frames dropped between validation and training.

    Returns
    -------
    tuple of ndarray
        Indices of training and validation frames.
    """
    generator = np.random.default_rng(seed)
    changes = np.flatnonzero(
        (frames.stages[1:] != frames.stages[:-1]) | (frames.counts[1:] != frames.counts[:-1])
    )
    bounds = np.concatenate([[0], changes + 1, [len(frames)]])
    role = np.zeros(len(frames), dtype=np.int64)
    for low, high in pairwise(bounds):
        n = high - low
        wanted = round(fraction * n)
        if n < 10 or wanted < 1:
            continue
        n_blocks = max(1, round(wanted / block))
        length = max(1, round(wanted / n_blocks))
        # One block somewhere in each of n_blocks equal stretches, so that all times are sampled.
        edges = np.linspace(low, high, n_blocks + 1).astype(int)
        for a, b in pairwise(edges):
            start = a + int(generator.integers(0, max(1, b - a - length + 1)))
            # across the bounds too: the last frame of one stage neighbours the first of the next
            around = slice(max(0, start - gap), start + length + gap)
            role[around] = np.maximum(role[around], 1)
            role[start : start + length] = 2
    if not (role == 2).any():
        return random_split(frames, fraction, seed)
    return np.flatnonzero(role == 0), np.flatnonzero(role == 2)


def _validation_size(n_frames: int, fraction: float) -> int:
    """At least one frame validates as soon as there are two."""
    return (
        0
        if n_frames < 2 or fraction <= 0
        else min(n_frames - 1, max(1, round(fraction * n_frames)))
    )
