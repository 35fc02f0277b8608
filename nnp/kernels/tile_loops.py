"""
Loops over one tile of numbers: the part of the work a compiler can vectorise.

A tile holds :data:`nnp.kernels.workspace.LANES` numbers of each kind, one kind after the other in
one flat array, so that neither remainders nor overlapping arrays have to be reckoned with.
Functions take the array and unsigned offsets into it. The precision is that of the array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.kernels.compilation import internal
from nnp.kernels.functions import LOG2_E, cutoff, exp2, horner_step, polynomial_coefficients
from nnp.kernels.workspace import (
    CCUT,
    COSINE,
    CR2,
    CUT,
    CUTS,
    DECAY,
    DECAYS,
    DERIVATIVE,
    GROUP,
    INVERSES,
    LANES,
    LENGTH,
    PULL,
    R2,
    ROW,
    SLOPE,
    SQUARES,
    TSLOPE,
    TURN,
    UX,
    UY,
    UZ,
    VALUE,
    WEIGHT,
)

_LANES = np.uint64(LANES)
_ONE, _TWO, _THREE, _FOUR = (np.uint64(k) for k in range(1, 5))


@internal
def near_tile(near: NDArray, slot: Any, tiles: NDArray, o: Any, inverse: float, q: NDArray) -> None:
    """Squared distances and cutoffs of one tile of near neighbours."""
    real = tiles.dtype.type
    scale = real(inverse)
    numbers = polynomial_coefficients(q)
    zero = real(0.0)
    a = slot * _FOUR + _THREE
    for i in range(_LANES):
        r2 = near[a + i * _FOUR]
        value, above, below = cutoff(r2 * scale, numbers, tiles)
        tiles[o + R2 + i] = r2
        tiles[o + CUT + i] = value
        tiles[o + SLOPE + i] = above / below * scale
        tiles[o + PULL + i] = zero


@internal
def radial_sums(tiles: NDArray, o: Any, g: Any, etas: NDArray, out: NDArray) -> None:
    """exp(-eta r²) fc of :data:`GROUP` functions of one tile; adds their sums to ``out``."""
    real = tiles.dtype.type
    zero, factor = real(0.0), real(-LOG2_E)
    e0, e1, e2, e3 = etas[0] * factor, etas[1] * factor, etas[2] * factor, etas[3] * factor
    s0, s1, s2, s3 = zero, zero, zero, zero
    for i in range(_LANES):
        x, cut = tiles[o + R2 + i], tiles[o + CUT + i]
        g0 = exp2(e0 * x, tiles) * cut
        g1 = exp2(e1 * x, tiles) * cut
        g2 = exp2(e2 * x, tiles) * cut
        g3 = exp2(e3 * x, tiles) * cut
        tiles[g + i] = g0
        tiles[g + _LANES + i] = g1
        tiles[g + _TWO * _LANES + i] = g2
        tiles[g + _THREE * _LANES + i] = g3
        s0 += g0
        s1 += g1
        s2 += g2
        s3 += g3
    out[0] += s0
    out[1] += s1
    out[2] += s2
    out[3] += s3


@internal
def shifted_sum(tiles: NDArray, o: Any, g: Any, eta: Any, shift: Any) -> Any:
    """exp(-eta (r - shift)²) fc of one tile; returns the sum."""
    total = tiles.dtype.type(0.0)
    rate = tiles.dtype.type(-LOG2_E) * eta
    for i in range(_LANES):
        x = np.sqrt(tiles[o + R2 + i]) - shift
        value = exp2(rate * x * x, tiles) * tiles[o + CUT + i]
        tiles[g + i] = value
        total += value
    return total


@internal
def radial_pull(tiles: NDArray, o: Any, g: Any, weights: NDArray) -> None:
    """
    Add dE/d(r²), times two, of :data:`GROUP` radial functions to the pull of each neighbour.

    ``weights`` are 2 dE/dG of each function, then eta times them; ``g`` is where the functions are.
    """
    a0, a1, a2, a3 = weights[0], weights[1], weights[2], weights[3]
    b0, b1, b2, b3 = weights[4], weights[5], weights[6], weights[7]
    for i in range(_LANES):
        x0, x1 = tiles[g + i], tiles[g + _LANES + i]
        x2, x3 = tiles[g + _TWO * _LANES + i], tiles[g + _THREE * _LANES + i]
        total = a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
        rate = b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
        tiles[o + PULL + i] += tiles[o + SLOPE + i] * total - rate


@internal
def shifted_pull(tiles: NDArray, o: Any, g: Any, weights: NDArray) -> None:
    """
    Add what :func:`radial_pull` leaves out of functions that are not centred on the atom.

    ``weights`` are 2 eta Rs dE/dG of :data:`GROUP` functions.
    """
    for s in range(GROUP):
        w = weights[s]
        for i in range(_LANES):
            tiles[o + PULL + i] += w * tiles[g + i] / np.sqrt(tiles[o + R2 + i])
        g += _LANES


@internal
def close_tile(
    xyz: NDArray, first: Any, tiles: NDArray, o: Any, legs: NDArray, inverse: float, q: NDArray
) -> None:
    """Unit vectors, lengths and cutoffs of one tile of close neighbours."""
    real = tiles.dtype.type
    scale, one = real(inverse), real(1.0)
    numbers = polynomial_coefficients(q)
    a, b = first * _FOUR, first * _TWO
    for i in range(_LANES):
        r2 = xyz[a + i * _FOUR + _THREE]
        r = np.sqrt(r2)
        inverse_r = one / r
        tiles[o + UX + i] = xyz[a + i * _FOUR] * inverse_r
        tiles[o + UY + i] = xyz[a + i * _FOUR + _ONE] * inverse_r
        tiles[o + UZ + i] = xyz[a + i * _FOUR + _TWO] * inverse_r
        tiles[o + LENGTH + i] = r
        tiles[o + CR2 + i] = r2
        value, above, below = cutoff(r2 * scale, numbers, tiles)
        tiles[o + CCUT + i] = value
        legs[b + i * _TWO] = inverse_r * inverse_r
        legs[b + i * _TWO + _ONE] = above / below * scale


@internal
def pair_tile(tiles: NDArray, o: Any, leg: tuple) -> None:
    """cos(theta), r_jk², r_ij r_ik and fc fc of one neighbour with a tile of others."""
    x, y, z, r, r2, cut = leg
    for i in range(_LANES):
        c = tiles[o + UX + i] * x + tiles[o + UY + i] * y + tiles[o + UZ + i] * z
        product = tiles[o + LENGTH + i] * r
        inner = c * product
        tiles[o + ROW + i] = c
        tiles[o + ROW + _LANES + i] = tiles[o + CR2 + i] + r2 - inner - inner
        tiles[o + ROW + _TWO * _LANES + i] = product
        tiles[o + ROW + _THREE * _LANES + i] = tiles[o + CCUT + i] * cut


@internal
def triplet_tile(
    found: NDArray, first: Any, tiles: NDArray, o: Any, inverse: float, q: NDArray
) -> None:
    """What all angular functions of one tile of triplets share."""
    real = tiles.dtype.type
    scale, one = real(inverse), real(1.0)
    numbers = polynomial_coefficients(q)
    cosines, separations, products, cuts = found[0], found[1], found[2], found[3]
    for i in range(_LANES):
        c, r2, product = cosines[first + i], separations[first + i], products[first + i]
        value, above, below = cutoff(r2 * scale, numbers, tiles)
        # One division for two quotients.
        common = one / (below * product)
        inner = c * product
        tiles[o + COSINE + i] = c
        # r_ij² + r_ik² = r_jk² + 2 r_ij r_ik cos(theta)
        tiles[o + SQUARES + i] = r2 + r2 + inner + inner
        tiles[o + CUTS + i] = cuts[first + i] * value
        tiles[o + TSLOPE + i] = above * product * common * scale
        tiles[o + INVERSES + i] = below * common


@internal
def angular_sums(tiles: NDArray, o: Any, target: Any, eta: Any, out: NDArray) -> None:
    """exp(-eta S) F of one tile; adds the sums of its products with cos^p, p = 0..4."""
    zero = out.dtype.type(0.0)
    s0, s1, s2, s3, s4 = zero, zero, zero, zero, zero
    rate = out.dtype.type(-LOG2_E) * eta
    for i in range(_LANES):
        g = exp2(rate * tiles[o + SQUARES + i], tiles) * tiles[o + CUTS + i]
        c = tiles[o + COSINE + i]
        tiles[target + i] = g
        c2 = c * c
        g1 = g * c
        g2 = g * c2
        s0 += g
        s1 += g1
        s2 += g2
        s3 += g1 * c2
        s4 += g2 * c2
    out[0] += s0
    out[1] += s1
    out[2] += s2
    out[3] += s3
    out[4] += s4


@internal
def higher_sums(tiles: NDArray, o: Any, source: Any, degree: int, out: NDArray) -> None:
    """Add the sums of one tile of functions with cos^p, p = 5..degree."""
    for i in range(_LANES):
        c = tiles[o + COSINE + i]
        tiles[o + VALUE + i] = tiles[source + i] * c * c * c * c
    for p in range(5, degree + 1):
        total = out.dtype.type(0.0)
        for i in range(_LANES):
            x = tiles[o + VALUE + i] * tiles[o + COSINE + i]
            tiles[o + VALUE + i] = x
            total += x
        out[p] += total


@internal
def general_power(tiles: NDArray, o: Any, zeta: float, sign: float) -> None:
    """(1 + lambda cos theta)^zeta and its derivative for a zeta that is no integer."""
    for i in range(_LANES):
        base = max(1.0 + sign * tiles[o + COSINE + i], 1e-12)
        power = base**zeta
        tiles[o + VALUE + i] = power
        tiles[o + DERIVATIVE + i] = zeta * sign * power / base


@internal
def general_sum(tiles: NDArray, o: Any, source: Any) -> Any:
    """Sum of one tile of functions times the power left by :func:`general_power`."""
    total = tiles.dtype.type(0.0)
    for i in range(_LANES):
        total += tiles[source + i] * tiles[o + VALUE + i]
    return total


@internal
def scale_power(tiles: NDArray, o: Any, factor: Any) -> None:
    """Multiply a power and its derivative by a number."""
    f = tiles.dtype.type(factor)
    for i in range(_LANES):
        tiles[o + VALUE + i] *= f
        tiles[o + DERIVATIVE + i] *= f


@internal
def polynomial(tiles: NDArray, o: Any, d: NDArray, degree: int) -> None:
    """Horner's rule: sum of d_p cos^p and its derivative."""
    zero = tiles.dtype.type(0.0)
    for i in range(_LANES):
        tiles[o + VALUE + i] = d[degree]
        tiles[o + DERIVATIVE + i] = zero
    for p in range(degree - 1, -1, -1):
        for i in range(_LANES):
            c, value = tiles[o + COSINE + i], tiles[o + VALUE + i]
            tiles[o + DERIVATIVE + i] = tiles[o + DERIVATIVE + i] * c + value
            tiles[o + VALUE + i] = value * c + d[p]


