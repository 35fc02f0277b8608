"""
One atom at a time: environment, moments, network, and the way back to forces.

Everything of one centre stays in the first two cache levels. Triplets are compressed to those
within the angular cutoff and ordered by element pair, so that each step is a loop over contiguous
numbers. Nothing of the size of dG/dR is ever formed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.kernels import tile_loops
from nnp.kernels.compilation import internal
from nnp.kernels.layers import energies_and_gradients
from nnp.kernels.repulsion import pair_repulsion
from nnp.kernels.triplets import angular_forward, scatter_triplets, tile_of, triplet_backward
from nnp.kernels.workspace import (
    GROUP,
    LANES,
    PULL,
    RADIAL,
    SMALLEST_R2,
    Model,
    Workspace,
)

_LANES = np.uint64(LANES)
_GROUP = np.uint64(GROUP)
_ZERO, _ONE, _TWO, _THREE, _FOUR = (np.uint64(k) for k in range(5))


@internal
def tile_size(model: Model) -> Any:
    """Length of a tile of near neighbours."""
    groups = (np.uint64(model.radial_eta.size) + _GROUP - _ONE) // _GROUP
    return RADIAL + groups * _GROUP * _LANES


@internal
def gather_neighbors(row: tuple, point: tuple, radial2: float, ws: Workspace) -> None:
    """
    Collect the neighbours of one atom within the radial cutoff.

    Parameters
    ----------
    row : tuple
        (starts, atoms, images, first atom of the structure) of the neighbour list.
    point : tuple
        (wrapped points of the structure, index of the centre among them, translations).
    radial2 : float
        Squared cutoff in Å².
    ws : Workspace
        Where to.
    """
    starts, atoms, images, first = row
    points, centre, translations = point
    near, near_atom = ws.near, ws.near_atom
    x, y, z = points[centre, 0], points[centre, 1], points[centre, 2]
    o = _ZERO
    ws.near_start[0] = 0
    for e in range(starts.size - 1):
        ws.near_slot[e] = o
        begin = o
        # All are written, and the end moves on if one is wanted: no branch to mispredict.
        for p in range(starts[e], starts[e + 1]):
            j = atoms[p]
            k, t = j - first, images[p]
            dx = points[k, 0] + translations[t, 0] - x
            dy = points[k, 1] + translations[t, 1] - y
            dz = points[k, 2] + translations[t, 2] - z
            d2 = dx * dx + dy * dy + dz * dz
            a = o * _FOUR
            near[a] = dx
            near[a + _ONE] = dy
            near[a + _TWO] = dz
            near[a + _THREE] = max(d2, SMALLEST_R2)
            near_atom[o] = j
            o += _ONE if d2 < radial2 else _ZERO
        ws.near_start[e + 1] = ws.near_start[e] + np.int64(o - begin)
        end = (o + _LANES - _ONE) // _LANES * _LANES
        fill_tile(near, o, end, radial2)
        o = end
    ws.near_slot[starts.size - 1] = o


@internal
def fill_tile(vectors: NDArray, begin: Any, end: Any, r2: float) -> None:
    """Fill a tile begun with neighbours at the cutoff, which count for nothing."""
    for k in range(begin, end):
        vectors[k * _FOUR] = 0.0
        vectors[k * _FOUR + _ONE] = 0.0
        vectors[k * _FOUR + _TWO] = 0.0
        vectors[k * _FOUR + _THREE] = r2


@internal
def select_close(ws: Workspace, angular2: float) -> None:
    """Collect those of the near neighbours that are within the angular cutoff."""
    near, xyz = ws.near, ws.close_xyz
    limit = near.dtype.type(angular2)
    a = _ZERO
    for e in range(ws.near_start.size - 1):
        ws.close_start[e] = np.int64(a)
        first = ws.near_slot[e]
        for o in range(first, first + np.uint64(ws.near_start[e + 1] - ws.near_start[e])):
            b, c = o * _FOUR, a * _FOUR
            dx, dy, dz, r2 = near[b], near[b + _ONE], near[b + _TWO], near[b + _THREE]
            xyz[c] = dx
            xyz[c + _ONE] = dy
            xyz[c + _TWO] = dz
            xyz[c + _THREE] = r2
            ws.close_near[a] = o
            a += _ONE if r2 < limit else _ZERO
    ws.close_start[ws.near_start.size - 1] = np.int64(a)
    fill_tile(xyz, a, (a + _LANES - _ONE) // _LANES * _LANES, angular2)


@internal
def add_repulsion(ws: Workspace, size: Any, repulsion: NDArray) -> float:
    """Half the repulsive energy of one atom in eV; its derivative goes into the pulls."""
    energy = 0.0
    for e in range(ws.near_start.size - 1):
        core2 = repulsion[e, 0]
        if core2 <= 0.0:
            continue
        first = ws.near_slot[e]
        for o in range(first, first + np.uint64(ws.near_start[e + 1] - ws.near_start[e])):
            r2 = ws.near[o * _FOUR + _THREE]
            if r2 < core2:
                r = np.sqrt(r2)
                value, slope = pair_repulsion(r, repulsion[e])
                energy += 0.5 * value
                tile, lane = tile_of(o, size)
                ws.radial[tile + PULL + lane] = 0.5 * slope / r
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
def radial_forward(model: Model, ws: Workspace, m: NDArray) -> None:
    """Moments of all G2; leaves exp(...) fc of each in the tiles."""
    n_radial = model.radial_eta.size
    size = tile_size(model)
    inverse2 = 1.0 / model.radial_cutoff**2
    etas, sums = ws.radial_etas, ws.radial_sums
    for e in range(ws.near_start.size - 1):
        part = m[e * n_radial : (e + 1) * n_radial]
        for s in range(sums.size):
            sums[s] = 0.0
        for s in range(n_radial):
            part[s] = 0.0
        for slot in range(ws.near_slot[e], ws.near_slot[e + 1], _LANES):
            o = slot // _LANES * size
            tile_loops.near_tile(ws.near, slot, ws.radial, o, inverse2, model.cutoff_q)
            for s in range(0, sums.size, GROUP):
                g = o + RADIAL + np.uint64(s) * _LANES
                tile_loops.radial_sums(ws.radial, o, g, etas[s:], sums[s:])
            for s in range(n_radial):
                if model.radial_shift[s] != 0.0:
                    g = o + RADIAL + np.uint64(s) * _LANES
                    eta, shift = model.radial_eta[s], model.radial_shift[s]
                    part[s] += tile_loops.shifted_sum(ws.radial, o, g, eta, shift)
        for s in range(n_radial):
            if model.radial_shift[s] == 0.0:
                part[s] = sums[s]


@internal
def radial_weights(model: Model, d: NDArray, e: int, weights: NDArray) -> bool:
    """Factors of one element's radial functions by groups; whether any of them is shifted."""
    n_radial = model.radial_eta.size
    shifted = False
    for s in range(n_radial):
        group, k = s // GROUP * (3 * GROUP), s % GROUP
        w = d[e * n_radial + s]
        w += w
        weights[group + k] = w
        weights[group + GROUP + k] = w * model.radial_eta[s]
        weights[group + 2 * GROUP + k] = w * model.radial_eta[s] * model.radial_shift[s]
        shifted = shifted or model.radial_shift[s] != 0.0
    return shifted


