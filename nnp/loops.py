"""Small loops over contiguous arrays: the part of the work a compiler can vectorise.

Each function works on slices that start at index zero, because loops from a non-zero signed index
are not vectorised. Arrays are one-dimensional; ``n`` elements of each are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.compiled import internal

#: Exponents are halved until they are below this; then ten Taylor terms give 1e-14.
EXPONENT_LIMIT = 0.25


def squarings(largest_exponent: float) -> int:
    """How often an exponent must be halved to fall below :data:`EXPONENT_LIMIT`."""
    return max(0, int(np.ceil(np.log2(max(largest_exponent, 1e-30) / EXPONENT_LIMIT))))


def cutoff_polynomial(degree: int = 10) -> NDArray[np.float64]:
    """Coefficients q of the cosine cutoff written as (1 - t)² q(t), t = (r / cutoff)².

    A polynomial in r² needs neither a root nor a cosine; degree 10 is good to 1e-13. The quotient
    is evaluated through sin(pi (1 - sqrt t) / 2) / (1 - t), which has no cancellation at t = 1.

    Returns
    -------
    ndarray
        Ascending powers, shape (degree + 1,).
    """
    nodes = 0.5 * (1.0 + np.cos(np.pi * (np.arange(64) + 0.5) / 64))
    u = 1.0 - np.sqrt(nodes)
    values = (0.5 * np.pi * np.sinc(0.5 * u) / (1.0 + np.sqrt(nodes))) ** 2
    series = np.polynomial.Chebyshev.fit(nodes, values, degree, domain=[0.0, 1.0])
    powers = series.convert(kind=np.polynomial.Polynomial, domain=[-1, 1])
    return np.asarray(powers.coef, dtype=np.float64)


@internal
def exp_decay(x: NDArray, rate: float, halvings: int, out: NDArray, n: int) -> None:
    """Write exp(-rate x) for x >= 0 by repeated squaring of a short Taylor series.

    No bit tricks: the same code serves both precisions and plain Python.
    """
    real = out.dtype.type
    factor = real(-rate * 0.5**halvings)
    one = real(1.0)
    half = real(0.5)
    c3, c4, c5 = real(1 / 6), real(1 / 24), real(1 / 120)
    c6, c7, c8 = real(1 / 720), real(1 / 5040), real(1 / 40320)
    c9, c10 = real(1 / 362880), real(1 / 3628800)
    two = real(2.0)
    for i in range(n):
        z = x[i] * factor
        p = c10 * z + c9
        p = p * z + c8
        p = p * z + c7
        p = p * z + c6
        p = p * z + c5
        p = p * z + c4
        p = p * z + c3
        p = p * z + half
        p = p * z + one
        out[i] = p * z
    # exp(z) - 1 is what is squared, e -> e (e + 2), so that rounding is not amplified.
    for _ in range(halvings // 2):
        for i in range(n):
            e = out[i]
            e = e * (e + two)
            out[i] = e * (e + two)
    if halvings % 2 == 1:
        for i in range(n):
            out[i] = out[i] * (out[i] + two)
    for i in range(n):
        out[i] += one


@internal
def cutoff(r2: NDArray, inverse: float, q: NDArray, value: NDArray, slope: NDArray, n: int) -> None:
    """Cosine cutoff from squared distances.

    Parameters
    ----------
    r2
        Squared distances in Å², all below the squared cutoff.
    inverse
        1 / cutoff² in Å⁻².
    q
        Eleven coefficients of :func:`cutoff_polynomial`.
    value, slope
        Written: fc, and d(log fc)/d(r²) in Å⁻².
    """
    real = value.dtype.type
    scale = real(inverse)
    one = real(1.0)
    two = real(2.0)
    # At the cutoff itself rounding may leave 1 - t = 0; the product fc * slope must stay finite.
    smallest = real(1e-7)
    q0, q1, q2, q3, q4, q5 = q[0], q[1], q[2], q[3], q[4], q[5]
    q6, q7, q8, q9, q10 = q[6], q[7], q[8], q[9], q[10]
    for i in range(n):
        t = r2[i] * scale
        u = max(one - t, smallest)
        p = q10 * t + q9
        d = q10
        d = d * t + p
        p = p * t + q8
        d = d * t + p
        p = p * t + q7
        d = d * t + p
        p = p * t + q6
        d = d * t + p
        p = p * t + q5
        d = d * t + p
        p = p * t + q4
        d = d * t + p
        p = p * t + q3
        d = d * t + p
        p = p * t + q2
        d = d * t + p
        p = p * t + q1
        d = d * t + p
        p = p * t + q0
        value[i] = u * u * p
        slope[i] = (u * d - two * p) / (u * p) * scale


@internal
def dot(a: NDArray, b: NDArray, n: int) -> Any:
    """Inner product of the first ``n`` elements."""
    total = a.dtype.type(0.0)
    for i in range(n):
        total += a[i] * b[i]
    return total


@internal
def multiply(target: NDArray, factor: NDArray, n: int) -> None:
    """``target *= factor``."""
    for i in range(n):
        target[i] *= factor[i]


@internal
def multiply_sum(target: NDArray, factor: NDArray, n: int) -> Any:
    """``target *= factor``; returns the sum."""
    total = target.dtype.type(0.0)
    for i in range(n):
        x = target[i] * factor[i]
        target[i] = x
        total += x
    return total


@internal
def scale_two(a: NDArray, b: NDArray, factor: float, n: int) -> None:
    """Multiply both arrays by a number."""
    f = a.dtype.type(factor)
    for i in range(n):
        a[i] *= f
        b[i] *= f


@internal
def clear(arrays: tuple, n: int) -> None:
    """Zero three arrays."""
    a, b, c = arrays
    for i in range(n):
        a[i] = 0.0
        b[i] = 0.0
        c[i] = 0.0


@internal
def moments(g: NDArray, c: NDArray, out: NDArray, work: NDArray, degree: int, n: int) -> None:
    """Write the sums of g c^p, p = 0..degree."""
    if degree == 4:
        zero = out.dtype.type(0.0)
        s0, s1, s2, s3, s4 = zero, zero, zero, zero, zero
        for i in range(n):
            g0 = g[i]
            x = c[i]
            g1 = g0 * x
            x2 = x * x
            s0 += g0
            s1 += g1
            s2 += g0 * x2
            s3 += g1 * x2
            s4 += g0 * x2 * x2
        out[0], out[1], out[2], out[3], out[4] = s0, s1, s2, s3, s4
    else:
        for i in range(n):
            work[i] = g[i]
        for p in range(degree + 1):
            total = out.dtype.type(0.0)
            for i in range(n):
                total += work[i]
                work[i] *= c[i]
            out[p] = total


@internal
def polynomial(d: NDArray, c: NDArray, value: NDArray, slope: NDArray, degree: int, n: int) -> None:
    """Horner's rule: sum of d_p c^p and its derivative."""
    for i in range(n):
        value[i] = d[degree]
        slope[i] = value.dtype.type(0.0)
    for p in range(degree - 1, -1, -1):
        for i in range(n):
            slope[i] = slope[i] * c[i] + value[i]
            value[i] = value[i] * c[i] + d[p]


