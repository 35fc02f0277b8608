"""
Products with the Jacobian of the moments: forces, and the gradient of the force loss.

Forces are linear in the network's input gradients, and the gradient of the force loss is linear
in the force residuals, through the same matrix. It is large, and reading it costs more than the
arithmetic of one network: four networks are served by each reading, their numbers side by side as
:mod:`nnp.kernels.lanes` wants them. Each is computed on its own, so that a network gets the same
numbers whichever others are there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.kernels.compilation import compiled, internal
from nnp.kernels.lanes import LANES, add_three_dots, add_three_rows, move, pull, push, spread
from nnp.training.jacobian import Jacobian

# Offsets are unsigned: a signed index would bring a test for negative values into the loops.
_ZERO, _ONE, _TWO, _THREE, _FOUR = (np.uint64(k) for k in range(5))
_EIGHT, _TWELVE, _SIXTEEN = np.uint64(8), np.uint64(12), np.uint64(16)


@compiled
def vector_jacobian_products(
    jacobian: Jacobian,
    structures: NDArray,
    rows: NDArray,
    gradients: NDArray,
    forces: NDArray,
    virials: NDArray,
) -> None:
    """
    Turn dE/dM of each atom into forces and virials, for several networks at once.

    Parameters
    ----------
    jacobian : Jacobian
        dM/dr.
    structures : ndarray of int
        Which structures of it, shape (n_structures,).
    rows : ndarray of int
        Row of each of their atoms, one structure after the other, in the arrays below.
    gradients : ndarray
        dE/dM of each network, shape (n_members, n_rows, n_columns), single precision. Its columns
        are those of :func:`nnp.training.jacobian.moment_columns`.
    forces : ndarray
        Added to: eV/Å, shape (n_groups, n_rows, 3 * LANES), a component's lanes side by side,
        single precision.
    virials : ndarray
        Added to: eV, shape (n_groups, n_structures, 6 * LANES), sum of d ⊗ dE/dd in the order
        xx, yy, zz, yz, xz, xy.
    """
    scratch = allocate(jacobian, gradients.shape[2])
    flat = flattened(jacobian)
    for g in range(forces.shape[0]):
        group = gradients[LANES * g : LANES * (g + 1)]
        clear(scratch[0])
        shift = 0
        for n in range(structures.size):
            first, last = jacobian.first[structures[n]], jacobian.first[structures[n] + 1]
            for i in range(first, last):
                gather_lanes(group, rows[shift + i - first], scratch[0])
                pair_derivatives(jacobian, flat, i, scratch)
                place = (rows, shift - first)
                scatter_pairs(
                    jacobian, flat, i, place, scratch, forces[g].reshape(-1), virials[g, n]
                )
            shift += last - first


@compiled
def jacobian_vector_products(
    jacobian: Jacobian,
    structures: NDArray,
    rows: NDArray,
    displacements: NDArray,
    strains: NDArray,
    out: NDArray,
) -> None:
    """
    Change of the moments when atoms move and cells are strained, for several networks at once.

    Parameters
    ----------
    jacobian : Jacobian
        As in :func:`vector_jacobian_products`.
    structures, rows : ndarray of int
        As in :func:`vector_jacobian_products`.
    displacements : ndarray
        Of each atom, shape (n_groups, n_rows, 3 * LANES), single precision.
    strains : ndarray
        Symmetric e with d -> d + e @ d on top, in the order of the virials, shape
        (n_groups, n_structures, 6 * LANES), single precision.
    out : ndarray
        Written: shape (n_members, n_rows, n_columns).
    """
    scratch = allocate(jacobian, out.shape[2])
    flat = flattened(jacobian)
    for g in range(displacements.shape[0]):
        group = out[LANES * g : LANES * (g + 1)]
        shift = 0
        for n in range(structures.size):
            first, last = jacobian.first[structures[n]], jacobian.first[structures[n] + 1]
            for i in range(first, last):
                place = (rows, shift - first)
                pair_steps(jacobian, i, place, displacements[g], strains[g, n], scratch[2])
                moment_changes(jacobian, flat, i, scratch)
                scatter_lanes(scratch[0], rows[shift + i - first], group)
            shift += last - first


@internal
def allocate(jacobian: Jacobian, n_columns: int) -> tuple:
    """Scratch: moments of an atom, the angular ones of an element's neighbours, pairs, sums."""
    n_elements = jacobian.near_start.shape[1] - 1
    most = 0
    for i in range(jacobian.near_start.shape[0]):
        most = max(most, jacobian.near_start[i, n_elements] - jacobian.near_start[i, 0])
    return (
        np.zeros(LANES * n_columns, dtype=np.float32),
        np.zeros(LANES * jacobian.angular.shape[2], dtype=np.float32),
        np.zeros(3 * LANES * most, dtype=np.float32),
        np.zeros(9 * LANES, dtype=np.float32),
    )


