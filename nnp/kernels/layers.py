"""
The network of one atom, forwards and back.

Layers are padded (see :func:`nnp.kernels.workspace.padded`), so that loops have no remainder.
"""

from __future__ import annotations

from numpy.typing import NDArray

from nnp.kernels.compilation import internal
from nnp.kernels.functions import LOG2_E, exp2
from nnp.kernels.workspace import WIDTH


@internal
def tanh(x: NDArray, n: int) -> None:
    """Hyperbolic tangent in place, through exp(-2 |x|)."""
    one, rate = x.dtype.type(1.0), x.dtype.type(-2.0 * LOG2_E)
    for i in range(n):
        e = exp2(rate * abs(x[i]), x)
        t = (one - e) / (one + e)
        x[i] = t if x[i] >= 0 else -t


@internal
def affine(w: NDArray, b: NDArray, x: NDArray, out: NDArray) -> None:
    """``out = w @ x + b`` with w of shape (n_out, n_in); four rows share what is read of x."""
    n_in = w.shape[1]
    zero = out.dtype.type(0.0)
    for k in range(0, w.shape[0] - 3, 4):
        w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
        s0, s1, s2, s3 = zero, zero, zero, zero
        for m in range(n_in):
            s0 += w0[m] * x[m]
            s1 += w1[m] * x[m]
            s2 += w2[m] * x[m]
            s3 += w3[m] * x[m]
        out[k] = s0 + b[k]
        out[k + 1] = s1 + b[k + 1]
        out[k + 2] = s2 + b[k + 2]
        out[k + 3] = s3 + b[k + 3]


@internal
def add_transposed(w: NDArray, g: NDArray, out: NDArray) -> None:
    """``out += w.T @ g`` with w of shape (n_out, n_in); four rows share what is read of out."""
    n_in = w.shape[1]
    for k in range(0, w.shape[0] - 3, 4):
        w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
        g0, g1, g2, g3 = g[k], g[k + 1], g[k + 2], g[k + 3]
        for m in range(n_in):
            out[m] += g0 * w0[m] + g1 * w1[m] + g2 * w2[m] + g3 * w3[m]


@internal
def multiple(n: int, of: int) -> int:
    """The next multiple."""
    return (n + of - 1) // of * of


@internal
def energy_and_gradient(
    sizes: NDArray, flat: NDArray, layers: NDArray, gradients: NDArray, dx: NDArray
) -> float:
    """Energy of one network; adds dE/dx to ``dx``. The input is ``layers[0]``."""
    n_layers = sizes.size - 1
    o = 0
    for k in range(n_layers):
        n_in, n_out = multiple(sizes[k], WIDTH), multiple(sizes[k + 1], 4)
        w = flat[o : o + n_in * n_out].reshape((n_out, n_in))
        o += n_in * n_out
        affine(w, flat[o : o + n_out], layers[k], layers[k + 1])
        o += n_out
        if k < n_layers - 1:
            tanh(layers[k + 1], multiple(n_out, WIDTH))
    energy = layers[n_layers, 0]
    real = layers.dtype.type
    zero, one = real(0.0), real(1.0)
    for m in range(4):
        gradients[n_layers, m] = one if m == 0 else zero
    for k in range(n_layers - 1, -1, -1):
        n_in, n_out = multiple(sizes[k], WIDTH), multiple(sizes[k + 1], 4)
        o -= n_out + n_in * n_out
        w = flat[o : o + n_in * n_out].reshape((n_out, n_in))
        if k == 0:
            add_transposed(w, gradients[1], dx)
        else:
            g, a = gradients[k], layers[k]
            for m in range(n_in):
                g[m] = zero
            add_transposed(w, gradients[k + 1], g)
            for m in range(n_in):
                g[m] *= one - a[m] * a[m]
    return energy
