"""Derivatives of the moments with respect to neighbours' positions, for training.

Forces are linear in the network's input gradients and the gradient of the force loss is linear in
the force residuals, through the same matrix dM/dr. It is kept in single precision and only where it
can be non-zero: a neighbour of element e touches the G2 of e and the G4 of pairs with e.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnp import centre
from nnp.centre import (
    COSINE,
    CR2,
    CSLOPE,
    DX,
    INVERSES,
    R2,
    SLOPE,
    TSLOPE,
    Model,
    Workspace,
)
from nnp.compiled import compiled
from nnp.evaluator import (
    _CLOSE_TOO_SMALL,
    _DONE,
    SKIN,
    Batch,
    Evaluator,
    close_count,
    prepare_structure,
)


class Jacobian(NamedTuple):
    """dM/dr of some structures.

    Attributes
    ----------
    first
        First atom of each structure and the total, shape (n_structures + 1,).
    near_start, close_start
        Where the neighbours of each atom and element start, shape (n_atoms, n_elements + 1).
    near_atom
        Neighbour atoms, shape (n_near,).
    near_vector
        Vectors to them in Å, shape (n_near, 3).
    radial
        Factors of the vectors for each G2, shape (n_near, n_radial).
    close_near
        Which of the near neighbours each close one is, shape (n_close,).
    angular
        Derivatives of the G4 moments in Å⁻¹ by partner element, shape
        (n_close, 3, n_elements * block_size).
    pair_block
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


@compiled
def clear_table(array: NDArray) -> None:
    """Zero a matrix."""
    for i in range(array.shape[0]):
        for k in range(array.shape[1]):
            array[i, k] = 0.0


@compiled
def clear_cube(array: NDArray) -> None:
    """Zero an array of three dimensions."""
    for i in range(array.shape[0]):
        clear_table(array[i])


@compiled
def moment_factors(model: Model, decays: NDArray, t: int, c: float, out: tuple) -> None:
    """Value, eta times value, and derivative by cos(theta) of each moment of one triplet."""
    value, decayed, turn = out
    n_powers = model.degree + 1
    for s in range(model.angular_eta.size):
        g = decays[s, t]
        eta = model.angular_eta[s]
        previous = 0.0
        for p in range(n_powers):
            m = s * n_powers + p
            value[m] = g
            decayed[m] = eta * g
            turn[m] = p * previous
            previous = g
            g *= c
    o = model.angular_eta.size * n_powers
    for k in range(len(model.general)):
        s = int(model.general[k, 0])
        base = max(1.0 + model.general[k, 2] * c, 1e-12)
        power = decays[s, t] * base ** model.general[k, 1]
        value[o + k] = power
        decayed[o + k] = model.angular_eta[s] * power
        turn[o + k] = power * model.general[k, 1] * model.general[k, 2] / base


