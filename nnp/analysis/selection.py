"""Choose few configurations out of many, by their diversity in the space of symmetry functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnp.analysis.coverage import symmetry_function_values
from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames

#: Principal components kept of every element; the rest is less than a percent of the variance.
COMPONENTS = 16


def frame_features(functions: SymmetryFunctions, frames: Frames) -> NDArray[np.float64]:
    """
    Describe every frame by its average environment of each element, and by their scatter.

    The symmetry functions of an element are scaled to unit variance over all frames and turned
    into principal components; a frame is described by the mean and the standard deviation of each
    component over its atoms. Components are not whitened, so that distances count what varies.

    Parameters
    ----------
    functions : SymmetryFunctions
        Symmetry functions of all elements that occur.
    frames : Frames
        Configurations of any sizes; energies and forces may be missing.

    Returns
    -------
    ndarray, shape (n_frames, n_features)
        Dimensionless. Elements that a frame does not contain have zeros.
    """
    values, types = symmetry_function_values(functions, frames)
    owners = np.repeat(np.arange(len(frames)), frames.counts)
    columns = []
    for element in range(len(functions.elements)):
        rows = types == element
        if not rows.any():
            continue
        points, owner = _components(values[rows]), owners[rows]
        number = np.maximum(np.bincount(owner, minlength=len(frames)), 1)[:, None]
        mean = _sums(points, owner, len(frames)) / number
        square = _sums(points**2, owner, len(frames)) / number
        columns += [mean, np.sqrt(np.maximum(square - mean**2, 0.0))]
    return np.concatenate(columns, axis=1)


def _components(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leading principal components of values scaled to unit variance."""
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 1e-10, spread, 1.0)
    axes = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1]
    return scaled @ axes[:, :COMPONENTS]


def _sums(
    values: NDArray[np.float64], owner: NDArray[np.int64], n_frames: int
) -> NDArray[np.float64]:
    """Sums over the atoms of each frame, shape (n_frames, n_columns)."""
    total = np.zeros((n_frames, values.shape[1]))
    np.add.at(total, owner, values)
    return total


def farthest_points(
    features: NDArray[np.float64], number: int, chosen: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """
    Choose points one after the other, each the farthest from all chosen before.

    Parameters
    ----------
    features : ndarray
        Points, shape (n_points, n_features).
    number : int
        How many to choose; all that differ if there are fewer.
    chosen : ndarray of int or None
        Points that are there already; without any, the first choice is the point nearest to the
        mean of all.

    Returns
    -------
    ndarray, shape (n_chosen,)
        Indices in the order of choice; of equally far points the first.

    References
    ----------
    Y. Eldar et al., IEEE Trans. Image Process. 6, 1305 (1997).
    """
    order: list[int] = []
    distance = np.full(len(features), np.inf)
    for index in () if chosen is None else chosen:
        distance = np.minimum(distance, _distances(features, int(index)))
    while len(order) < min(number, len(features)):
        if np.isinf(distance).all():
            middle = features - features.mean(axis=0)
            index = int(np.argmin(np.einsum("ij,ij->i", middle, middle)))
        else:
            index = int(np.argmax(distance))
        if distance[index] == 0:
            break
        order.append(index)
        distance = np.minimum(distance, _distances(features, index))
    return np.array(order, dtype=np.int64)


def _distances(features: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    """Squared distances of all points from one of them."""
    offset = features - features[index]
    return np.asarray(np.einsum("ij,ij->i", offset, offset))
