"""Shortest distances between atoms of each pair of elements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from nnp.training.dataset import descriptor_model
from nnp.training.jacobian import Moments

#: Å; pairs further apart are not looked for.
FARTHEST = 4.0
#: Frames whose neighbours are listed at once.
CHUNK = 256


def shortest_distances(frames: Frames, elements: tuple[str, ...]) -> NDArray[np.float64]:
    """
    Shortest distance of each pair of elements in each frame, periodic images included.

    Parameters
    ----------
    frames : Frames
        Configurations with finite positions and cells.
    elements : tuple of str
        All elements that occur, in the order wanted.

    Returns
    -------
    ndarray
        In Å, infinite beyond :data:`FARTHEST`; symmetric in the elements, shape
        (n_frames, n_elements, n_elements).
    """
    n = len(elements)
    shortest = np.full((len(frames), n, n), np.inf)
    functions = SymmetryFunctions(elements, ((0.0, 0.0),), (), FARTHEST, FARTHEST)
    model = descriptor_model(functions)
    for low in range(0, len(frames), CHUNK):
        part = frames[low : low + CHUNK]
        types = functions.types(part.numbers)
        found = Moments(model, types, part.counts, part.cells, part.positions).jacobian()
        lengths = np.linalg.norm(found.near_vector, axis=1)
        near = found.near_start[:, -1] - found.near_start[:, 0]
        frame = np.repeat(np.repeat(np.arange(len(part)), part.counts), near)
        # atoms are numbered through all frames of the part
        pairs = (low + frame, np.repeat(types, near), types[found.near_atom])
        np.minimum.at(shortest, pairs, lengths)
    return np.minimum(shortest, shortest.transpose(0, 2, 1))
