"""
Derivatives of the moments with respect to neighbours' positions, for training.

Forces are linear in the network's input gradients and the gradient of the force loss is linear in
the force residuals, through the same matrix dM/dr. It is kept in single precision and only where it
can be non-zero: a neighbour of element e touches the G2 of e and the G4 of pairs with e.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnp.evaluator import SKIN, Evaluator
from nnp.kernels import atom
from nnp.kernels.batch import CLOSE_TOO_SMALL, DONE, Batch, close_count, prepare_structure
from nnp.kernels.compilation import compiled, internal
from nnp.kernels.lanes import LANES
from nnp.kernels.tile_loops import clear_cube
from nnp.kernels.triplets import tile_of
from nnp.kernels.triplets import tile_size as triplet_tile_size
from nnp.kernels.workspace import (
    COSINE,
    DECAYS,
    INVERSES,
    R2,
    RADIAL,
    SLOPE,
    TSLOPE,
    Model,
    Workspace,
    multiple,
)
from nnp.kernels.workspace import LANES as TILE_LANES

_LANES = np.uint64(TILE_LANES)


class Jacobian(NamedTuple):
    """
    dM/dr of some structures.

    Attributes
    ----------
    first : ndarray of int
        First atom of each structure and the total, shape (n_structures + 1,).
    near_start, close_start : ndarray of int
        Where the neighbours of each atom and element start, shape (n_atoms, n_elements + 1).
    near_atom : ndarray
        Neighbour atoms, shape (n_near,).
    near_vector : ndarray
        Vectors to them in Å, shape (n_near, 3).
    radial : ndarray
        Factors of the vectors for each G2, shape (n_near, n_radial), rows filled up with zeros as
        :mod:`nnp.kernels.lanes` wants it.
    close_near : ndarray of int
        Which of the near neighbours each close one is, shape (n_close,).
    angular : ndarray
        Derivatives of the G4 moments in Å⁻¹ by partner element, shape
        (n_close, 3, n_elements * block_size), blocks filled up like rows of `radial`.
    pair_block : ndarray of int
        See :class:`nnp.descriptors.Basis`.
    """

    first: NDArray[np.int64]
    near_start: NDArray[np.int64]
    close_start: NDArray[np.int64]
    near_atom: NDArray[np.int32]
    near_vector: NDArray[np.float32]
    radial: NDArray[np.float32]
    close_near: NDArray[np.int64]
    angular: NDArray[np.float32]
    pair_block: NDArray[np.int64]

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return sum(array.nbytes for array in self)


def moment_columns(model: Model) -> NDArray[np.int64]:
    """
    Columns of the moments in arrays that are multiplied with the Jacobian.

    Each element's radial moments and each block of angular ones are filled up as
    :mod:`nnp.kernels.lanes` wants it.

    Parameters
    ----------
    model : Model
        Only its basis is used.

    Returns
    -------
    ndarray
        Shape (n_moments,); there are ``moment_columns(model)[-1] + 1`` columns, rounded up.
    """
    n_elements, n_radial, size = len(model.pair_block), len(model.radial_eta), block_size(model)
    blocks = [(n_radial, n_elements), (size, n_elements * (n_elements + 1) // 2)]
    columns, first = [], 0
    for width, count in blocks:
        step = multiple(width, LANES)
        columns.append((first + step * np.arange(count)[:, None] + np.arange(width)).ravel())
        first += step * count
    return np.concatenate(columns)


def block_size(model: Model) -> int:
    """Angular moments of one pair of elements."""
    return len(model.angular_eta) * (model.degree + 1) + len(model.general)


@internal
def moment_factors(model: Model, tiles: NDArray, o: Any, c: float, out: tuple) -> None:
    """
    Value, eta times value, and derivative by cos(theta) of each moment of one triplet.

    ``o`` is where its exp(-eta S) F are, one tile's lanes apart.
    """
    value, decayed, turn = out
    n_powers = model.degree + 1
    for s in range(model.angular_eta.size):
        g = tiles[o + np.uint64(s) * _LANES]
        eta = model.angular_eta[s]
        previous = 0.0
        for p in range(n_powers):
            m = s * n_powers + p
            value[m] = g
            decayed[m] = eta * g
            turn[m] = p * previous
            previous = g
            g *= c
    first = model.angular_eta.size * n_powers
    for k in range(len(model.general)):
        s = int(model.general[k, 0])
        base = max(1.0 + model.general[k, 2] * c, 1e-12)
        power = tiles[o + np.uint64(s) * _LANES] * base ** model.general[k, 1]
        value[first + k] = power
        decayed[first + k] = model.angular_eta[s] * power
        turn[first + k] = power * model.general[k, 1] * model.general[k, 2] / base


@internal
def add_triplet(
    factors: tuple, legs: tuple, inverse: float, slope: float, c: float, out: tuple
) -> None:
    """
    Add one triplet to the blocks of both its neighbours.

    Parameters
    ----------
    factors : tuple
        Written by :func:`moment_factors`.
    legs : tuple
        For each leg (x, y, z, slope of its cutoff, 1 / r²).
    inverse, slope : float
        1 / (r_ij r_ik) and the slope of fc(r_jk).
    out : tuple
        Block of each leg, shape (3, n).
    """
    value, decayed, turn = factors
    (jx, jy, jz, js, j2), (kx, ky, kz, ks, k2) = legs
    block_j, block_k = out
    ax, ay, az = block_j[0], block_j[1], block_j[2]
    bx, by, bz = block_k[0], block_k[1], block_k[2]
    for m in range(value.size):
        shared = slope * value[m] - decayed[m]
        along = turn[m] * inverse - 2.0 * shared
        rest = 2.0 * (shared - decayed[m])
        bend = turn[m] * c
        pj = 2.0 * js * value[m] + rest - bend * j2
        pk = 2.0 * ks * value[m] + rest - bend * k2
        ax[m] += pj * jx + along * kx
        ay[m] += pj * jy + along * ky
        az[m] += pj * jz + along * kz
        bx[m] += pk * kx + along * jx
        by[m] += pk * ky + along * jy
        bz[m] += pk * kz + along * jz


@internal
def fill_angular(model: Model, ws: Workspace, factors: tuple, out: NDArray) -> None:
    """Write dG4/dr of one atom, shape (n_close, 3, n_elements * width)."""
    starts, tiles = ws.close_start, ws.tiles
    n_elements = starts.size - 1
    size = factors[0].size
    width = out.shape[2] // n_elements
    length = triplet_tile_size(model)
    clear_cube(out)
    block = 0
    for ea in range(n_elements):
        for eb in range(ea, n_elements):
            low_j, low_k = ea * width, eb * width
            for j in range(starts[eb], starts[eb + 1]):
                leg_j = leg_of(ws, j)
                local = j - starts[eb]
                for t in range(ws.segments[block, local, 0], ws.segments[block, local, 1]):
                    k = ws.triplet_k[t]
                    o, lane = tile_of(t, length)
                    o += lane
                    c = tiles[o + COSINE]
                    moment_factors(model, tiles, o + DECAYS, c, factors)
                    add_triplet(
                        factors,
                        (leg_j, leg_of(ws, k)),
                        tiles[o + INVERSES],
                        tiles[o + TSLOPE],
                        c,
                        (out[j, :, low_j : low_j + size], out[k, :, low_k : low_k + size]),
                    )
            block += 1


@internal
def leg_of(ws: Workspace, j: int) -> tuple:
    """Vector, slope of the cutoff and 1 / r² of one close neighbour."""
    xyz, legs = ws.close_xyz, ws.legs
    return xyz[4 * j], xyz[4 * j + 1], xyz[4 * j + 2], legs[2 * j + 1], legs[2 * j]


@internal
def fill_radial(model: Model, ws: Workspace, near: tuple) -> None:
    """Neighbours of one atom and the factors of their vectors for each G2."""
    atoms, vectors, factors = near
    length = atom.tile_size(model)
    for e in range(ws.near_start.size - 1):
        slot = ws.near_slot[e]
        for p in range(ws.near_start[e], ws.near_start[e + 1]):
            atoms[p] = ws.near_atom[slot]
            o, lane = tile_of(slot, length)
            o += lane
            for c in range(3):
                vectors[p, c] = ws.near[np.uint64(4) * slot + np.uint64(c)]
            for s in range(model.radial_eta.size):
                rate = model.radial_eta[s]
                if model.radial_shift[s] != 0.0:
                    rate *= 1.0 - model.radial_shift[s] / np.sqrt(ws.radial[o + R2])
                g = ws.radial[o + RADIAL + np.uint64(s) * _LANES]
                factors[p, s] = 2.0 * g * (ws.radial[o + SLOPE] - rate)
            slot += np.uint64(1)


@internal
def fill_close(ws: Workspace, first: int, out: NDArray) -> None:
    """Which near neighbour each close one is; ``first`` is the number of this atom's first."""
    for e in range(ws.close_start.size - 1):
        for m in range(ws.close_start[e], ws.close_start[e + 1]):
            within = np.int64(ws.close_near[m] - ws.near_slot[e])
            out[m] = first + ws.near_start[e] + within


