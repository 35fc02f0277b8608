"""A potential and the scratch memory of one thread, as the kernels see them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Numbers of each kind that lie side by side in a tile. A loop over them has a length known when it
#: is compiled, so that it is vectorised without a remainder; what is missing to a full tile has
#: weight zero.
LANES = 32
#: Radial functions that one backward loop takes together.
GROUP = 4
#: Widths of the network's layers are padded to a multiple of this, rows of a matrix to four.
WIDTH = 32

# Where each kind of number starts in a tile. Offsets are unsigned: a signed index would bring a
# test for negative values into the innermost loops. Tiles of near neighbours; the radial functions
# follow.
R2, CUT, SLOPE, PULL, RADIAL = (np.uint64(row * LANES) for row in range(5))
# Tiles of close neighbours, those within the angular cutoff: unit vectors, lengths and cutoffs,
# and, from ROW, four rows for the triplets with one j.
UX, UY, UZ, LENGTH, CR2, CCUT, ROW = (np.uint64(row * LANES) for row in range(7))
CLOSE_TILE = np.uint64(11 * LANES)
# Tiles of triplets; exp(-eta S) F of each angular eta follows.
COSINE, SQUARES, CUTS, TSLOPE, INVERSES = (np.uint64(row * LANES) for row in range(5))
WEIGHT, DECAY, TURN, VALUE, DERIVATIVE = (np.uint64(row * LANES) for row in range(5, 10))
DECAYS = np.uint64(10 * LANES)

#: Squared distance in Å² below which two atoms count as this far apart (no division by zero).
SMALLEST_R2 = 1e-4


class Model(NamedTuple):
    """
    A potential as the kernels see it; arrays of the working precision unless noted.

    Attributes
    ----------
    radial_cutoff, angular_cutoff : float
        See :class:`nnp.descriptors.Basis`, as for the next four.
    radial_eta, radial_shift, angular_eta : ndarray
        One entry for each G2 of a neighbour element, and the distinct angular eta.
    degree : int
        Highest power of cos(theta).
    general : ndarray
        G4 with non-integer zeta, shape (n, 3), double precision.
    pair_block : ndarray of int
        Block number of an unordered element pair, shape (n_elements, n_elements).
    cutoff_q : ndarray
        Polynomial of the cutoff function, see :func:`nnp.kernels.functions.cutoff_polynomial`.
    sizes : ndarray of int
        Width of every layer, the first being the number of moments.
    weights : ndarray
        For each element and ensemble member all layers as (weights row by row, biases), padded as
        :func:`padded` and :func:`rows` say, shape (n_elements, n_members, n_parameters).
    origin : ndarray
        Moments subtracted before the first layer, shape (n_elements, n_moments).
    repulsion : ndarray
        See :class:`nnp.kernels.repulsion.Repulsion`, double precision.
    """

    radial_cutoff: float
    angular_cutoff: float
    radial_eta: NDArray[Any]
    radial_shift: NDArray[Any]
    angular_eta: NDArray[Any]
    degree: int
    general: NDArray[np.float64]
    pair_block: NDArray[np.int64]
    cutoff_q: NDArray[Any]
    sizes: NDArray[np.int64]
    weights: NDArray[Any]
    origin: NDArray[Any]
    repulsion: NDArray[np.float64]


class Workspace(NamedTuple):
    """
    Scratch memory of one thread.

    Numbers that are read or written for one neighbour or triplet at a time lie side by side;
    numbers that are computed for many at once are in tiles (see :data:`LANES`).

    Attributes
    ----------
    near : ndarray
        Vector and squared length of each neighbour within the radial cutoff: four numbers for
        each slot. An element's neighbours start at a full tile.
    near_force : ndarray
        Derivative of the energy with respect to each vector: three of four numbers for each slot.
    near_atom : ndarray
        Atom in each slot.
    near_start, near_slot : ndarray
        Number of neighbours before each element, and its first slot.
    radial : ndarray
        Tiles of near neighbours.
    radial_etas, radial_sums : ndarray
        Eta of the radial functions, filled up to whole groups, and the sums of one element.
    radial_weights : ndarray
        Three factors for each radial function, see :func:`nnp.kernels.tile_loops.radial_pull`.
    close_xyz, close_near, close_start : ndarray
        Vector and squared length of each neighbour within the angular cutoff, its slot among the
        near ones, and where each element starts.
    close : ndarray
        Tiles of close neighbours.
    legs : ndarray
        1 / r² and the slope of the cutoff of each close neighbour.
    found : ndarray
        cos(theta), r_jk², r_ij r_ik and fc fc of the triplets kept, shape (4, n).
    triplets : ndarray
        Four numbers for each on the way back: dE/d(d_j . d_k), the factor of the cutoffs' slopes,
        half the rest of dE/d(r²), and the factor of -1 / r².
    triplet_k, segments : ndarray
        k of each triplet, and where those of each j start and end, shape (n_blocks, n_close, 2).
    block_start, block_stop : ndarray
        First triplet of each element pair, at a full tile, and the end.
    tiles : ndarray
        Tiles of triplets.
    scatter : ndarray
        Sums over triplets for each close neighbour: a vector, and a factor of its own vector.
    moments, gradient, layers, layer_gradients : ndarray
        The network's.
    """

    near: NDArray[Any]
    near_force: NDArray[Any]
    near_atom: NDArray[np.int32]
    near_start: NDArray[np.int64]
    near_slot: NDArray[np.uint64]
    radial: NDArray[Any]
    radial_etas: NDArray[Any]
    radial_sums: NDArray[Any]
    radial_weights: NDArray[Any]
    close_xyz: NDArray[Any]
    close_near: NDArray[np.uint64]
    close_start: NDArray[np.int64]
    close: NDArray[Any]
    legs: NDArray[Any]
    found: NDArray[Any]
    triplets: NDArray[Any]
    triplet_k: NDArray[np.uint32]
    segments: NDArray[np.uint64]
    block_start: NDArray[np.uint64]
    block_stop: NDArray[np.uint64]
    tiles: NDArray[Any]
    scatter: NDArray[Any]
    moments: NDArray[Any]
    gradient: NDArray[Any]
    layers: NDArray[Any]
    layer_gradients: NDArray[Any]


def multiple(n: int, of: int) -> int:
    """The next multiple."""
    return -(-n // of) * of


def padded(n: int) -> int:
    """Space for ``n`` numbers of a layer."""
    return multiple(n, WIDTH)


def rows(n: int) -> int:
    """Rows of the matrix that leads to a layer of width ``n``."""
    return multiple(n, 4)


def near_tile(n_radial: int) -> int:
    """Length of a tile of near neighbours."""
    return int(RADIAL) + multiple(n_radial, GROUP) * LANES


def triplet_tile(n_etas: int) -> int:
    """Length of a tile of triplets."""
    return int(DECAYS) + n_etas * LANES


def allocate(model: Model, near: int, close: int, dtype: type[np.floating[Any]]) -> Workspace:
    """Workspace for at most ``near`` and ``close`` neighbours within the two cutoffs."""
    n_elements = len(model.pair_block)
    n_blocks = n_elements * (n_elements + 1) // 2
    n_radial, n_etas = len(model.radial_eta), len(model.angular_eta)
    near = multiple(near + 1, LANES) + n_elements * LANES
    # Compression writes past the end what it does not keep.
    close = multiple(close + 8, LANES)
    n_triplets = multiple(close * (close - 1) // 2, LANES) + 2 * n_blocks * LANES
    width = padded(int(model.sizes.max()))
    return Workspace(
        near=np.zeros(4 * near, dtype),
        near_force=np.zeros(4 * near, dtype),
        near_atom=np.zeros(near, np.int32),
        near_start=np.zeros(n_elements + 1, np.int64),
        near_slot=np.zeros(n_elements + 1, np.uint64),
        radial=np.zeros(near // LANES * near_tile(n_radial), dtype),
        radial_etas=np.pad(model.radial_eta, (0, -n_radial % GROUP)).astype(dtype),
        radial_sums=np.zeros(multiple(n_radial, GROUP), dtype),
        radial_weights=np.zeros(3 * multiple(n_radial, GROUP), dtype),
        close_xyz=np.zeros(4 * close, dtype),
        close_near=np.zeros(close, np.uint64),
        close_start=np.zeros(n_elements + 1, np.int64),
        close=np.zeros(close // LANES * int(CLOSE_TILE), dtype),
        legs=np.zeros(2 * close, dtype),
        found=np.zeros((4, n_triplets), dtype),
        triplets=np.zeros(4 * n_triplets, dtype),
        triplet_k=np.zeros(n_triplets, np.uint32),
        segments=np.zeros((n_blocks, close, 2), np.uint64),
        block_start=np.zeros(n_blocks, np.uint64),
        block_stop=np.zeros(n_blocks, np.uint64),
        tiles=np.zeros(n_triplets // LANES * triplet_tile(n_etas), dtype),
        scatter=np.zeros(4 * close, dtype),
        moments=np.zeros(width, dtype),
        gradient=np.zeros(width, dtype),
        layers=np.zeros((len(model.sizes), width), dtype),
        layer_gradients=np.zeros((len(model.sizes), width), dtype),
    )
