"""
Rows of a matrix against four vectors at once.

One row of the matrix is read and used for four vectors, whose numbers are interleaved by fours:
four numbers of the first, of the second, of the third and of the fourth vector, then the next four
of each. So one product of sixteen numbers takes four of the row, and needs no shuffling but that
they are repeated, which processors do while they load. No loop in Python compiles to this. Each
function is plain Python, with a compiled twin in :mod:`nnp.kernels.lane_instructions`; all numbers
are in single precision, and rows have multiples of four of them.
"""

# numba calls what is registered with it with argument lists of its own.
# ruff: noqa: ARG005

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from nnp.kernels import lane_instructions as instructions
from nnp.kernels.lane_instructions import LANES, TENSOR


def interleaved(vectors: NDArray) -> NDArray:
    """Four vectors of shape (4, n) as the functions below want them, shape (4 n,)."""
    return vectors.reshape(LANES, -1, LANES).transpose(1, 0, 2).ravel()


def apart(lanes: NDArray, n: Any) -> NDArray:
    """Undo :func:`interleaved`, with ``n`` numbers of each vector."""
    return lanes[: LANES * int(n)].reshape(-1, LANES, LANES).transpose(1, 0, 2).reshape(LANES, -1)


def pull(
    rows: NDArray,
    first: Any,
    n: Any,
    lanes: NDArray,
    vectors: NDArray,
    v: Any,
    out: NDArray,
    o: Any,
) -> None:
    """
    Write inner products of one row with four vectors, times x, y and z of a pair.

    Parameters
    ----------
    rows : ndarray
        Matrix row by row.
    first, n : int
        Where the row begins, and its length.
    lanes : ndarray
        Four vectors, interleaved.
    vectors : ndarray
        Vectors of pairs, three numbers each.
    v : int
        Where the pair's vector begins.
    out : ndarray
        Written: 12 numbers, four for each direction.
    o : int
        Where to.
    """
    row = rows[int(first) : int(first) + int(n)]
    found = np.outer(vectors[int(v) : int(v) + 3], apart(lanes, n) @ row)
    out[int(o) : int(o) + 12] = found.ravel()


def push(
    rows: NDArray,
    n: Any,
    vectors: NDArray,
    span: Any,
    steps: NDArray,
    o: Any,
    lanes: NDArray,
    place: Any,
) -> None:
    """
    Add up rows of some pairs, times how far each of four steps goes along the pair.

    Parameters
    ----------
    rows : ndarray
        One row for each pair.
    n : int
        Length of a row.
    vectors : ndarray
        Vectors of all pairs, three numbers each.
    span : tuple of int
        First pair and the end.
    steps : ndarray
        12 numbers for each pair, four for each direction.
    o : int
        Where those of the first pair begin.
    lanes : ndarray
        Four vectors, interleaved.
    place : int
        Where in it is written.
    """
    begin, end = int(span[0]), int(span[1])
    moves = steps[int(o) : int(o) + 12 * (end - begin)].reshape(end - begin, 3, LANES)
    along = np.einsum("pc,pck->kp", vectors[3 * begin : 3 * end].reshape(-1, 3), moves)
    found = along @ rows[int(n) * begin : int(n) * end].reshape(end - begin, int(n))
    lanes[int(place) : int(place) + LANES * int(n)] = interleaved(found)


def add_three_dots(rows: NDArray, first: Any, n: Any, lanes: NDArray, out: NDArray, o: Any) -> None:
    """Add inner products of three rows, one after the other, with four vectors: 12 numbers."""
    block = rows[int(first) : int(first) + 3 * int(n)].reshape(3, int(n))
    out[int(o) : int(o) + 12] += (block @ apart(lanes, n).T).ravel()


def add_three_rows(
    rows: NDArray, first: Any, n: Any, factors: NDArray, o: Any, lanes: NDArray
) -> None:
    """Add three rows to four vectors, times 12 factors."""
    block = rows[int(first) : int(first) + 3 * int(n)].reshape(3, int(n))
    scale = factors[int(o) : int(o) + 12].reshape(3, LANES)
    lanes[: LANES * int(n)] += interleaved(scale.T @ block)


def move(source: NDArray, i: Any, target: NDArray, o: Any) -> None:
    """Copy four numbers."""
    target[int(o) : int(o) + LANES] = source[int(i) : int(i) + LANES]


def spread(
    pairs: NDArray,
    vectors: NDArray,
    atoms: NDArray,
    span: Any,
    rows: NDArray,
    shift: Any,
    forces: NDArray,
    sums: NDArray,
) -> None:
    """
    Take the derivatives of one centre's pairs off the forces on its neighbours.

    Parameters
    ----------
    pairs : ndarray
        12 numbers for each pair, four for each direction, from the first pair of the centre.
    vectors : ndarray
        Vectors of all pairs, three numbers each.
    atoms : ndarray of int
        The neighbour of every pair.
    span : tuple of int
        The centre's first pair, and the end.
    rows : ndarray of int
        Row of each atom in the forces.
    shift : int
        What leads from atoms to entries of `rows`.
    forces : ndarray
        12 numbers for each row.
    sums : ndarray
        Written: 36 numbers, four each of the sums of x, y, z, and of the vectors times them as xx,
        yy, zz, yz, xz, xy.
    """
    begin, end = int(span[0]), int(span[1])
    found = pairs[: 12 * (end - begin)].reshape(end - begin, 3, LANES)
    for p in range(begin, end):
        o = 12 * int(rows[int(shift) + int(atoms[p])])
        forces[o : o + 12] -= found[p - begin].ravel()
    sums[: 3 * LANES] = found.sum(axis=0).ravel()
    own = vectors[3 * begin : 3 * end].reshape(end - begin, 3)
    for m, (c, d) in enumerate(TENSOR):
        sums[LANES * (3 + m) : LANES * (4 + m)] = own[:, c] @ found[:, d]


# The twins' arguments must have the same names, without annotations.
overload(pull)(
    lambda rows, first, n, lanes, vectors, v, out, o: (
        lambda rows, first, n, lanes, vectors, v, out, o: instructions.pull(
            rows, first, n, lanes, vectors, v, out, o
        )
    )
)
overload(push)(
    lambda rows, n, vectors, span, steps, o, lanes, place: (
        lambda rows, n, vectors, span, steps, o, lanes, place: instructions.push(
            rows, n, vectors, span[0], span[1], steps, o, lanes, place
        )
    )
)
overload(add_three_dots)(
    lambda rows, first, n, lanes, out, o: (
        lambda rows, first, n, lanes, out, o: instructions.three_dots(rows, first, n, lanes, out, o)
    )
)
overload(add_three_rows)(
    lambda rows, first, n, factors, o, lanes: (
        lambda rows, first, n, factors, o, lanes: instructions.three_rows(
            rows, first, n, factors, o, lanes
        )
    )
)
overload(move)(
    lambda source, i, target, o: (
        lambda source, i, target, o: instructions.move(source, i, target, o)
    )
)
overload(spread)(
    lambda pairs, vectors, atoms, span, rows, shift, forces, sums: (
        lambda pairs, vectors, atoms, span, rows, shift, forces, sums: instructions.spread(
            pairs, vectors, atoms, span[0], span[1], rows, shift, forces, sums
        )
    )
)
