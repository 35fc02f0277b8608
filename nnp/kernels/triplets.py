"""
Angles at one atom: from close neighbours to moments, and back to derivatives.

Triplets are compressed to those within the angular cutoff and ordered by element pair, so that
each step is a loop over tiles of contiguous numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.kernels import tile_loops
from nnp.kernels.compilation import internal
from nnp.kernels.compress import CHUNK, compress_indices, compress_values, count_lanes, lanes_below
from nnp.kernels.workspace import (
    CCUT,
    CLOSE_TILE,
    CR2,
    DECAYS,
    LANES,
    LENGTH,
    ROW,
    UX,
    UY,
    UZ,
    Model,
    Workspace,
)

_LANES = np.uint64(LANES)
_CHUNK, _ALL = np.uint64(CHUNK), np.uint64((1 << CHUNK) - 1)
_ZERO, _ONE, _TWO, _THREE, _FOUR = (np.uint64(k) for k in range(5))


@internal
def tile_of(t: Any, size: Any) -> tuple:
    """Where the tile of an entry starts, and its lane."""
    lane = t % _LANES
    return t // _LANES * size, lane


@internal
def tile_size(model: Model) -> Any:
    """Length of a tile of triplets."""
    return DECAYS + np.uint64(model.angular_eta.size) * _LANES


@internal
def begin_blocks(starts: NDArray, block_start: NDArray, block_stop: NDArray) -> None:
    """Give every element pair room for all its triplets, and for one chunk more."""
    n_elements = starts.size - 1
    block = 0
    t = _ZERO
    for ea in range(n_elements):
        for eb in range(ea, n_elements):
            block_start[block] = t
            block_stop[block] = t
            n, m = starts[ea + 1] - starts[ea], starts[eb + 1] - starts[eb]
            largest = np.uint64(n * (n - 1) // 2 if ea == eb else n * m)
            t += (largest + _CHUNK + _LANES - _ONE) // _LANES * _LANES
            block += 1


@internal
def compress_row(
    close: NDArray, span: tuple, limit: Any, found: NDArray, triplet_k: NDArray, t: Any
) -> Any:
    """Append the triplets of one j with some k to ``t``; returns the new end."""
    first, last = span
    cosines, separations, products, cuts = found[0], found[1], found[2], found[3]
    for k in range(first // _CHUNK * _CHUNK, last, _CHUNK):
        o, lane = tile_of(k, CLOSE_TILE)
        a = o + lane + ROW
        lanes = lanes_below(close, a + _LANES, limit)
        # Numbers before and after the span, in the chunks at its ends.
        before = first - k if first > k else _ZERO
        after = k + _CHUNK - last if k + _CHUNK > last else _ZERO
        lanes &= (_ALL << before) & (_ALL >> after)
        compress_values(close, a, lanes, cosines, t)
        compress_values(close, a + _LANES, lanes, separations, t)
        compress_values(close, a + _TWO * _LANES, lanes, products, t)
        compress_values(close, a + _THREE * _LANES, lanes, cuts, t)
        compress_indices(k, lanes, triplet_k, t)
        t += count_lanes(lanes)
    return t


@internal
def select_triplets(model: Model, ws: Workspace) -> None:
    """List the triplets with r_jk within the cutoff by element pair, then by j."""
    starts, close = ws.close_start, ws.close
    limit = close.dtype.type(model.angular_cutoff**2)
    begin_blocks(starts, ws.block_start, ws.block_stop)
    for eb in range(starts.size - 1):
        for j in range(np.uint64(starts[eb]), np.uint64(starts[eb + 1])):
            o, lane = tile_of(j, CLOSE_TILE)
            o += lane
            leg = (
                close[o + UX],
                close[o + UY],
                close[o + UZ],
                close[o + LENGTH],
                close[o + CR2],
                close[o + CCUT],
            )
            for q in range((j + _LANES - _ONE) // _LANES):
                tile_loops.pair_tile(close, q * CLOSE_TILE, leg)
            local = j - np.uint64(starts[eb])
            for ea in range(eb + 1):
                block = model.pair_block[ea, eb]
                span = (np.uint64(starts[ea]), min(j, np.uint64(starts[ea + 1])))
                t = ws.block_stop[block]
                ws.segments[block, local, 0] = t
                t = compress_row(close, span, limit, ws.found, ws.triplet_k, t)
                ws.segments[block, local, 1] = t
                ws.block_stop[block] = t
    for block in range(ws.block_start.size):
        fill_tile(ws.found, ws.block_stop[block])


@internal
def fill_tile(found: NDArray, t: Any) -> None:
    """Fill a tile begun with triplets that count for nothing."""
    for k in range(t, (t + _LANES - _ONE) // _LANES * _LANES):
        found[0, k] = 0.0
        found[1, k] = 0.0
        found[2, k] = 1.0
        found[3, k] = 0.0


@internal
def angular_forward(model: Model, ws: Workspace, m: NDArray) -> None:
    """Moments of all G4; leaves exp(-eta S) F of every triplet in the tiles."""
    n = np.uint64(ws.close_start[ws.close_start.size - 1])
    inverse2 = 1.0 / model.angular_cutoff**2
    for q in range((n + _LANES - _ONE) // _LANES):
        tile_loops.close_tile(
            ws.close_xyz, q * _LANES, ws.close, q * CLOSE_TILE, ws.legs, inverse2, model.cutoff_q
        )
    select_triplets(model, ws)
    n_powers = model.degree + 1
    width = model.angular_eta.size * n_powers + len(model.general)
    first = (ws.close_start.size - 1) * model.radial_eta.size
    size = tile_size(model)
    tiles = ws.tiles
    for block in range(ws.block_start.size):
        out = m[first + block * width : first + (block + 1) * width]
        for k in range(width):
            out[k] = 0.0
        for t in range(ws.block_start[block], ws.block_stop[block], _LANES):
            o = t // _LANES * size
            tile_loops.triplet_tile(ws.found, t, tiles, o, inverse2, model.cutoff_q)
            for s in range(model.angular_eta.size):
                g = o + DECAYS + np.uint64(s) * _LANES
                tile_loops.angular_sums(tiles, o, g, model.angular_eta[s], out[s * n_powers :])
                if model.degree > 4:
                    tile_loops.higher_sums(tiles, o, g, model.degree, out[s * n_powers :])
            for k in range(len(model.general)):
                g = o + DECAYS + np.uint64(model.general[k, 0]) * _LANES
                tile_loops.general_power(tiles, o, model.general[k, 1], model.general[k, 2])
                out[model.angular_eta.size * n_powers + k] += tile_loops.general_sum(tiles, o, g)


@internal
def any_backward(model: Model, ws: Workspace, d: NDArray, t: Any, o: Any) -> None:
    """Way back through one tile for any set of angular functions."""
    tiles = ws.tiles
    n_powers = model.degree + 1
    n_etas = model.angular_eta.size
    tile_loops.clear_sums(tiles, o)
    for s in range(n_etas):
        g = o + DECAYS + np.uint64(s) * _LANES
        factors = d[s * n_powers :]
        if model.degree == 4:
            tile_loops.add_backward4(tiles, o, g, model.angular_eta[s], factors)
        else:
            tile_loops.polynomial(tiles, o, factors, model.degree)
            tile_loops.add_backward(tiles, o, g, model.angular_eta[s])
    for k in range(len(model.general)):
        s = int(model.general[k, 0])
        g = o + DECAYS + np.uint64(s) * _LANES
        tile_loops.general_power(tiles, o, model.general[k, 1], model.general[k, 2])
        tile_loops.scale_power(tiles, o, d[n_etas * n_powers + k])
        tile_loops.add_backward(tiles, o, g, model.angular_eta[s])
    tile_loops.finish_backward(tiles, o, ws.triplets, t)


@internal
def triplet_backward(model: Model, ws: Workspace, d: NDArray) -> None:
    """From dE/d(moments) to the triplets' derivatives, left in ``ws.triplets``."""
    n_etas = model.angular_eta.size
    width = n_etas * (model.degree + 1) + len(model.general)
    first = (ws.close_start.size - 1) * model.radial_eta.size
    size = tile_size(model)
    # The standard set has a loop of its own.
    three = n_etas == 3 and model.degree == 4 and len(model.general) == 0
    for block in range(ws.block_start.size):
        factors = d[first + block * width :]
        for t in range(ws.block_start[block], ws.block_stop[block], _LANES):
            o = t // _LANES * size
            if three:
                tile_loops.three_backward(ws.tiles, o, model.angular_eta, factors, ws.triplets, t)
            else:
                any_backward(model, ws, factors, t, o)


