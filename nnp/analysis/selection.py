"""Choose few configurations out of many, by their diversity in the space of symmetry functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from nnp.training.dataset import moments_of

#: Principal components kept of every element; the rest is less than a percent of the variance.
COMPONENTS = 16


def frame_features(
    functions: SymmetryFunctions, frames: Frames, moments: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
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
    moments : ndarray or None
        Of all atoms, where somebody has them: see :func:`nnp.training.dataset.moments_of`.

    Returns
    -------
    ndarray, shape (n_frames, n_features)
        Dimensionless. Elements that a frame does not contain have zeros.
    """
    types = functions.types(frames.numbers)
    if moments is None:
        moments = moments_of(functions, frames)
    owners = np.repeat(np.arange(len(frames)), frames.counts)
    columns = []
    for element in range(len(functions.elements)):
        rows = np.flatnonzero(types == element)
        if not len(rows):
            continue
        points = _components(moments[rows], functions.transform)
        # one row for each frame, ones where its atoms are
        ones = (np.ones(len(rows)), (owners[rows], np.arange(len(rows))))
        belongs = csr_array(ones, shape=(len(frames), len(rows)))
        number = np.maximum(belongs.sum(axis=1), 1)[:, None]
        mean, square = belongs @ points / number, belongs @ points**2 / number
        columns += [mean, np.sqrt(np.maximum(square - mean**2, 0.0))]
    return np.concatenate(columns, axis=1)


def _components(
    moments: NDArray[np.float64], transform: NDArray[np.float64]
) -> NDArray[np.float64]:
    """
    Leading principal components of symmetry functions scaled to unit variance.

    There are fewer moments than functions, so these are never made.
    """
    centred = moments - moments.mean(axis=0)
    covariance = transform @ (centred.T @ centred / len(centred)) @ transform.T
    spread = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    scale = 1.0 / np.where(spread > 1e-10, spread, 1.0)
    axes = np.linalg.eigh(scale[:, None] * covariance * scale)[1][:, ::-1]
    return centred @ (transform.T * scale @ axes[:, :COMPONENTS])


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