@internal
def clear_sums(tiles: NDArray, o: Any) -> None:
    """Start the three sums of :func:`add_backward` at zero."""
    zero = tiles.dtype.type(0.0)
    for i in range(_LANES):
        tiles[o + WEIGHT + i] = zero
        tiles[o + DECAY + i] = zero
        tiles[o + TURN + i] = zero


@internal
def add_backward(tiles: NDArray, o: Any, source: Any, eta: Any) -> None:
    """Add g p, eta g p and g q of one eta, with p and q left by :func:`polynomial`."""
    for i in range(_LANES):
        g = tiles[source + i]
        gp = g * tiles[o + VALUE + i]
        tiles[o + WEIGHT + i] += gp
        tiles[o + DECAY + i] += gp * eta
        tiles[o + TURN + i] += g * tiles[o + DERIVATIVE + i]


@internal
def add_backward4(tiles: NDArray, o: Any, source: Any, eta: Any, d: NDArray) -> None:
    """:func:`polynomial` of degree 4 and :func:`add_backward` in one loop."""
    numbers = (d[0], d[1], d[2], d[3], d[4])
    for i in range(_LANES):
        p, q = horner4(tiles[o + COSINE + i], numbers)
        g = tiles[source + i]
        gp = g * p
        tiles[o + WEIGHT + i] += gp
        tiles[o + DECAY + i] += gp * eta
        tiles[o + TURN + i] += g * q


