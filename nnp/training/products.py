"""Products with the Jacobian of the moments: forces, and the gradient of the force loss.

Forces are linear in the network's input gradients, and the gradient of the force loss is linear
in the force residuals, through the same matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.kernels.compilation import compiled, internal
from nnp.kernels.loops import clear_cube, clear_table
from nnp.training.jacobian import Jacobian


@compiled
def pull_back(
    jacobian: Jacobian, structures: NDArray, gradient: NDArray, forces: NDArray, virials: NDArray
) -> None:
    """Turn dE/dM of each atom into forces and virials.

    Parameters
    ----------
    structures
        Which structures; arrays below hold their atoms one after the other.
    gradient
        dE/dM, shape (n_atoms, n_moments), single precision.
    forces, virials
        Written: eV/Å (n_atoms, 3), and eV (n_structures, 3, 3) as sum of d ⊗ dE/dd.
    """
    n_elements = jacobian.near_start.shape[1] - 1
    n_radial = jacobian.radial.shape[1]
    width = jacobian.angular.shape[2]
    size = width // n_elements
    columns = np.zeros(width, dtype=np.float32)
    clear_table(forces)
    clear_cube(virials)
    offset = 0
    for n in range(structures.size):
        s = structures[n]
        first = jacobian.first[s]
        for i in range(first, jacobian.first[s + 1]):
            row = gradient[offset + i - first]
            for e in range(n_elements):
                part = row[e * n_radial :]
                for p in range(jacobian.near_start[i, e], jacobian.near_start[i, e + 1]):
                    pull = 0.0
                    factors = jacobian.radial[p]
                    for m in range(n_radial):
                        pull += factors[m] * part[m]
                    j = offset + jacobian.near_atom[p] - first
                    vector = jacobian.near_vector[p]
                    for c in range(3):
                        f = pull * vector[c]
                        add_component(f, c, (offset + i - first, j), vector, forces, virials[n])
                gather_columns(jacobian.pair_block, e, size, row[n_elements * n_radial :], columns)
                for q in range(jacobian.close_start[i, e], jacobian.close_start[i, e + 1]):
                    p = jacobian.close_near[q]
                    j = offset + jacobian.near_atom[p] - first
                    vector = jacobian.near_vector[p]
                    for c in range(3):
                        f = single_dot(jacobian.angular[q, c], columns)
                        add_component(f, c, (offset + i - first, j), vector, forces, virials[n])
        offset += jacobian.first[s + 1] - first


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
def push_forward(
    jacobian: Jacobian,
    structures: NDArray,
    displacements: NDArray,
    strains: NDArray,
    out: NDArray,
) -> None:
    """Change of the moments when atoms move and the cell is strained.

    Parameters
    ----------
    structures
        As in :func:`pull_back`.
    displacements
        Of each atom, shape (n_atoms, 3).
    strains
        e with d -> d + e.T @ d on top, shape (n_structures, 3, 3).
    out
        Written: shape (n_atoms, n_moments).
    """
    n_elements = jacobian.near_start.shape[1] - 1
    n_radial = jacobian.radial.shape[1]
    width = jacobian.angular.shape[2]
    size = width // n_elements
    columns = np.zeros(width, dtype=np.float32)
    step = np.zeros(3, dtype=np.float32)
    clear_table(out)
    offset = 0
    for n in range(structures.size):
        s = structures[n]
        first = jacobian.first[s]
        for i in range(first, jacobian.first[s + 1]):
            row = out[offset + i - first]
            for e in range(n_elements):
                part = row[e * n_radial :]
                for p in range(jacobian.near_start[i, e], jacobian.near_start[i, e + 1]):
                    j = jacobian.near_atom[p] - first
                    pair_step(
                        jacobian.near_vector[p],
                        displacements,
                        offset,
                        (i - first, j),
                        strains[n],
                        step,
                    )
                    along = np.float32(0.0)
                    for c in range(3):
                        along += step[c] * jacobian.near_vector[p, c]
                    factors = jacobian.radial[p]
                    for m in range(n_radial):
                        part[m] += factors[m] * along
                for m in range(width):
                    columns[m] = 0.0
                for q in range(jacobian.close_start[i, e], jacobian.close_start[i, e + 1]):
                    p = jacobian.close_near[q]
                    j = jacobian.near_atom[p] - first
                    pair_step(
                        jacobian.near_vector[p],
                        displacements,
                        offset,
                        (i - first, j),
                        strains[n],
                        step,
                    )
                    add_three(jacobian.angular[q], step, columns)
                scatter_columns(jacobian.pair_block, e, size, columns, row[n_elements * n_radial :])
        offset += jacobian.first[s + 1] - first


@internal
def pair_step(
    vector: NDArray, displacements: NDArray, offset: int, pair: tuple, strain: NDArray, out: NDArray
) -> None:
    """Change of the vector from atom i to j."""
    i, j = pair
    for c in range(3):
        x = displacements[offset + j, c] - displacements[offset + i, c]
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
def gather_columns(
    pair_block: NDArray, e: int, size: int, angular: NDArray, columns: NDArray
) -> None:
    """Line up the blocks a neighbour of element ``e`` touches."""
    for other in range(pair_block.shape[0]):
        o = pair_block[e, other] * size
        for m in range(size):
            columns[other * size + m] = angular[o + m]


@internal
def scatter_columns(
    pair_block: NDArray, e: int, size: int, columns: NDArray, angular: NDArray
) -> None:
    """Undo :func:`gather_columns`, adding."""
    for other in range(pair_block.shape[0]):
        o = pair_block[e, other] * size
        for m in range(size):
            angular[o + m] += columns[other * size + m]