@internal
def radial_backward(model: Model, ws: Workspace, d: NDArray) -> None:
    """From dE/dG2 to a pull along each neighbour's vector, in the row ``PULL``."""
    size = tile_size(model)
    for e in range(ws.near_start.size - 1):
        shifted = radial_weights(model, d, e, ws.radial_weights)
        for slot in range(ws.near_slot[e], ws.near_slot[e + 1], _LANES):
            o = slot // _LANES * size
            for group in range(ws.radial_weights.size // (3 * GROUP)):
                g = o + RADIAL + np.uint64(group) * _GROUP * _LANES
                weights = ws.radial_weights[3 * GROUP * group :]
                tile_loops.radial_pull(ws.radial, o, g, weights)
                if shifted:
                    tile_loops.shifted_pull(ws.radial, o, g, weights[2 * GROUP :])


@internal
def near_forces(model: Model, ws: Workspace) -> None:
    """Derivatives with respect to the vectors to all neighbours: radial, then angular part."""
    size = tile_size(model)
    near, force, sums = ws.near, ws.near_force, ws.scatter
    n_elements = ws.near_start.size - 1
    for o in range(ws.near_slot[n_elements]):
        tile, lane = tile_of(o, size)
        pull = ws.radial[tile + PULL + lane]
        a = o * _FOUR
        force[a] = pull * near[a]
        force[a + _ONE] = pull * near[a + _ONE]
        force[a + _TWO] = pull * near[a + _TWO]
    for m in range(np.uint64(ws.close_start[n_elements])):
        a, b = ws.close_near[m] * _FOUR, m * _FOUR
        pull = sums[b + _THREE]
        force[a] += pull * near[a] + sums[b]
        force[a + _ONE] += pull * near[a + _ONE] + sums[b + _ONE]
        force[a + _TWO] += pull * near[a + _TWO] + sums[b + _TWO]


@internal
def add_forces(
    i: int, weight: float, model: Model, ws: Workspace, forces: NDArray, virial: NDArray
) -> None:
    """Add one centre's derivatives, so many times, to forces in eV/Å and the virial in eV."""
    near_forces(model, ws)
    near, force = ws.near, ws.near_force
    x, y, z = 0.0, 0.0, 0.0
    xx, yy, zz, yz, xz, xy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for e in range(ws.near_start.size - 1):
        first = ws.near_slot[e]
        for o in range(first, first + np.uint64(ws.near_start[e + 1] - ws.near_start[e])):
            a, j = o * _FOUR, ws.near_atom[o]
            dx, dy, dz = near[a], near[a + _ONE], near[a + _TWO]
            gx, gy, gz = weight * force[a], weight * force[a + _ONE], weight * force[a + _TWO]
            forces[j, 0] -= gx
            forces[j, 1] -= gy
            forces[j, 2] -= gz
            x += gx
            y += gy
            z += gz
            xx += gx * dx
            yy += gy * dy
            zz += gz * dz
            yz += gy * dz
            xz += gx * dz
            xy += gx * dy
    forces[i, 0] += x
    forces[i, 1] += y
    forces[i, 2] += z
    virial[0, 0] += xx
    virial[1, 1] += yy
    virial[2, 2] += zz
    virial[1, 2] += yz
    virial[0, 2] += xz
    virial[0, 1] += xy


@internal
def fill_moments(row: tuple, point: tuple, ty: int, model: Model, ws: Workspace) -> float:
    """Moments of one atom in ``ws.moments``; returns half its repulsive energy in eV."""
    gather_neighbors(row, point, model.radial_cutoff**2, ws)
    radial_forward(model, ws, ws.moments)
    select_close(ws, model.angular_cutoff**2)
    if model.angular_eta.size > 0:
        angular_forward(model, ws, ws.moments)
    return add_repulsion(ws, tile_size(model), model.repulsion[ty])


@internal
def prepare(row: tuple, point: tuple, ty: int, model: Model, ws: Workspace) -> float:
    """Fill what the networks are fed with; returns half the atom's repulsive energy in eV."""
    core = fill_moments(row, point, ty, model, ws)
    moments, gradient, first = ws.moments, ws.gradient, ws.layers[0]
    origin = model.origin[ty]
    zero = gradient.dtype.type(0.0)
    for m in range(moments.size):
        gradient[m] = zero
    for m in range(origin.size):
        first[m] = moments[m] - origin[m]
    return core


@internal
def apply_networks(ty: int, model: Model, one: Workspace, two: Workspace, out: tuple) -> None:
    """Energies of two prepared atoms by each network; derivatives of the means in the spaces."""
    members, members2 = out
    n_members = model.weights.shape[1]
    first = (one.layers, one.layer_gradients, one.gradient)
    second = (two.layers, two.layer_gradients, two.gradient)
    for k in range(n_members):
        found = energies_and_gradients(model.sizes, model.weights[ty, k], first, second)
        members[k] += found[0]
        members2[k] += found[1]
    if n_members > 1:
        for m in range(one.gradient.size):
            one.gradient[m] /= n_members
            two.gradient[m] /= n_members


@internal
def add_derivatives(
    i: int, weight: float, model: Model, ws: Workspace, forces: NDArray, virial: NDArray
) -> None:
    """From one atom's derivative by the moments, ``weight`` times, to forces and the virial."""
    radial_backward(model, ws, ws.gradient)
    if model.angular_eta.size > 0:
        triplet_backward(model, ws, ws.gradient)
        scatter_triplets(ws)
    else:
        for m in range(4 * ws.close_start[ws.close_start.size - 1]):
            ws.scatter[m] = 0.0
    add_forces(i, weight, model, ws, forces, virial)
