"""
Dense networks with the derivatives that training on forces needs.

Forces contain dE/dx, so the gradient of a force loss needs second derivatives. They come from a
tangent pass: with x' the change of the inputs that the force residuals ask for, the wanted gradient
is that of sum E'(x, x') and one reverse pass through value and tangent gives it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Layers = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


class Forward(NamedTuple):
    """
    What a forward pass leaves for the passes after it.

    Attributes
    ----------
    activations : list of ndarray
        Input and output of every hidden layer, each (n_atoms, width).
    energies : ndarray
        In units of the network, shape (n_atoms,).
    first_gradient : ndarray
        Derivative by what the first hidden neurons are fed, shape (n_atoms, width): dE/dx is this
        times the first weights, which the caller folds into a matrix of its own.
    """

    activations: list[NDArray]
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
    """All parameters in one vector."""
    return np.concatenate([part.ravel() for net in networks for layer in net for part in layer])


def unflatten(vector: NDArray, sizes: tuple[int, ...], n_networks: int) -> list[Layers]:
    """Give views into the vector, undoing :func:`flatten`."""
    networks, o = [], 0
    for _ in range(n_networks):
        layers = []
        for n_in, n_out in pairwise(sizes):
            weights = vector[o : o + n_in * n_out].reshape(n_in, n_out)
            o += n_in * n_out
            layers.append((weights, vector[o : o + n_out]))
            o += n_out
        networks.append(layers)
    return networks


def weight_mask(sizes: tuple[int, ...], n_networks: int) -> NDArray[np.float64]:
    """One for weights, zero for biases: the parameters L2 acts on."""
    networks: list[Layers] = [
        [(np.ones((n_in, n_out)), np.zeros(n_out)) for n_in, n_out in pairwise(sizes)]
        for _ in range(n_networks)
    ]
    return flatten(networks)


def forward(layers: Layers, x: NDArray) -> Forward:
    """Energies and their gradient by the inputs, tanh between layers."""
    activations = [x]
    for weights, bias in layers[:-1]:
        activations.append(np.tanh(activations[-1] @ weights + bias))
    weights, bias = layers[-1]
    energies = (activations[-1] @ weights + bias)[:, 0]
    gradient = weights[:, 0] * (1.0 - activations[-1] ** 2)
    for (inner, _), a in zip(layers[-2:0:-1], activations[-2:0:-1], strict=True):
        gradient = (gradient @ inner.T) * (1.0 - a * a)
    return Forward(activations, energies, gradient)


def parameter_gradient(
    layers: Layers, state: Forward, first_tangent: NDArray, energy_weights: NDArray
) -> tuple[Layers, NDArray]:
    """
    Gradient of sum(energy_weights E) + sum(E'), E' the change of E along a tangent x'.

    Parameters
    ----------
    layers : list of (ndarray, ndarray)
        Of the network.
    state : Forward
        Of the forward pass.
    first_tangent : ndarray
        x' times the first weights, shape (n_atoms, width).
    energy_weights : ndarray
        Shape (n_atoms,).

    Returns
    -------
    tuple
        Gradients shaped like the layers, and the factor f of shape (n_atoms, width) for which
        x'.T @ f is still to be added to the first weights' gradient.
    """
    acts, raw = state.activations, [first_tangent]
    tangents: list[NDArray] = []
    for (weights, _), a in zip(layers[1:], acts[1:], strict=True):
        tangents.append((1.0 - a * a) * raw[-1])
        raw.append(tangents[-1] @ weights)
    weights = layers[-1][0]
    last_w = acts[-1].T @ energy_weights[:, None] + tangents[-1].sum(axis=0)[:, None]
    gradients = [(last_w, np.array([energy_weights.sum()]))]
    value_bar = energy_weights[:, None] * weights[:, 0]
    tangent_bar: NDArray = np.broadcast_to(weights[:, 0], value_bar.shape)
    z_tangent = tangent_bar
    for k in range(len(layers) - 2, -1, -1):
        a = acts[k + 1]
        slope = 1.0 - a * a
        z_tangent = slope * tangent_bar
        z_value = slope * value_bar - 2.0 * a * raw[k] * z_tangent
        grad_w = acts[k].T @ z_value
        if k > 0:
            grad_w += tangents[k - 1].T @ z_tangent
            value_bar = z_value @ layers[k][0].T
            tangent_bar = z_tangent @ layers[k][0].T
        gradients.append((grad_w, z_value.sum(axis=0)))
    return gradients[::-1], z_tangent
