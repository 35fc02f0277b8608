"""
Products with the Jacobian of the moments: forces, and the gradient of the force loss.

Forces are linear in the network's input gradients, and the gradient of the force loss is linear
in the force residuals, through the same matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.kernels.compilation import compiled, internal
from nnp.kernels.tile_loops import clear_cube, clear_table
from nnp.training.jacobian import Jacobian


@compiled
def vector_jacobian_product(
    jacobian: Jacobian, structures: NDArray, gradient: NDArray, forces: NDArray, virials: NDArray
) -> None:
    """
    Turn dE/dM of each atom into forces and virials.

    Parameters
    ----------
    structures : ndarray
        Which structures; arrays below hold their atoms one after the other.
    gradient : ndarray
        dE/dM, shape (n_atoms, n_moments), single precision.
    forces, virials : ndarray
        Written: eV/Å (n_atoms, 3), and eV (n_structures, 3, 3) as sum of d ⊗ dE/dd.
    """
    columns = np.zeros(jacobian.angular.shape[2], dtype=np.float32)
    clear_table(forces)
    clear_cube(virials)
    offset = 0
    for n in range(structures.size):
        first, last = jacobian.first[structures[n]], jacobian.first[structures[n] + 1]
        for i in range(first, last):
            row = gradient[offset + i - first]
            add_forces(jacobian, i, offset - first, row, columns, forces, virials[n])
        offset += last - first


@internal
def add_forces(
    jacobian: Jacobian,
    i: int,
    shift: int,
    row: NDArray,
    columns: NDArray,
    forces: NDArray,
    virial: NDArray,
) -> None:
    """
    Add the part of one centre to forces and virial.

    Parameters
    ----------
    jacobian : Jacobian
        Of all structures.
    i : int
        The centre.
    shift : int
        What leads from atoms of the Jacobian to rows of `forces`.
    row : ndarray
        dE/dM of the centre, shape (n_moments,).
    columns : ndarray
        Scratch, as long as a row of the angular derivatives.
    forces, virial : ndarray
        Added to, shapes (n_atoms, 3) and (3, 3).
    """
    n_elements = jacobian.near_start.shape[1] - 1
    n_radial = jacobian.radial.shape[1]
    for e in range(n_elements):
        part = row[e * n_radial :]
        for p in range(jacobian.near_start[i, e], jacobian.near_start[i, e + 1]):
            pull = 0.0
            factors = jacobian.radial[p]
            for m in range(n_radial):
                pull += factors[m] * part[m]
            vector = jacobian.near_vector[p]
            pair = (shift + i, shift + jacobian.near_atom[p])
            for c in range(3):
                add_component(pull * vector[c], c, pair, vector, forces, virial)
        gather_columns(jacobian.pair_block, e, row[n_elements * n_radial :], columns)
        for q in range(jacobian.close_start[i, e], jacobian.close_start[i, e + 1]):
            p = jacobian.close_near[q]
            vector = jacobian.near_vector[p]
            pair = (shift + i, shift + jacobian.near_atom[p])
            for c in range(3):
                f = single_dot(jacobian.angular[q, c], columns)
                add_component(f, c, pair, vector, forces, virial)


@internal
def add_component(
    f: float, c: int, pair: tuple, vector: NDArray, forces: NDArray, virial: NDArray
) -> None:
    """Add one component of dE/d(vector from i to j) to forces and virial."""
    i, j = pair
    forces[j, c] -= f
    forces[i, c] += f
    for d in range(3):
        virial[d, c] += vector[d] * f


@compiled
def jacobian_vector_product(
    jacobian: Jacobian,
    structures: NDArray,
    displacements: NDArray,
    strains: NDArray,
    out: NDArray,
) -> None:
    """
    Change of the moments when atoms move and the cell is strained.

    Parameters
    ----------
    structures : ndarray
        As in :func:`vector_jacobian_product`.
    displacements : ndarray
        Of each atom, shape (n_atoms, 3).
    strains : ndarray
        e with d -> d + e.T @ d on top, shape (n_structures, 3, 3).
    out : ndarray
        Written: shape (n_atoms, n_moments).
    """
    columns = np.zeros(jacobian.angular.shape[2], dtype=np.float32)
    step = np.zeros(3, dtype=np.float32)
    clear_table(out)
    offset = 0
    for n in range(structures.size):
        first, last = jacobian.first[structures[n]], jacobian.first[structures[n] + 1]
        for i in range(first, last):
            move = (displacements, strains[n], offset - first)
            add_changes(jacobian, i, move, (columns, step), out[offset + i - first])
        offset += last - first


@internal
def add_changes(jacobian: Jacobian, i: int, move: tuple, scratch: tuple, row: NDArray) -> None:
    """
    Add the changes of one centre's moments.

    Parameters
    ----------
    jacobian : Jacobian
        Of all structures.
    i : int
        The centre.
    move : tuple
        (displacements, strain, what leads from atoms of the Jacobian to rows of displacements).
    scratch : tuple of ndarray
        As long as a row of the angular derivatives, and three numbers.
    row : ndarray
        Added to, shape (n_moments,).
    """
    columns, step = scratch
    n_elements = jacobian.near_start.shape[1] - 1
    n_radial = jacobian.radial.shape[1]
    for e in range(n_elements):
        part = row[e * n_radial :]
        for p in range(jacobian.near_start[i, e], jacobian.near_start[i, e + 1]):
            vector = jacobian.near_vector[p]
            pair_step(vector, (i, jacobian.near_atom[p]), move, step)
            along = np.float32(0.0)
            for c in range(3):
                along += step[c] * vector[c]
            factors = jacobian.radial[p]
            for m in range(n_radial):
                part[m] += factors[m] * along
        for m in range(columns.size):
            columns[m] = 0.0
        for q in range(jacobian.close_start[i, e], jacobian.close_start[i, e + 1]):
            p = jacobian.close_near[q]
            pair_step(jacobian.near_vector[p], (i, jacobian.near_atom[p]), move, step)
            add_three(jacobian.angular[q], step, columns)
        scatter_columns(jacobian.pair_block, e, columns, row[n_elements * n_radial :])


@internal
def pair_step(vector: NDArray, pair: tuple, move: tuple, out: NDArray) -> None:
    """Change of the vector from atom i to j; `move` as in :func:`add_changes`."""
    i, j = pair
    displacements, strain, shift = move
    for c in range(3):
        x = displacements[shift + j, c] - displacements[shift + i, c]
        for d in range(3):
            x += strain[d, c] * vector[d]
        out[c] = x


@internal
def single_dot(a: NDArray, b: NDArray) -> Any:
    """Inner product in single precision."""
    total = np.float32(0.0)
    for m in range(a.size):
        total += a[m] * b[m]
    return total


@internal
def add_three(rows: NDArray, factors: NDArray, out: NDArray) -> None:
    """``out += factors @ rows`` with three rows."""
    x, y, z = rows[0], rows[1], rows[2]
    a, b, c = factors[0], factors[1], factors[2]
    for m in range(out.size):
        out[m] += a * x[m] + b * y[m] + c * z[m]


@internal
def gather_columns(pair_block: NDArray, e: int, angular: NDArray, columns: NDArray) -> None:
    """Line up the blocks a neighbour of element ``e`` touches."""
    size = columns.size // pair_block.shape[0]
    for other in range(pair_block.shape[0]):
        o = pair_block[e, other] * size
        for m in range(size):
            columns[other * size + m] = angular[o + m]


@internal
def scatter_columns(pair_block: NDArray, e: int, columns: NDArray, angular: NDArray) -> None:
    """Undo :func:`gather_columns`, adding."""
    size = columns.size // pair_block.shape[0]
    for other in range(pair_block.shape[0]):
        o = pair_block[e, other] * size
        for m in range(size):
            angular[o + m] += columns[other * size + m]