@internal
def add_backward(g: NDArray, eta: float, p: NDArray, q: NDArray, sums: tuple, n: int) -> None:
    """Add one eta's share: g p, eta g p and g q to the three sums."""
    weight, decay, turn = sums
    rate = g.dtype.type(eta)
    for i in range(n):
        gp = g[i] * p[i]
        weight[i] += gp
        decay[i] += gp * rate
        turn[i] += g[i] * q[i]


@internal
def add_backward4(g: NDArray, eta: float, d: NDArray, c: NDArray, sums: tuple, n: int) -> None:
    """:func:`polynomial` of degree 4 and :func:`add_backward` in one loop."""
    weight, decay, turn = sums
    rate = g.dtype.type(eta)
    d0, d1, d2, d3, d4 = d[0], d[1], d[2], d[3], d[4]
    for i in range(n):
        x = c[i]
        p = x * d4 + d3
        q = x * d4 + p
        p = p * x + d2
        q = q * x + p
        p = p * x + d1
        q = q * x + p
        gp = g[i] * (p * x + d0)
        weight[i] += gp
        decay[i] += gp * rate
        turn[i] += g[i] * q


@internal
def finish_backward(
    sums: tuple, slope: NDArray, c: NDArray, inverse: NDArray, along: NDArray, n: int
) -> None:
    """Turn the three sums into what the scatter needs, in place.

    On return ``along`` is dE/d(d_j . d_k); the sums hold the factor of the cutoffs' slopes, the
    rest of dE/d(r²), and the factor of -1 / (2 r²), in this order.
    """
    weight, decay, turn = sums
    for i in range(n):
        shared = slope[i] * weight[i] - decay[i]
        along[i] = turn[i] * inverse[i] - shared - shared
        decay[i] = shared - decay[i]
        turn[i] *= c[i]


@internal
def tanh(x: NDArray, n: int) -> None:
    """Hyperbolic tangent in place, through exp(-2 |x|) with the argument capped at 20."""
    real = x.dtype.type
    one = real(1.0)
    half = real(0.5)
    twenty = real(20.0)
    factor = real(-2.0 / 256.0)
    c3, c4, c5 = real(1 / 6), real(1 / 24), real(1 / 120)
    c6, c7, c8, c9 = real(1 / 720), real(1 / 5040), real(1 / 40320), real(1 / 362880)
    for i in range(n):
        z = min(abs(x[i]), twenty) * factor
        p = c9 * z + c8
        p = p * z + c7
        p = p * z + c6
        p = p * z + c5
        p = p * z + c4
        p = p * z + c3
        p = p * z + half
        p = p * z + one
        # exp(z) - 1, squared eight times as e -> e (e + 2): keeps small arguments exact.
        e = p * z
        for _ in range(8):
            e = e * (e + one + one)
        t = -e / (e + one + one)
        x[i] = t if x[i] >= 0 else -t


@internal
def affine(w: NDArray, b: NDArray, x: NDArray, out: NDArray) -> None:
    """``out = w @ x + b`` with w of shape (n_out, n_in)."""
    for k in range(w.shape[0]):
        row = w[k]
        total = b[k]
        for m in range(w.shape[1]):
            total += row[m] * x[m]
        out[k] = total


@internal
def add_transposed(w: NDArray, g: NDArray, out: NDArray) -> None:
    """``out += w.T @ g`` with w of shape (n_out, n_in); rows in pairs halve the traffic."""
    n_out = w.shape[0]
    for k in range(0, n_out - 1, 2):
        first, second = w[k], w[k + 1]
        a, b = g[k], g[k + 1]
        for m in range(w.shape[1]):
            out[m] += a * first[m] + b * second[m]
    if n_out % 2 == 1:
        row = w[n_out - 1]
        a = g[n_out - 1]
        for m in range(w.shape[1]):
            out[m] += a * row[m]


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
