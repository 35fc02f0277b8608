"""One atom at a time: environment, moments, network, and the way back to forces.

Everything of one centre stays in the first two cache levels. Triplets are compressed to those
within the angular cutoff and ordered by element pair, so that each step is a loop over contiguous
numbers. Nothing of the size of dG/dR is ever formed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnp import loops
from nnp.compiled import compiled
from nnp.repulsion import pair_repulsion

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


@compiled
def gather(
    row: tuple, point: tuple, ty: int, reach: tuple, repulsion: NDArray, near: tuple, close: tuple
) -> float:
    """Collect the neighbours of one atom; returns half its repulsive energy in eV.

    Parameters
    ----------
    row
        (starts, atoms, images, first atom of the structure) of the neighbour list.
    point
        (wrapped points of the structure, index of the centre among them, translations).
    ty
        Element of the centre.
    reach
        Squared radial and angular cutoffs in Å².
    repulsion
        Table of :class:`nnp.repulsion.Repulsion`.
    near, close
        Arrays of :class:`Workspace` to fill.
    """
    starts, atoms, images, first = row
    points, centre, translations = point
    radial2, angular2 = reach
    vectors, near_atom, near_start = near
    xyz, squared, close_near, close_start = close
    x, y, z = points[centre, 0], points[centre, 1], points[centre, 2]
    o = 0
    a = 0
    energy = 0.0
    for e in range(starts.size - 1):
        near_start[e] = o
        close_start[e] = a
        core2 = repulsion[ty, e, 0]
        for p in range(starts[e], starts[e + 1]):
            j = atoms[p] - first
            t = images[p]
            dx = points[j, 0] + translations[t, 0] - x
            dy = points[j, 1] + translations[t, 1] - y
            dz = points[j, 2] + translations[t, 2] - z
            d2 = dx * dx + dy * dy + dz * dz
            if d2 < radial2:
                d2 = max(d2, SMALLEST_R2)
                vectors[DX, o] = dx
                vectors[DY, o] = dy
                vectors[DZ, o] = dz
                vectors[R2, o] = d2
                vectors[PULL, o] = 0.0
                near_atom[o] = atoms[p]
                if d2 < core2:
                    value, slope = pair_repulsion(np.sqrt(d2), repulsion[ty, e])
                    energy += 0.5 * value
                    vectors[PULL, o] = 0.5 * slope / np.sqrt(d2)
                if d2 < angular2:
                    close_near[a] = o
                    xyz[a, 0] = dx
                    xyz[a, 1] = dy
                    xyz[a, 2] = dz
                    squared[a] = d2
                    a += 1
                o += 1
    near_start[starts.size - 1] = o
    close_start[starts.size - 1] = a
    return energy


@compiled
def count_close(n: int, atoms: NDArray, images: NDArray, point: tuple, angular2: float) -> int:
    """Neighbours of one atom within the angular cutoff, to see whether they fit."""
    first, centre, points, translations = point
    count = 0
    for p in range(n):
        d2 = 0.0
        for c in range(3):
            x = points[atoms[p] - first, c] + translations[images[p], c] - points[centre, c]
            d2 += x * x
        if d2 < angular2:
            count += 1
    return count


@compiled
def radial_argument(r2: NDArray, shift: float, out: NDArray, n: int) -> None:
    """(r - Rs)² in Å²."""
    s = out.dtype.type(shift)
    for i in range(n):
        x = np.sqrt(r2[i]) - s
        out[i] = x * x


@compiled
def radial_forward(
    model: Model, near: NDArray, starts: NDArray, radial: NDArray, m: NDArray
) -> None:
    """Moments of all G2; leaves exp(...) fc of each in ``radial``."""
    n_elements = starts.size - 1
    n = starts[n_elements]
    n_radial = model.radial_eta.size
    r2 = near[R2]
    cut = near[CUT]
    loops.cutoff(r2, 1.0 / model.radial_cutoff**2, model.cutoff_q, cut, near[SLOPE], n)
    for s in range(n_radial):
        g = radial[s]
        x = r2
        if model.radial_shift[s] != 0.0:
            x = near[ARGUMENT]
            radial_argument(r2, model.radial_shift[s], x, n)
        loops.exp_decay(x, model.radial_eta[s], model.radial_halvings[s], g, n)
        for e in range(n_elements):
            k = starts[e]
            m[e * n_radial + s] = loops.multiply_sum(g[k:], cut[k:], starts[e + 1] - k)


@compiled
def add_radial_slope(g: NDArray, near: tuple, d: float, rate: float, shift: float, n: int) -> None:
    """Add one G2's share of dE/d(r²), times two, to the pull of each neighbour."""
    r2, slope, pull = near
    real = pull.dtype.type
    factor = real(2.0 * d)
    eta = real(rate)
    if shift == 0.0:
        for i in range(n):
            pull[i] += factor * g[i] * (slope[i] - eta)
    else:
        s = real(shift)
        one = real(1.0)
        for i in range(n):
            pull[i] += factor * g[i] * (slope[i] - eta * (one - s / np.sqrt(r2[i])))


