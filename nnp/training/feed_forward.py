"""
Dense networks with the derivatives that training on forces needs, several of them side by side.

All networks are fed the same atoms. Arrays have the networks first, and each network is computed on
its own, so that it gets the same numbers whichever others are there.

Forces contain dE/dx, so the gradient of a force loss needs second derivatives. They come from a
tangent pass: with x' the change of the inputs that the force residuals ask for, the wanted gradient
is that of sum E'(x, x') and one reverse pass through value and tangent gives it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Layers = list[tuple[NDArray, NDArray]]


class Forward(NamedTuple):
    """
    What a forward pass leaves for the passes after it.

    Attributes
    ----------
    activations : list of ndarray
        The inputs, shape (n_atoms, n_inputs), then the output of every hidden layer, each
        (n_networks, n_atoms, width).
    slopes : list of ndarray
        Derivative of each of these outputs by what its neurons are fed.
    energies : ndarray
        In units of the network, shape (n_networks, n_atoms).
    first_gradient : ndarray
        Derivative by what the first hidden neurons are fed, shape (n_networks, n_atoms, width):
        dE/dx is this times the first weights, which the caller folds into a matrix of its own.
    """

    activations: list[NDArray]
    slopes: list[NDArray]
    energies: NDArray
    first_gradient: NDArray


def initial_layers(sizes: tuple[int, ...], generator: np.random.Generator) -> Layers:
    """Random layers of (n_in, n_out) weights that keep the variance of the signal."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        weights = generator.normal(0.0, np.sqrt(2.0 / (n_in + n_out)), (n_in, n_out))
        layers.append((weights, np.zeros(n_out)))
    return layers


def flatten(networks: list[Layers]) -> NDArray[np.float64]:
    """All parameters of the elements' networks in one vector."""
    return np.concatenate([part.ravel() for net in networks for layer in net for part in layer])


def unflatten(vectors: NDArray, sizes: tuple[int, ...], n_elements: int) -> list[Layers]:
    """
    Give views into vectors that :func:`flatten` made.

    Parameters
    ----------
    vectors : ndarray
        Shape (..., n_parameters).
    sizes : tuple of int
        Widths of the layers.
    n_elements : int
        Number of elements.

    Returns
    -------
    list of Layers
        For each element weights (..., n_in, n_out) and biases (..., n_out).
    """
    networks, o = [], 0
    for _ in range(n_elements):
        layers = []
        for n_in, n_out in pairwise(sizes):
            weights = vectors[..., o : o + n_in * n_out]
            o += n_in * n_out
            layers.append(
                (weights.reshape(*vectors.shape[:-1], n_in, n_out), vectors[..., o : o + n_out])
            )
            o += n_out
        networks.append(layers)
    return networks


def weight_mask(sizes: tuple[int, ...], n_elements: int) -> NDArray[np.float64]:
    """One for weights, zero for biases: the parameters L2 acts on."""
    networks: list[Layers] = [
        [(np.ones((n_in, n_out)), np.zeros(n_out)) for n_in, n_out in pairwise(sizes)]
        for _ in range(n_elements)
    ]
    return flatten(networks)


def forward(layers: Layers, x: NDArray) -> Forward:
    """
    Energies and their gradient by the inputs, tanh between layers.

    Parameters
    ----------
    layers : Layers
        Of one element's networks, weights (n_networks, n_in, n_out) and biases (n_networks, n_out).
    x : ndarray
        Inputs, the same for all networks, shape (n_atoms, n_inputs).
    """
    activations, slopes = [x], []
    for weights, bias in layers[:-1]:
        a = activations[-1] @ weights
        a += bias[:, None]
        np.tanh(a, out=a)
        activations.append(a)
        slope = a * a
        slopes.append(np.subtract(1.0, slope, out=slope))
    weights, bias = layers[-1]
    energies = (activations[-1] @ weights)[:, :, 0] + bias
    gradient = slopes[-1] * weights[:, None, :, 0]
    for (inner, _), slope in zip(layers[-2:0:-1], slopes[-2::-1], strict=True):
        gradient = gradient @ inner.swapaxes(1, 2)
        gradient *= slope
    return Forward(activations, slopes, energies, gradient)


def parameter_gradient(
    layers: Layers, state: Forward, first_tangent: NDArray, energy_weights: NDArray, out: Layers
) -> NDArray:
    """
    Gradient of sum(energy_weights E) + sum(E'), E' the change of E along a tangent x'.

    Parameters
    ----------
    layers : Layers
        Of one element's networks.
    state : Forward
        Of the forward pass.
    first_tangent : ndarray
        x' times the first weights, shape (n_networks, n_atoms, width); it is overwritten.
    energy_weights : ndarray
        Shape (n_networks, n_atoms).
    out : Layers
        Written: the gradients.

    Returns
    -------
    ndarray
        The factor f of shape (n_networks, n_atoms, width) for which x'.T @ f is still to be added
        to the first weights' gradient.
    """
    acts, slopes, raw = state.activations, state.slopes, [first_tangent]
    tangents: list[NDArray] = []
    for (weights, _), slope in zip(layers[1:], slopes, strict=True):
        tangents.append(slope * raw[-1])
        if len(raw) < len(slopes):
            raw.append(tangents[-1] @ weights)
    # Sums over atoms are products with ones, which are much faster than sums along that axis.
    ones = np.ones((1, acts[0].shape[0]), acts[0].dtype)
    weights = layers[-1][0][:, None, :, 0]
    by_value = energy_weights[:, None] @ acts[-1] + ones @ tangents[-1]
    out[-1][0][...] = by_value.swapaxes(1, 2)
    out[-1][1][...] = energy_weights.sum(axis=1)[:, None]
    value_bar = energy_weights[:, :, None] * weights
    tangent_bar = weights
    for k in range(len(layers) - 2, -1, -1):
        z_tangent = slopes[k] * tangent_bar
        value_bar *= slopes[k]
        # second derivative of tanh: -2 a (1 - a²)
        raw[k] *= acts[k + 1]
        raw[k] *= z_tangent
        raw[k] *= 2.0
        value_bar -= raw[k]
        grad_w = acts[k].swapaxes(-1, -2) @ value_bar
        if k > 0:
            grad_w += tangents[k - 1].swapaxes(1, 2) @ z_tangent
        out[k][0][...] = grad_w
        out[k][1][...] = (ones @ value_bar)[:, 0]
        if k > 0:
            transposed = layers[k][0].swapaxes(1, 2)
            value_bar, tangent_bar = value_bar @ transposed, z_tangent @ transposed
    return z_tangent