@compiled
def fill_range(
    counting: bool,
    cells: NDArray,
    positions: NDArray,
    batch: Batch,
    model: Model,
    state: tuple,
    ws: Workspace,
    factors: tuple,
    moments: NDArray,
    jacobian: Jacobian,
) -> tuple[int, int]:
    """
    Count the neighbours of every atom and compute moments, or fill the Jacobian.

    Returns
    -------
    tuple of int
        As :func:`nnp.kernels.batch.evaluate_range`.
    """
    lists, _, scratch = state
    capacity = ws.close_near.size - 1
    n_elements = batch.element_starts.shape[1] - 1
    for s in range(cells.shape[0]):
        first, last = batch.first[s], batch.first[s + 1]
        span = (first, last, 0, SKIN)
        status, size = prepare_structure(s, span, cells[s], positions, batch, model, state)
        if status != DONE:
            return status, size
        for i in range(first, last):
            close = close_count(i, i, first, model, lists, scratch, capacity)
            if close > capacity:
                return CLOSE_TOO_SMALL, close
            row = (lists.starts[i], lists.atom[i], lists.image[i], first)
            point = (scratch.points, i - first, scratch.translations)
            atom.fill_moments(row, point, batch.types[i], model, ws)
            if counting:
                for m in range(moments.shape[1]):
                    moments[i, m] = ws.moments[m]
                for e in range(n_elements + 1):
                    jacobian.near_start[i, e] = ws.near_start[e]
                    jacobian.close_start[i, e] = ws.close_start[e]
                continue
            a, b = jacobian.near_start[i, 0], jacobian.near_start[i, n_elements]
            arrays = (jacobian.near_atom[a:b], jacobian.near_vector[a:b], jacobian.radial[a:b])
            fill_radial(model, ws, arrays)
            c, d = jacobian.close_start[i, 0], jacobian.close_start[i, n_elements]
            fill_close(ws, a, jacobian.close_near[c:d])
            if model.angular_eta.size > 0:
                fill_angular(model, ws, factors, jacobian.angular[c:d])
    return DONE, 0