@internal
def flattened(jacobian: Jacobian) -> tuple:
    """Radial and angular derivatives and vectors as :mod:`nnp.kernels.lanes` wants them."""
    radial, angular = jacobian.radial.reshape(-1), jacobian.angular.reshape(-1)
    return radial, angular, jacobian.near_vector.reshape(-1)


@internal
def pair_derivatives(jacobian: Jacobian, flat: tuple, i: int, scratch: tuple) -> None:
    """From dE/dM of one centre to dE/dd of each vector to a neighbour, all in ``scratch``."""
    all_radial, all_angular, vectors = flat
    moments, angular, pairs, _ = scratch
    n_elements = jacobian.near_start.shape[1] - 1
    begin = jacobian.near_start[i, 0]
    n, wide = np.uint64(jacobian.radial.shape[1]), np.uint64(jacobian.angular.shape[2])
    for e in range(n_elements):
        radial = moments[LANES * e * jacobian.radial.shape[1] :]
        for p in range(jacobian.near_start[i, e], jacobian.near_start[i, e + 1]):
            u, o = np.uint64(p), np.uint64(p - begin) * _TWELVE
            pull(all_radial, u * n, n, radial, vectors, _THREE * u, pairs, o)
        gather_blocks(jacobian, e, moments, angular)
        for q in range(jacobian.close_start[i, e], jacobian.close_start[i, e + 1]):
            o = np.uint64(jacobian.close_near[q] - begin) * _TWELVE
            add_three_dots(all_angular, np.uint64(q) * _THREE * wide, wide, angular, pairs, o)


@internal
def scatter_pairs(
    jacobian: Jacobian,
    flat: tuple,
    i: int,
    place: tuple,
    scratch: tuple,
    forces: NDArray,
    virial: NDArray,
) -> None:
    """Add dE/dd of one centre's pairs to forces, and their sum to the virial, which is double."""
    rows, shift = place
    sums = scratch[3]
    span = (jacobian.near_start[i, 0], jacobian.near_start[i, -1])
    spread(scratch[2], flat[2], jacobian.near_atom, span, rows, shift, forces, sums)
    own = LANES * 3 * rows[shift + i]
    for m in range(3 * LANES):
        forces[own + m] += sums[m]
    for m in range(6 * LANES):
        virial[m] += sums[3 * LANES + m]


@internal
def pair_steps(
    jacobian: Jacobian,
    i: int,
    place: tuple,
    displacements: NDArray,
    strain: NDArray,
    pairs: NDArray,
) -> None:
    """Change of the vector from one centre to each neighbour."""
    rows, shift = place
    begin, end = jacobian.near_start[i, 0], jacobian.near_start[i, -1]
    own = displacements[rows[shift + i]]
    x, y, z = load(own, _ZERO), load(own, _FOUR), load(own, _EIGHT)
    xx, yy, zz = load(strain, _ZERO), load(strain, _FOUR), load(strain, _EIGHT)
    yz = load(strain, _THREE * _FOUR)
    xz, xy = load(strain, _FOUR * _FOUR), load(strain, _FOUR * _FOUR + _FOUR)
    for p in range(begin, end):
        o = np.uint64(p - begin) * _TWELVE
        other = displacements[rows[shift + jacobian.near_atom[p]]]
        vector = jacobian.near_vector[p]
        dx, dy, dz = vector[0], vector[1], vector[2]
        by_strain = plus(plus(times(dx, xx), times(dy, xy)), times(dz, xz))
        save(plus(minus(load(other, _ZERO), x), by_strain), pairs, o)
        by_strain = plus(plus(times(dx, xy), times(dy, yy)), times(dz, yz))
        save(plus(minus(load(other, _FOUR), y), by_strain), pairs, o + _FOUR)
        by_strain = plus(plus(times(dx, xz), times(dy, yz)), times(dz, zz))
        save(plus(minus(load(other, _EIGHT), z), by_strain), pairs, o + _EIGHT)


