"""One atom at a time: environment, moments, network, and the way back to forces.

Everything of one centre stays in the first two cache levels. Triplets are compressed to those
within the angular cutoff and ordered by element pair, so that each step is a loop over contiguous
numbers. Nothing of the size of dG/dR is ever formed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnp import loops
from nnp.compiled import internal
from nnp.repulsion import pair_repulsion
from nnp.triplets import angular_moments, scatter_triplets, triplet_backward, triplet_forward
from nnp.workspace import (
    ARGUMENT,
    CR2,
    CUT,
    DX,
    DY,
    DZ,
    FX,
    FY,
    FZ,
    PULL,
    R2,
    SLOPE,
    SMALLEST_R2,
    Model,
    Workspace,
)


@internal
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


@internal
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


@internal
def radial_argument(r2: NDArray, shift: float, out: NDArray, n: int) -> None:
    """(r - Rs)² in Å²."""
    s = out.dtype.type(shift)
    for i in range(n):
        x = np.sqrt(r2[i]) - s
        out[i] = x * x


@internal
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


@internal
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


@internal
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


@internal
def scale_vectors(near: NDArray, n: int) -> None:
    """Force rows: the pull times the vector to each neighbour."""
    dx, dy, dz, pull = near[DX], near[DY], near[DZ], near[PULL]
    fx, fy, fz = near[FX], near[FY], near[FZ]
    for i in range(n):
        fx[i] = pull[i] * dx[i]
        fy[i] = pull[i] * dy[i]
        fz[i] = pull[i] * dz[i]


@internal
def add_close(ws: Workspace) -> None:
    """Add the angular part to the force rows of the near neighbours."""
    near, sums, xyz = ws.near, ws.scatter, ws.close_xyz
    fx, fy, fz = near[FX], near[FY], near[FZ]
    for m in range(ws.close_start[ws.close_start.size - 1]):
        o = ws.close_near[m]
        fx[o] += sums[m, 3] * xyz[m, 0] + sums[m, 0]
        fy[o] += sums[m, 3] * xyz[m, 1] + sums[m, 1]
        fz[o] += sums[m, 3] * xyz[m, 2] + sums[m, 2]


@internal
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


@internal
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


@internal
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