@internal
def horner4(x: Any, d: tuple) -> tuple:
    """Polynomial of degree 4 and its derivative."""
    p, q = x * d[4] + d[3], d[4]
    p, q = horner_step(p, q, x, d[2])
    p, q = horner_step(p, q, x, d[1])
    return horner_step(p, q, x, d[0])


@internal
def finish_backward(tiles: NDArray, o: Any, out: NDArray, first: Any) -> None:
    """Turn the three sums into what the scatter needs: see ``nnp.kernels.workspace.Workspace``."""
    a = first * _FOUR
    for i in range(_LANES):
        weight, rate = tiles[o + WEIGHT + i], tiles[o + DECAY + i]
        turn = tiles[o + TURN + i]
        shared = tiles[o + TSLOPE + i] * weight - rate
        out[a + i * _FOUR] = turn * tiles[o + INVERSES + i] - shared - shared
        out[a + i * _FOUR + _ONE] = weight
        out[a + i * _FOUR + _TWO] = shared - rate
        out[a + i * _FOUR + _THREE] = turn * tiles[o + COSINE + i]


@internal
def three_backward(
    tiles: NDArray, o: Any, etas: NDArray, d: NDArray, out: NDArray, first: Any
) -> None:
    """:func:`add_backward4` of three eta and :func:`finish_backward`, all in registers."""
    eta0, eta1, eta2 = etas[0], etas[1], etas[2]
    numbers0 = (d[0], d[1], d[2], d[3], d[4])
    numbers1 = (d[5], d[6], d[7], d[8], d[9])
    numbers2 = (d[10], d[11], d[12], d[13], d[14])
    a = first * _FOUR
    for i in range(_LANES):
        c = tiles[o + COSINE + i]
        g0 = tiles[o + DECAYS + i]
        g1 = tiles[o + DECAYS + _LANES + i]
        g2 = tiles[o + DECAYS + _TWO * _LANES + i]
        p0, q0 = horner4(c, numbers0)
        p1, q1 = horner4(c, numbers1)
        p2, q2 = horner4(c, numbers2)
        w0, w1, w2 = g0 * p0, g1 * p1, g2 * p2
        weight = w0 + w1 + w2
        rate = eta0 * w0 + eta1 * w1 + eta2 * w2
        turn = g0 * q0 + g1 * q1 + g2 * q2
        shared = tiles[o + TSLOPE + i] * weight - rate
        out[a + i * _FOUR] = turn * tiles[o + INVERSES + i] - shared - shared
        out[a + i * _FOUR + _ONE] = weight
        out[a + i * _FOUR + _TWO] = shared - rate
        out[a + i * _FOUR + _THREE] = turn * c


@internal
def clear_table(array: NDArray) -> None:
    """Zero a matrix."""
    for i in range(array.shape[0]):
        for k in range(array.shape[1]):
            array[i, k] = 0.0


@internal
def clear_cube(array: NDArray) -> None:
    """Zero an array of three dimensions."""
    for i in range(array.shape[0]):
        clear_table(array[i])