@internal
def moment_changes(jacobian: Jacobian, flat: tuple, i: int, scratch: tuple) -> None:
    """From the changes of one centre's vectors to those of its moments, all in ``scratch``."""
    all_radial, all_angular, vectors = flat
    moments, angular, pairs, _ = scratch
    n_elements = jacobian.near_start.shape[1] - 1
    begin = jacobian.near_start[i, 0]
    n, wide = np.uint64(jacobian.radial.shape[1]), np.uint64(jacobian.angular.shape[2])
    clear(moments)
    for e in range(n_elements):
        clear(angular)
        for q in range(jacobian.close_start[i, e], jacobian.close_start[i, e + 1]):
            o = np.uint64(jacobian.close_near[q] - begin) * _TWELVE
            add_three_rows(all_angular, np.uint64(q) * _THREE * wide, wide, pairs, o, angular)
        scatter_blocks(jacobian, e, angular, moments)
        span = (jacobian.near_start[i, e], jacobian.near_start[i, e + 1])
        o = np.uint64(span[0] - begin) * _TWELVE
        push(all_radial, n, vectors, span, pairs, o, moments, np.uint64(LANES * e) * n)


@internal
def gather_lanes(gradients: NDArray, row: int, lanes: NDArray) -> None:
    """Put one row of every network side by side, see :mod:`nnp.kernels.lanes`."""
    for k in range(gradients.shape[0]):
        source = gradients[k, row]
        o = np.uint64(LANES * k)
        for m in range(0, source.size, LANES):
            move(source, np.uint64(m), lanes, o)
            o += _SIXTEEN


@internal
def scatter_lanes(lanes: NDArray, row: int, out: NDArray) -> None:
    """Undo :func:`gather_lanes`."""
    for k in range(out.shape[0]):
        target = out[k, row]
        o = np.uint64(LANES * k)
        for m in range(0, target.size, LANES):
            move(lanes, o, target, np.uint64(m))
            o += _SIXTEEN


@internal
def gather_blocks(jacobian: Jacobian, e: int, moments: NDArray, angular: NDArray) -> None:
    """Line up the blocks a neighbour of element ``e`` touches."""
    n_elements = len(jacobian.pair_block)
    size = angular.size // n_elements
    first = LANES * n_elements * jacobian.radial.shape[1]
    for other in range(n_elements):
        o = first + jacobian.pair_block[e, other] * size
        source, target = moments[o : o + size], angular[other * size : (other + 1) * size]
        for m in range(size):
            target[m] = source[m]


@internal
def scatter_blocks(jacobian: Jacobian, e: int, angular: NDArray, moments: NDArray) -> None:
    """Undo :func:`gather_blocks`, adding."""
    n_elements = len(jacobian.pair_block)
    size = angular.size // n_elements
    first = LANES * n_elements * jacobian.radial.shape[1]
    for other in range(n_elements):
        o = first + jacobian.pair_block[e, other] * size
        source, target = angular[other * size : (other + 1) * size], moments[o : o + size]
        for m in range(size):
            target[m] += source[m]


@internal
def clear(array: NDArray) -> None:
    """Zero a vector."""
    for m in range(array.size):
        array[m] = 0.0


@internal
def load(array: NDArray, o: Any) -> tuple:
    """Give the lanes at an offset."""
    return array[o], array[o + _ONE], array[o + _TWO], array[o + _THREE]


@internal
def save(lanes: tuple, array: NDArray, o: Any) -> None:
    """Write the lanes at an offset."""
    array[o] = lanes[0]
    array[o + _ONE] = lanes[1]
    array[o + _TWO] = lanes[2]
    array[o + _THREE] = lanes[3]


@internal
def times(x: Any, a: tuple) -> tuple:
    """One factor for all lanes."""
    return x * a[0], x * a[1], x * a[2], x * a[3]


@internal
def plus(a: tuple, b: tuple) -> tuple:
    """Add lane by lane."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


@internal
def minus(a: tuple, b: tuple) -> tuple:
    """Subtract lane by lane."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]
