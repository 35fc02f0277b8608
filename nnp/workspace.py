"""A potential and the scratch memory of one thread, as the kernels see them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Rows of Workspace.near: vectors to the neighbours, and what the radial functions need.
DX, DY, DZ, R2, ARGUMENT, CUT, SLOPE, PULL, FX, FY, FZ = range(11)
# Rows of Workspace.close: unit vectors and lengths of the neighbours within the angular cutoff.
UX, UY, UZ, R, CR2, INVERSE, CCUT, CSLOPE = range(8)
# Rows of Workspace.triplets.
COSINE, SEPARATION, SQUARES, INVERSES, CUTS, TSLOPE, WEIGHT, DECAY, TURN, VALUE, DERIVATIVE = range(
    11
)

#: Squared distance in Å² below which two atoms count as this far apart (no division by zero).
SMALLEST_R2 = 1e-4


class Model(NamedTuple):
    """A potential as the kernels see it; arrays of the working precision unless noted.

    Attributes
    ----------
    radial_cutoff, angular_cutoff, degree, radial_halvings, angular_halvings, general, pair_block
        See :class:`nnp.descriptors.Basis`.
    radial_eta, radial_shift, angular_eta, cutoff_q
        Likewise.
    sizes
        Width of every layer, the first being the number of moments.
    weights
        For each element and ensemble member all layers as (weights row by row, biases), shape
        (n_elements, n_members, n_parameters).
    origin
        Moments subtracted before the first layer, shape (n_elements, n_moments).
    repulsion
        See :class:`nnp.repulsion.Repulsion`, double precision.
    """

    radial_cutoff: float
    angular_cutoff: float
    radial_eta: NDArray[Any]
    radial_shift: NDArray[Any]
    radial_halvings: NDArray[np.int64]
    angular_eta: NDArray[Any]
    angular_halvings: NDArray[np.int64]
    degree: int
    general: NDArray[np.float64]
    pair_block: NDArray[np.int64]
    cutoff_q: NDArray[Any]
    sizes: NDArray[np.int64]
    weights: NDArray[Any]
    origin: NDArray[Any]
    repulsion: NDArray[np.float64]


class Workspace(NamedTuple):
    """Scratch memory of one thread."""

    near: NDArray[Any]
    near_atom: NDArray[np.int32]
    near_start: NDArray[np.int64]
    radial: NDArray[Any]
    close: NDArray[Any]
    close_xyz: NDArray[Any]
    close_near: NDArray[np.int32]
    close_start: NDArray[np.int64]
    row_cosine: NDArray[Any]
    row_separation: NDArray[Any]
    triplet_k: NDArray[np.uint32]
    segments: NDArray[np.int64]
    block_start: NDArray[np.int64]
    triplets: NDArray[Any]
    decays: NDArray[Any]
    scatter: NDArray[Any]
    moments: NDArray[Any]
    gradient: NDArray[Any]
    layers: NDArray[Any]
    layer_gradients: NDArray[Any]


def allocate(model: Model, near: int, close: int, dtype: type[np.floating[Any]]) -> Workspace:
    """Workspace for at most ``near`` and ``close`` neighbours within the two cutoffs."""
    n_elements = len(model.pair_block)
    n_blocks = n_elements * (n_elements + 1) // 2
    n_triplets = close * (close - 1) // 2 + 1
    width = int(model.sizes.max())
    return Workspace(
        near=np.zeros((11, near), dtype),
        near_atom=np.zeros(near, np.int32),
        near_start=np.zeros(n_elements + 1, np.int64),
        radial=np.zeros((len(model.radial_eta), near), dtype),
        close=np.zeros((8, close + 1), dtype),
        close_xyz=np.zeros((close + 1, 4), dtype),
        close_near=np.zeros(close + 1, np.int32),
        close_start=np.zeros(n_elements + 1, np.int64),
        row_cosine=np.zeros((close + 1, close + 1), dtype),
        row_separation=np.zeros((close + 1, close + 1), dtype),
        triplet_k=np.zeros(n_triplets, np.uint32),
        segments=np.zeros((n_blocks, close + 2), np.int64),
        block_start=np.zeros(n_blocks + 1, np.int64),
        triplets=np.zeros((11, n_triplets), dtype),
        decays=np.zeros((max(1, len(model.angular_eta)), n_triplets), dtype),
        scatter=np.zeros((close + 1, 4), dtype),
        moments=np.zeros(int(model.sizes[0]), dtype),
        gradient=np.zeros(int(model.sizes[0]), dtype),
        layers=np.zeros((len(model.sizes), width), dtype),
        layer_gradients=np.zeros((len(model.sizes), width), dtype),
    )