@compiled
def radial_backward(
    model: Model, near: NDArray, starts: NDArray, radial: NDArray, d: NDArray
) -> None:
    """From dE/dG2 to a pull along each neighbour's vector, in the row ``PULL``."""
    n_radial = model.radial_eta.size
    for e in range(starts.size - 1):
        k = starts[e]
        n = starts[e + 1] - k
        arrays = (near[R2][k:], near[SLOPE][k:], near[PULL][k:])
        for s in range(n_radial):
            rate, shift = model.radial_eta[s], model.radial_shift[s]
            add_radial_slope(radial[s][k:], arrays, d[e * n_radial + s], rate, shift, n)


@compiled
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


@compiled
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


@compiled
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


@compiled
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


@compiled
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


@compiled
def general_power(
    c: NDArray, zeta: float, sign: float, value: NDArray, slope: NDArray, n: int
) -> None:
    """(1 + lambda cos theta)^zeta and its derivative for a zeta that is no integer."""
    for i in range(n):
        base = max(1.0 + sign * c[i], 1e-12)
        power = base**zeta
        value[i] = power
        slope[i] = zeta * sign * power / base


@compiled
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


@compiled
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


@compiled
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


@compiled
def scale_vectors(near: NDArray, n: int) -> None:
    """Force rows: the pull times the vector to each neighbour."""
    dx, dy, dz, pull = near[DX], near[DY], near[DZ], near[PULL]
    fx, fy, fz = near[FX], near[FY], near[FZ]
    for i in range(n):
        fx[i] = pull[i] * dx[i]
        fy[i] = pull[i] * dy[i]
        fz[i] = pull[i] * dz[i]


@compiled
def add_close(ws: Workspace) -> None:
    """Add the angular part to the force rows of the near neighbours."""
    near, sums, xyz = ws.near, ws.scatter, ws.close_xyz
    fx, fy, fz = near[FX], near[FY], near[FZ]
    for m in range(ws.close_start[ws.close_start.size - 1]):
        o = ws.close_near[m]
        fx[o] += sums[m, 3] * xyz[m, 0] + sums[m, 0]
        fy[o] += sums[m, 3] * xyz[m, 1] + sums[m, 1]
        fz[o] += sums[m, 3] * xyz[m, 2] + sums[m, 2]


@compiled
def network(
    sizes: NDArray, flat: NDArray, layers: NDArray, gradients: NDArray, dx: NDArray
) -> float:
    """Energy of one network; adds dE/dx to ``dx``. The input is ``layers[0]``."""
    n_layers = sizes.size - 1
    o = 0
    for k in range(n_layers):
        n_in, n_out = sizes[k], sizes[k + 1]
        w = flat[o : o + n_in * n_out].reshape((n_out, n_in))
        o += n_in * n_out
        loops.affine(w, flat[o : o + n_out], layers[k], layers[k + 1])
        o += n_out
        if k < n_layers - 1:
            loops.tanh(layers[k + 1], n_out)
    energy = layers[n_layers, 0]
    one = layers.dtype.type(1.0)
    gradients[n_layers, 0] = one
    for k in range(n_layers - 1, -1, -1):
        n_in, n_out = sizes[k], sizes[k + 1]
        o -= n_out + n_in * n_out
        w = flat[o : o + n_in * n_out].reshape((n_out, n_in))
        if k == 0:
            loops.add_transposed(w, gradients[1], dx)
        else:
            g, a = gradients[k], layers[k]
            for m in range(n_in):
                g[m] = 0.0
            loops.add_transposed(w, gradients[k + 1], g)
            for m in range(n_in):
                g[m] *= one - a[m] * a[m]
    return energy


@compiled
def environment(row: tuple, point: tuple, ty: int, model: Model, ws: Workspace) -> float:
    """Moments of one atom in ``ws.moments``; returns half its repulsive energy in eV."""
    reach = (model.radial_cutoff**2, model.angular_cutoff**2)
    near = (ws.near, ws.near_atom, ws.near_start)
    close = (ws.close_xyz, ws.close[CR2], ws.close_near, ws.close_start)
    energy = gather(row, point, ty, reach, model.repulsion, near, close)
    radial_forward(model, ws.near, ws.near_start, ws.radial, ws.moments)
    if model.angular_eta.size > 0:
        triplet_forward(model, ws)
        angular_moments(model, ws, ws.moments)
    return energy


@compiled
def energy_and_pulls(
    row: tuple, point: tuple, ty: int, model: Model, ws: Workspace, members: NDArray
) -> None:
    """Energy of one atom in eV by each ensemble member; its derivatives in the force rows."""
    core = environment(row, point, ty, model, ws)
    moments, gradient, first = ws.moments, ws.gradient, ws.layers[0]
    origin = model.origin[ty]
    for m in range(moments.size):
        first[m] = moments[m] - origin[m]
        gradient[m] = 0.0
    n_members = model.weights.shape[1]
    for k in range(n_members):
        flat = model.weights[ty, k]
        value = network(model.sizes, flat, ws.layers, ws.layer_gradients, gradient)
        members[k] = value + core
    if n_members > 1:
        for m in range(gradient.size):
            gradient[m] /= n_members
    radial_backward(model, ws.near, ws.near_start, ws.radial, gradient)
    scale_vectors(ws.near, ws.near_start[ws.near_start.size - 1])
    if model.angular_eta.size > 0:
        triplet_backward(model, ws, gradient)
        scatter_triplets(ws)
        add_close(ws)
