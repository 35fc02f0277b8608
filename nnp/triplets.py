"""Angles at one atom: from close neighbours to moments, and back to derivatives.

Triplets are compressed to those within the angular cutoff and ordered by element pair, so that
each step is a loop over contiguous numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnp import loops
from nnp.compiled import internal
from nnp.workspace import (
    CCUT,
    COSINE,
    CR2,
    CSLOPE,
    CUTS,
    DECAY,
    DERIVATIVE,
    INVERSE,
    INVERSES,
    SEPARATION,
    SQUARES,
    TSLOPE,
    TURN,
    UX,
    UY,
    UZ,
    VALUE,
    WEIGHT,
    Model,
    R,
    Workspace,
)


@internal
def close_geometry(close: NDArray, xyz: NDArray, n: int) -> None:
    """Fill in unit vectors, distances and their inverses of the close neighbours."""
    for i in range(n):
        r = np.sqrt(close[CR2, i])
        inverse = close.dtype.type(1.0) / r
        close[R, i] = r
        close[INVERSE, i] = inverse
        close[UX, i] = xyz[i, 0] * inverse
        close[UY, i] = xyz[i, 1] * inverse
        close[UZ, i] = xyz[i, 2] * inverse


@internal
def pair_rows(close: NDArray, cosines: NDArray, separations: NDArray, n: int) -> None:
    """Write cos(theta) and r_jk² of all pairs k < j, as lower triangles."""
    x, y, z, r, r2 = close[UX], close[UY], close[UZ], close[R], close[CR2]
    for j in range(1, n):
        jx, jy, jz, j2 = x[j], y[j], z[j], r2[j]
        minus_two_r = -(r[j] + r[j])
        row_c, row_x = cosines[j], separations[j]
        for k in range(j):
            c = x[k] * jx + y[k] * jy + z[k] * jz
            row_c[k] = c
            row_x[k] = r2[k] + j2 + r[k] * minus_two_r * c


@internal
def select_triplets(separations: NDArray, starts: NDArray, cutoff2: float, found: tuple) -> None:
    """Keep the triplets with r_jk within the cutoff, ordered by element pair, then by j.

    ``found`` holds k of each triplet, where each j starts in each block, and the blocks' starts.
    """
    triplet_k, segments, block_start = found
    limit = separations.dtype.type(cutoff2)
    n_elements = starts.size - 1
    # Unsigned, so that no test for a negative index enters the innermost loop.
    t = np.uint64(0)
    one, zero = np.uint64(1), np.uint64(0)
    block = 0
    for ea in range(n_elements):
        for eb in range(ea, n_elements):
            block_start[block] = t
            first = np.uint64(starts[ea])
            for j in range(starts[eb], starts[eb + 1]):
                segments[block, j - starts[eb]] = t
                row = separations[j]
                for k in range(first, np.uint64(min(j, starts[ea + 1]))):
                    triplet_k[t] = k
                    t += one if row[k] < limit else zero
            segments[block, starts[eb + 1] - starts[eb]] = t
            block += 1
    block_start[block] = t


@internal
def gather_triplets(
    rows: tuple, starts: NDArray, close: NDArray, found: tuple, arrays: NDArray
) -> None:
    """Bring what a triplet takes from its two legs into contiguous arrays."""
    cosines, separations = rows
    triplet_k, segments, _ = found
    cosine, separation = arrays[COSINE], arrays[SEPARATION]
    squares, inverses, cuts = arrays[SQUARES], arrays[INVERSES], arrays[CUTS]
    r2, inverse, cut = close[CR2], close[INVERSE], close[CCUT]
    n_elements = starts.size - 1
    block = 0
    for ea in range(n_elements):
        for eb in range(ea, n_elements):
            for j in range(starts[eb], starts[eb + 1]):
                local = j - starts[eb]
                j2, ji, jc = r2[j], inverse[j], cut[j]
                row_c, row_x = cosines[j], separations[j]
                begin = np.uint64(segments[block, local])
                for t in range(begin, np.uint64(segments[block, local + 1])):
                    k = triplet_k[t]
                    x = row_x[k]
                    cosine[t] = row_c[k]
                    separation[t] = x
                    squares[t] = x + r2[k] + j2
                    inverses[t] = inverse[k] * ji
                    cuts[t] = cut[k] * jc
            block += 1


@internal
def triplet_forward(model: Model, ws: Workspace) -> int:
    """Everything about triplets up to e^(-eta S) F; returns their number."""
    n = ws.close_start[ws.close_start.size - 1]
    inverse2 = 1.0 / model.angular_cutoff**2
    close, arrays = ws.close, ws.triplets
    close_geometry(close, ws.close_xyz, n)
    loops.cutoff(close[CR2], inverse2, model.cutoff_q, close[CCUT], close[CSLOPE], n)
    pair_rows(close, ws.row_cosine, ws.row_separation, n)
    found = (ws.triplet_k, ws.segments, ws.block_start)
    rows = (ws.row_cosine, ws.row_separation)
    select_triplets(ws.row_separation, ws.close_start, model.angular_cutoff**2, found)
    gather_triplets(rows, ws.close_start, close, found, arrays)
    total = ws.block_start[ws.block_start.size - 1]
    value, slope = arrays[VALUE], arrays[TSLOPE]
    loops.cutoff(arrays[SEPARATION], inverse2, model.cutoff_q, value, slope, total)
    loops.multiply(arrays[CUTS], value, total)
    for s in range(model.angular_eta.size):
        g = ws.decays[s]
        loops.exp_decay(arrays[SQUARES], model.angular_eta[s], model.angular_halvings[s], g, total)
        loops.multiply(g, arrays[CUTS], total)
    return total


@internal
def general_power(
    c: NDArray, zeta: float, sign: float, value: NDArray, slope: NDArray, n: int
) -> None:
    """(1 + lambda cos theta)^zeta and its derivative for a zeta that is no integer."""
    for i in range(n):
        base = max(1.0 + sign * c[i], 1e-12)
        power = base**zeta
        value[i] = power
        slope[i] = zeta * sign * power / base


@internal
def angular_moments(model: Model, ws: Workspace, m: NDArray) -> None:
    """Moments of all G4, from the triplets."""
    n_powers = model.degree + 1
    n_etas = model.angular_eta.size
    size = n_etas * n_powers + len(model.general)
    first = (ws.close_start.size - 1) * model.radial_eta.size
    cosine, value, slope = ws.triplets[COSINE], ws.triplets[VALUE], ws.triplets[DERIVATIVE]
    for block in range(ws.block_start.size - 1):
        t = ws.block_start[block]
        n = ws.block_start[block + 1] - t
        o = first + block * size
        c = cosine[t:]
        for s in range(n_etas):
            out = m[o + s * n_powers :]
            loops.moments(ws.decays[s][t:], c, out, value, model.degree, n)
        for g in range(len(model.general)):
            s = int(model.general[g, 0])
            general_power(c, model.general[g, 1], model.general[g, 2], value, slope, n)
            m[o + n_etas * n_powers + g] = loops.dot(ws.decays[s][t:], value, n)


@internal
def triplet_backward(model: Model, ws: Workspace, d: NDArray) -> None:
    """From dE/d(moments) to the triplets' derivatives, left in the arrays of the triplets.

    Afterwards ``VALUE`` is dE/d(d_j . d_k), and ``WEIGHT``, ``DECAY``, ``TURN`` are what
    :func:`loops.finish_backward` says.
    """
    n_powers = model.degree + 1
    n_etas = model.angular_eta.size
    size = n_etas * n_powers + len(model.general)
    first = (ws.close_start.size - 1) * model.radial_eta.size
    arrays = ws.triplets
    total = ws.block_start[ws.block_start.size - 1]
    sums = (arrays[WEIGHT], arrays[DECAY], arrays[TURN])
    loops.clear(sums, total)
    for block in range(ws.block_start.size - 1):
        t = ws.block_start[block]
        n = ws.block_start[block + 1] - t
        if n == 0:
            continue
        o = first + block * size
        c, p, q = arrays[COSINE][t:], arrays[VALUE][t:], arrays[DERIVATIVE][t:]
        part = (arrays[WEIGHT][t:], arrays[DECAY][t:], arrays[TURN][t:])
        for s in range(n_etas):
            factors = d[o + s * n_powers :]
            if model.degree == 4:
                loops.add_backward4(ws.decays[s][t:], model.angular_eta[s], factors, c, part, n)
            else:
                loops.polynomial(factors, c, p, q, model.degree, n)
                loops.add_backward(ws.decays[s][t:], model.angular_eta[s], p, q, part, n)
        for g in range(len(model.general)):
            s = int(model.general[g, 0])
            general_power(c, model.general[g, 1], model.general[g, 2], p, q, n)
            loops.scale_two(p, q, d[o + n_etas * n_powers + g], n)
            loops.add_backward(ws.decays[s][t:], model.angular_eta[s], p, q, part, n)
    loops.finish_backward(
        sums, arrays[TSLOPE], arrays[COSINE], arrays[INVERSES], arrays[VALUE], total
    )


@internal
def scatter_triplets(ws: Workspace) -> None:
    """Sum the triplets' derivatives over the neighbours they belong to.

    Each neighbour collects a vector, and the factor of its own vector; the four numbers of one
    neighbour lie side by side.
    """
    starts, arrays, sums, xyz = ws.close_start, ws.triplets, ws.scatter, ws.close_xyz
    slopes, inverse = ws.close[CSLOPE], ws.close[INVERSE]
    n_elements = starts.size - 1
    zero = sums.dtype.type(0.0)
    for i in range(starts[n_elements]):
        for c in range(4):
            sums[i, c] = zero
    along, weight = arrays[VALUE], arrays[WEIGHT]
    decay, turn = arrays[DECAY], arrays[TURN]
    block = 0
    for ea in range(n_elements):
        for eb in range(ea, n_elements):
            for j in range(starts[eb], starts[eb + 1]):
                x, y, z = xyz[j, 0], xyz[j, 1], xyz[j, 2]
                fx, fy, fz, w_sum, d_sum, u_sum = zero, zero, zero, zero, zero, zero
                begin = np.uint64(ws.segments[block, j - starts[eb]])
                for t in range(begin, np.uint64(ws.segments[block, j - starts[eb] + 1])):
                    k = ws.triplet_k[t]
                    a, w, d, u = along[t], weight[t], decay[t], turn[t]
                    inner = w * slopes[k] + d
                    fx += a * xyz[k, 0]
                    fy += a * xyz[k, 1]
                    fz += a * xyz[k, 2]
                    w_sum += w
                    d_sum += d
                    u_sum += u
                    sums[k, 0] += a * x
                    sums[k, 1] += a * y
                    sums[k, 2] += a * z
                    sums[k, 3] += inner + inner - u * inverse[k] * inverse[k]
                own = w_sum * slopes[j] + d_sum
                sums[j, 0] += fx
                sums[j, 1] += fy
                sums[j, 2] += fz
                sums[j, 3] += own + own - u_sum * inverse[j] * inverse[j]
            block += 1