class Moments:
    """
    Moments of every atom of some structures, and their derivatives.

    Parameters
    ----------
    model : Model
        In double precision; only its basis is used.
    types, counts : ndarray of int
        As for :class:`nnp.evaluator.Evaluator`.
    cells, positions : ndarray
        In Å, as for :meth:`nnp.evaluator.Evaluator.compute`.

    Attributes
    ----------
    values : ndarray
        Shape (n_atoms, n_moments).
    """

    def __init__(
        self,
        model: Model,
        types: NDArray[np.int64],
        counts: NDArray[np.int64],
        cells: NDArray[np.float64],
        positions: NDArray[np.float64],
    ) -> None:
        self.model = model
        self.cells = np.ascontiguousarray(cells, dtype=np.float64)
        self.positions = np.ascontiguousarray(positions, dtype=np.float64)
        self.share = Evaluator(model, types, counts).shares[0]
        n_atoms, n_elements = len(types), len(model.pair_block)
        self.size = block_size(model)
        self.values = np.zeros((n_atoms, int(model.sizes[0])))
        # starts of each atom's neighbours, counted from its first
        self.starts = np.zeros((2, n_atoms, n_elements + 1), np.int64)
        self._run(True, self._empty_jacobian((0, 0), *self.starts))

    def jacobian(self) -> Jacobian:
        """Derivatives with respect to the neighbours' positions."""
        totals = self.starts[:, :, -1]
        shifts = np.cumsum(totals, axis=1) - totals
        near, close = (int(total) for total in totals.sum(axis=1))
        jacobian = self._empty_jacobian((near, close), *(self.starts + shifts[:, :, None]))
        self._run(False, jacobian)
        return jacobian

    def _empty_jacobian(
        self, sizes: tuple[int, int], near_start: NDArray, close_start: NDArray
    ) -> Jacobian:
        near, close = sizes
        width = len(self.model.pair_block) * multiple(self.size, LANES)
        return Jacobian(
            first=self.share.batch.first,
            near_start=near_start,
            close_start=close_start,
            near_atom=np.zeros(near, np.int32),
            near_vector=np.zeros((near, 3), np.float32),
            radial=np.zeros((near, multiple(len(self.model.radial_eta), LANES)), np.float32),
            close_near=np.zeros(close, np.int64),
            angular=np.zeros((close, 3, width), np.float32),
            pair_block=self.model.pair_block,
        )

    def _run(self, counting: bool, jacobian: Jacobian) -> None:
        share = self.share
        factors = tuple(np.zeros(self.size) for _ in range(3))
        share.enlarge_until_done(
            lambda: fill_range(
                counting,
                self.cells,
                self.positions,
                share.batch,
                self.model,
                (share.lists, share.reference, share.scratch),
                share.workspace,
                factors,
                self.values,
                jacobian,
            )
        )