@compiled
def add_triplet(
    factors: tuple, legs: tuple, inverse: float, slope: float, c: float, out: tuple
) -> None:
    """Add one triplet to the blocks of both its neighbours.

    Parameters
    ----------
    factors
        Written by :func:`moment_factors`.
    legs
        For each leg (x, y, z, slope of its cutoff, 1 / r²).
    inverse, slope
        1 / (r_ij r_ik) and the slope of fc(r_jk).
    out
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


@compiled
def fill_angular(model: Model, ws: Workspace, factors: tuple, out: NDArray) -> None:
    """Write dG4/dr of one atom, shape (n_close, 3, n_elements * size)."""
    starts, arrays, close, xyz = ws.close_start, ws.triplets, ws.close, ws.close_xyz
    n_elements = starts.size - 1
    size = factors[0].size
    clear_cube(out)
    block = 0
    for ea in range(n_elements):
        for eb in range(ea, n_elements):
            low_j, low_k = ea * size, eb * size
            for j in range(starts[eb], starts[eb + 1]):
                local = j - starts[eb]
                leg_j = (xyz[j, 0], xyz[j, 1], xyz[j, 2], close[CSLOPE, j], 1.0 / close[CR2, j])
                for t in range(ws.segments[block, local], ws.segments[block, local + 1]):
                    k = ws.triplet_k[t]
                    c = arrays[COSINE, t]
                    leg_k = (xyz[k, 0], xyz[k, 1], xyz[k, 2], close[CSLOPE, k], 1.0 / close[CR2, k])
                    moment_factors(model, ws.decays, t, c, factors)
                    add_triplet(
                        factors,
                        (leg_j, leg_k),
                        arrays[INVERSES, t],
                        arrays[TSLOPE, t],
                        c,
                        (out[j, :, low_j : low_j + size], out[k, :, low_k : low_k + size]),
                    )
            block += 1


@compiled
def fill_radial(model: Model, ws: Workspace, near: tuple) -> None:
    """Neighbours of one atom and the factors of their vectors for each G2."""
    atoms, vectors, factors = near
    for p in range(ws.near_start[ws.near_start.size - 1]):
        atoms[p] = ws.near_atom[p]
        for c in range(3):
            vectors[p, c] = ws.near[DX + c, p]
        for s in range(model.radial_eta.size):
            rate = model.radial_eta[s]
            if model.radial_shift[s] != 0.0:
                rate *= 1.0 - model.radial_shift[s] / np.sqrt(ws.near[R2, p])
            factors[p, s] = 2.0 * ws.radial[s, p] * (ws.near[SLOPE, p] - rate)


@compiled
def collect_range(
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
    """Count the neighbours of every atom, or fill moments and Jacobian.

    Returns
    -------
    tuple of int
        As :func:`nnp.evaluator.evaluate_range`.
    """
    lists, _, scratch = state
    capacity = ws.close_near.size - 1
    n_elements = batch.element_starts.shape[1] - 1
    for s in range(cells.shape[0]):
        first, last = batch.first[s], batch.first[s + 1]
        span = (first, last, 0, SKIN)
        status, size = prepare_structure(s, span, cells[s], positions, batch, model, state)
        if status != _DONE:
            return status, size
        for i in range(first, last):
            close = close_count(i, i, first, model, lists, scratch, capacity)
            if close > capacity:
                return _CLOSE_TOO_SMALL, close
            row = (lists.starts[i], lists.atom[i], lists.image[i], first)
            point = (scratch.points, i - first, scratch.translations)
            if counting:
                reach = (model.radial_cutoff**2, model.angular_cutoff**2)
                near = (ws.near, ws.near_atom, ws.near_start)
                angular = (ws.close_xyz, ws.close[CR2], ws.close_near, ws.close_start)
                ty = batch.types[i]
                centre.gather(row, point, ty, reach, model.repulsion, near, angular)
                for e in range(n_elements + 1):
                    jacobian.near_start[i, e] = ws.near_start[e]
                    jacobian.close_start[i, e] = ws.close_start[e]
                continue
            centre.environment(row, point, batch.types[i], model, ws)
            for m in range(ws.moments.size):
                moments[i, m] = ws.moments[m]
            a, b = jacobian.near_start[i, 0], jacobian.near_start[i, n_elements]
            arrays = (jacobian.near_atom[a:b], jacobian.near_vector[a:b], jacobian.radial[a:b])
            fill_radial(model, ws, arrays)
            c, d = jacobian.close_start[i, 0], jacobian.close_start[i, n_elements]
            for m in range(d - c):
                jacobian.close_near[c + m] = a + ws.close_near[m]
            if model.angular_eta.size > 0:
                fill_angular(model, ws, factors, jacobian.angular[c:d])
    return _DONE, 0


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
                    for c in range(3):
                        f = pull * jacobian.near_vector[p, c]
                        forces[j, c] -= f
                        forces[offset + i - first, c] += f
                        for d in range(3):
                            virials[n, d, c] += jacobian.near_vector[p, d] * f
                gather_columns(jacobian.pair_block, e, size, row[n_elements * n_radial :], columns)
                for q in range(jacobian.close_start[i, e], jacobian.close_start[i, e + 1]):
                    p = jacobian.close_near[q]
                    j = offset + jacobian.near_atom[p] - first
                    for c in range(3):
                        f = single_dot(jacobian.angular[q, c], columns)
                        forces[j, c] -= f
                        forces[offset + i - first, c] += f
                        for d in range(3):
                            virials[n, d, c] += jacobian.near_vector[p, d] * f
        offset += jacobian.first[s + 1] - first


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


@compiled
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


@compiled
def single_dot(a: NDArray, b: NDArray) -> Any:
    """Inner product in single precision."""
    total = np.float32(0.0)
    for m in range(a.size):
        total += a[m] * b[m]
    return total


@compiled
def add_three(rows: NDArray, factors: NDArray, out: NDArray) -> None:
    """``out += factors @ rows`` with three rows."""
    x, y, z = rows[0], rows[1], rows[2]
    a, b, c = factors[0], factors[1], factors[2]
    for m in range(out.size):
        out[m] += a * x[m] + b * y[m] + c * z[m]


@compiled
def gather_columns(
    pair_block: NDArray, e: int, size: int, angular: NDArray, columns: NDArray
) -> None:
    """Line up the blocks a neighbour of element ``e`` touches."""
    for other in range(pair_block.shape[0]):
        o = pair_block[e, other] * size
        for m in range(size):
            columns[other * size + m] = angular[o + m]


@compiled
def scatter_columns(
    pair_block: NDArray, e: int, size: int, columns: NDArray, angular: NDArray
) -> None:
    """Undo :func:`gather_columns`, adding."""
    for other in range(pair_block.shape[0]):
        o = pair_block[e, other] * size
        for m in range(size):
            angular[o + m] += columns[other * size + m]


def collect(
    model: Model,
    types: NDArray[np.int64],
    counts: NDArray[np.int64],
    cells: NDArray,
    positions: NDArray,
) -> tuple[NDArray[np.float64], Jacobian]:
    """Moments and their derivatives.

    Parameters
    ----------
    model
        In double precision; only its basis is used.
    types, counts, cells, positions
        As for :class:`nnp.evaluator.Evaluator`.

    Returns
    -------
    tuple
        Moments (n_atoms, n_moments) and Jacobian.
    """
    cells = np.ascontiguousarray(cells, dtype=np.float64)
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    slab = Evaluator(model, types, counts).slabs[0]
    n_atoms, n_elements = len(types), len(model.pair_block)
    width = n_elements * (len(model.angular_eta) * (model.degree + 1) + len(model.general))
    empty = Jacobian(
        first=slab.batch.first,
        near_start=np.zeros((n_atoms, n_elements + 1), np.int64),
        close_start=np.zeros((n_atoms, n_elements + 1), np.int64),
        near_atom=np.zeros(0, np.int32),
        near_vector=np.zeros((0, 3), np.float32),
        radial=np.zeros((0, len(model.radial_eta)), np.float32),
        close_near=np.zeros(0, np.int64),
        angular=np.zeros((0, 3, width), np.float32),
        pair_block=model.pair_block,
    )
    moments = np.zeros((n_atoms, int(model.sizes[0])))
    factors = tuple(np.zeros(width // n_elements) for _ in range(3))

    def passes(counting: bool, jacobian: Jacobian) -> None:
        slab.enlarge_until_done(
            lambda: collect_range(
                counting,
                cells,
                positions,
                slab.batch,
                model,
                (slab.lists, slab.reference, slab.scratch),
                slab.workspace,
                factors,
                moments,
                jacobian,
            )
        )

    passes(True, empty)
    near_shift = _exclusive_sum(empty.near_start[:, -1])
    close_shift = _exclusive_sum(empty.close_start[:, -1])
    jacobian = empty._replace(
        near_start=empty.near_start + near_shift[:-1, None],
        close_start=empty.close_start + close_shift[:-1, None],
        near_atom=np.zeros(near_shift[-1], np.int32),
        near_vector=np.zeros((near_shift[-1], 3), np.float32),
        radial=np.zeros((near_shift[-1], len(model.radial_eta)), np.float32),
        close_near=np.zeros(close_shift[-1], np.int64),
        angular=np.zeros((close_shift[-1], 3, width), np.float32),
    )
    passes(False, jacobian)
    return moments, jacobian


def _exclusive_sum(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Start of each item and the total."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
