"""
The exponential and the cutoff function, for loops that are vectorised.

Nothing here branches or calls a library. The precision is that of the array ``like``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.kernels.compilation import internal


def cutoff_polynomial(dtype: Any = np.float64) -> NDArray[Any]:
    """
    Coefficients q of the cosine cutoff written as (1 - t)² q(t), t = (r / cutoff)².

    A polynomial in r² needs neither a root nor a cosine. Degree 10 is good to rounding, degree 5 to
    2e-9, which is enough in single precision. The quotient is evaluated through
    sin(pi (1 - sqrt t) / 2) / (1 - t), which has no cancellation at t = 1.

    Returns
    -------
    ndarray
        Ascending powers, shape (11,), of the type asked for.
    """
    degree = 10 if np.dtype(dtype) == np.float64 else 5
    nodes = 0.5 * (1.0 + np.cos(np.pi * (np.arange(64) + 0.5) / 64))
    u = 1.0 - np.sqrt(nodes)
    values = (0.5 * np.pi * np.sinc(0.5 * u) / (1.0 + np.sqrt(nodes))) ** 2
    series = np.polynomial.Chebyshev.fit(nodes, values, degree, domain=[0.0, 1.0])
    powers = series.convert(kind=np.polynomial.Polynomial, domain=[-1, 1])
    return np.asarray(np.pad(powers.coef, (0, 10 - degree)), dtype=dtype)


def _power_of_two(degree: int) -> tuple[float, ...]:
    """Coefficients of a polynomial for 2^x between -1/2 and 1/2, highest power first."""
    series = np.polynomial.Chebyshev.interpolate(np.exp2, degree, domain=[-0.5, 0.5])
    powers = series.convert(kind=np.polynomial.Polynomial, domain=[-1, 1])
    return tuple(float(x) for x in powers.coef[::-1])


#: Good to 2e-14 and to 2e-9.
_DOUBLE, _SINGLE = _power_of_two(9), _power_of_two(6)
LOG2_E = float(np.log2(np.e))


@internal
def exp2(x: Any, like: NDArray) -> Any:
    """
    2^x for x <= 0 in the precision of ``like``; nearly zero below the smallest number.

    x = k + z with integer k and a polynomial in z; k goes into the exponent's bits.
    """
    real = like.dtype.type
    if like.itemsize == 4:
        x = max(x, real(-125.0))
        k = np.rint(x)
        z = x - k
        p = real(_SINGLE[0]) * z + real(_SINGLE[1])
        p = p * z + real(_SINGLE[2])
        p = p * z + real(_SINGLE[3])
        p = p * z + real(_SINGLE[4])
        p = p * z + real(_SINGLE[5])
        p = p * z + real(_SINGLE[6])
        power = real(np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32))
    else:
        x = max(x, real(-1021.0))
        k = np.rint(x)
        z = x - k
        p = real(_DOUBLE[0]) * z + real(_DOUBLE[1])
        p = p * z + real(_DOUBLE[2])
        p = p * z + real(_DOUBLE[3])
        p = p * z + real(_DOUBLE[4])
        p = p * z + real(_DOUBLE[5])
        p = p * z + real(_DOUBLE[6])
        p = p * z + real(_DOUBLE[7])
        p = p * z + real(_DOUBLE[8])
        p = p * z + real(_DOUBLE[9])
        bits = (np.int64(np.int32(k)) + np.int64(1023)) << np.int64(52)
        power = real(np.int64(bits).view(np.float64))
    return p * power


@internal
def polynomial_coefficients(q: NDArray) -> tuple:
    """Give the cutoff's polynomial as numbers, which a loop can hold in registers."""
    return q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7], q[8], q[9], q[10]


@internal
def horner_step(p: Any, d: Any, t: Any, q: Any) -> tuple:
    """One step of Horner's rule for a polynomial of t and its derivative."""
    return p * t + q, d * t + p


@internal
def cutoff(t: Any, q: tuple, like: NDArray) -> tuple:
    """
    Cosine cutoff from t = (r / cutoff)² <= 1.

    Parameters
    ----------
    t : scalar
        Squared distance over squared cutoff.
    q : tuple
        :func:`polynomial_coefficients` of :func:`cutoff_polynomial`.
    like : ndarray
        Gives the precision.

    Returns
    -------
    tuple of float
        fc, and numerator and denominator of d(log fc)/dt.
    """
    real = like.dtype.type
    # At the cutoff itself rounding may leave 1 - t = 0; fc times the slope must stay finite.
    u = max(real(1.0) - t, real(1e-12) if like.itemsize == 8 else real(1e-7))
    if like.itemsize == 8:
        p, d = horner_step(q[10], real(0.0), t, q[9])
        p, d = horner_step(p, d, t, q[8])
        p, d = horner_step(p, d, t, q[7])
        p, d = horner_step(p, d, t, q[6])
        p, d = horner_step(p, d, t, q[5])
        p, d = horner_step(p, d, t, q[4])
    else:
        p, d = horner_step(q[5], real(0.0), t, q[4])
    p, d = horner_step(p, d, t, q[3])
    p, d = horner_step(p, d, t, q[2])
    p, d = horner_step(p, d, t, q[1])
    p, d = horner_step(p, d, t, q[0])
    product = u * p
    return u * product, u * d - p - p, product