@internal
def scatter_segment(ws: Workspace, span: tuple, j: Any) -> None:
    """Add the derivatives of one j's triplets in one block to both legs."""
    triplets, sums, xyz, legs = ws.triplets, ws.scatter, ws.close_xyz, ws.legs
    zero = sums.dtype.type(0.0)
    a = j * _FOUR
    x, y, z = xyz[a], xyz[a + _ONE], xyz[a + _TWO]
    fx, fy, fz, w_sum, d_sum, u_sum = zero, zero, zero, zero, zero, zero
    for t in range(span[0], span[1]):
        k = np.uint64(ws.triplet_k[t])
        b, e = t * _FOUR, k * _FOUR
        along, w, d, u = (
            triplets[b],
            triplets[b + _ONE],
            triplets[b + _TWO],
            triplets[b + _THREE],
        )
        inner = w * legs[k * _TWO + _ONE] + d
        own = inner + inner - u * legs[k * _TWO]
        fx += along * xyz[e]
        fy += along * xyz[e + _ONE]
        fz += along * xyz[e + _TWO]
        w_sum += w
        d_sum += d
        u_sum += u
        sums[e] += along * x
        sums[e + _ONE] += along * y
        sums[e + _TWO] += along * z
        sums[e + _THREE] += own
    inner = w_sum * legs[j * _TWO + _ONE] + d_sum
    sums[a] += fx
    sums[a + _ONE] += fy
    sums[a + _TWO] += fz
    sums[a + _THREE] += inner + inner - u_sum * legs[j * _TWO]


@internal
def scatter_triplets(ws: Workspace) -> None:
    """
    Sum the triplets' derivatives over the neighbours they belong to.

    Each neighbour collects a vector, and the factor of its own vector.
    """
    starts = ws.close_start
    n_elements = starts.size - 1
    for i in range(4 * starts[n_elements]):
        ws.scatter[i] = 0.0
    block = 0
    for ea in range(n_elements):
        for eb in range(ea, n_elements):
            first = np.uint64(starts[eb])
            for j in range(first, np.uint64(starts[eb + 1])):
                begin, end = ws.segments[block, j - first, 0], ws.segments[block, j - first, 1]
                if begin < end:
                    scatter_segment(ws, (begin, end), j)
            block += 1
