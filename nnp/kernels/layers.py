"""
The network, forwards and back, of two atoms of an element at a time.

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
def affine(w: NDArray, b: NDArray, inputs: tuple, outputs: tuple) -> None:
    """``out = w @ x + b`` of two atoms, with w of shape (n_out, n_in); four rows at a time."""
    x, y = inputs
    out, other = outputs
    n_in = w.shape[1]
    zero = out.dtype.type(0.0)
    for k in range(0, w.shape[0] - 3, 4):
        w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
        s0, s1, s2, s3 = zero, zero, zero, zero
        t0, t1, t2, t3 = zero, zero, zero, zero
        for m in range(n_in):
            s0 += w0[m] * x[m]
            s1 += w1[m] * x[m]
            s2 += w2[m] * x[m]
            s3 += w3[m] * x[m]
            t0 += w0[m] * y[m]
            t1 += w1[m] * y[m]
            t2 += w2[m] * y[m]
            t3 += w3[m] * y[m]
        out[k], other[k] = s0 + b[k], t0 + b[k]
        out[k + 1], other[k + 1] = s1 + b[k + 1], t1 + b[k + 1]
        out[k + 2], other[k + 2] = s2 + b[k + 2], t2 + b[k + 2]
        out[k + 3], other[k + 3] = s3 + b[k + 3], t3 + b[k + 3]


@internal
def add_transposed(w: NDArray, gradients: tuple, outputs: tuple) -> None:
    """``out += w.T @ g`` of two atoms, with w of shape (n_out, n_in); four rows at a time."""
    g, h = gradients
    out, other = outputs
    n_in = w.shape[1]
    for k in range(0, w.shape[0] - 3, 4):
        w0, w1, w2, w3 = w[k], w[k + 1], w[k + 2], w[k + 3]
        g0, g1, g2, g3 = g[k], g[k + 1], g[k + 2], g[k + 3]
        h0, h1, h2, h3 = h[k], h[k + 1], h[k + 2], h[k + 3]
        for m in range(n_in):
            out[m] += g0 * w0[m] + g1 * w1[m] + g2 * w2[m] + g3 * w3[m]
            other[m] += h0 * w0[m] + h1 * w1[m] + h2 * w2[m] + h3 * w3[m]


@internal
def multiple(n: int, of: int) -> int:
    """The next multiple."""
    return (n + of - 1) // of * of


@internal
def start_backward(gradient: NDArray) -> None:
    """Derivative of the energy by the last layer, of which the first number is the energy."""
    real = gradient.dtype.type
    for m in range(4):
        gradient[m] = real(1.0) if m == 0 else real(0.0)


@internal
def clear(gradient: NDArray, n: int) -> None:
    """Zero the first numbers."""
    for m in range(n):
        gradient[m] = 0.0


@internal
def through_tanh(gradient: NDArray, a: NDArray, n: int) -> None:
    """From the derivative by outputs of neurons to that by what they are fed."""
    one = gradient.dtype.type(1.0)
    for m in range(n):
        gradient[m] *= one - a[m] * a[m]


@internal
def energies_and_gradients(sizes: NDArray, flat: NDArray, one: tuple, two: tuple) -> tuple:
    """
    Energies of two atoms by one network, and their derivatives.

    The weights are more than the first cache holds, and reading them takes longer than the
    arithmetic of one atom.

    Parameters
    ----------
    sizes : ndarray of int
        Width of every layer.
    flat : ndarray
        All weights and biases.
    one, two : tuple of ndarray
        (layers, layer gradients, dE/dx) of each atom: the input is the first layer, and dE/dx is
        added to.

    Returns
    -------
    tuple of float
        The energies.
    """
    layers, gradients, dx = one
    layers2, gradients2, dx2 = two
    n_layers = sizes.size - 1
    o = 0
    for k in range(n_layers):
        n_in, n_out = multiple(sizes[k], WIDTH), multiple(sizes[k + 1], 4)
        w = flat[o : o + n_in * n_out].reshape((n_out, n_in))
        o += n_in * n_out
        inputs, outputs = (layers[k], layers2[k]), (layers[k + 1], layers2[k + 1])
        affine(w, flat[o : o + n_out], inputs, outputs)
        o += n_out
        if k < n_layers - 1:
            tanh(layers[k + 1], multiple(n_out, WIDTH))
            tanh(layers2[k + 1], multiple(n_out, WIDTH))
    start_backward(gradients[n_layers])
    start_backward(gradients2[n_layers])
    for k in range(n_layers - 1, -1, -1):
        n_in, n_out = multiple(sizes[k], WIDTH), multiple(sizes[k + 1], 4)
        o -= n_out + n_in * n_out
        w = flat[o : o + n_in * n_out].reshape((n_out, n_in))
        above = (gradients[k + 1], gradients2[k + 1])
        if k == 0:
            add_transposed(w, above, (dx, dx2))
        else:
            clear(gradients[k], n_in)
            clear(gradients2[k], n_in)
            add_transposed(w, above, (gradients[k], gradients2[k]))
            through_tanh(gradients[k], layers[k], n_in)
            through_tanh(gradients2[k], layers2[k], n_in)
    return layers[n_layers, 0], layers2[n_layers, 0]
