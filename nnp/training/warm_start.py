"""Training that begins from an earlier potential instead of random weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential
from nnp.training import feed_forward
from nnp.training.dataset import Preprocessing
from nnp.training.options import TrainingOptions

#: Of an input in the root mean square; on the frames of the earlier potential none exceeds one.
LARGEST_INPUT = 2.0
#: Factors of the earlier parameters and of the random ones that are added.
SHRINKAGE, NOISE = 0.7, 0.1


def check_start(start: Potential, functions: SymmetryFunctions, options: TrainingOptions) -> None:
    """
    Refuse a potential whose networks are not of the kind that is to be trained.

    Parameters
    ----------
    start : Potential
        To begin from.
    functions : SymmetryFunctions
        Symmetry functions of the new potential.
    options : TrainingOptions
        Its layers and number of networks.

    Raises
    ------
    ValueError
        Naming what differs.
    """
    hidden = tuple(w.shape[3] for w in start.weights[:-1])
    for name, found, wanted in (
        ("elements", start.elements, functions.elements),
        ("symmetry functions and cutoffs", start.functions, functions),
        ("hidden layers", hidden, options.hidden),
        ("number of networks", start.n_members, options.members),
        ("activation", start.activation, "tanh"),
    ):
        if found != wanted:
            text = "" if name.startswith("sym") else f" ({found} instead of {wanted})"
            raise ValueError(
                f"Training cannot begin from a potential with other {name}{text}; begin without it "
                "or train with its options."
            )


def kept_preprocessing(start: Potential, values: list[NDArray[np.float64]]) -> Preprocessing | None:
    """
    Preprocessing of a potential, if it suits the frames.

    Parameters
    ----------
    start : Potential
        To begin from.
    values : list of ndarray
        Symmetry functions of the training frames by element, each (n_atoms, n_functions).

    Returns
    -------
    Preprocessing or None
        None if the frames are too far from those of the potential: some component, whose mean
        square was one at most, is more than :data:`LARGEST_INPUT` in the root mean square.
    """
    lowest, highest = np.zeros_like(start.shift), np.zeros_like(start.shift)
    for e, own in enumerate(values):
        if not len(own):
            continue
        inputs = (own - start.shift[e]) / start.scale[e] @ start.projection[e]
        if np.sqrt((inputs**2).mean(axis=0)).max() > LARGEST_INPUT:
            return None
        lowest[e], highest[e] = own.min(axis=0), own.max(axis=0)
    return Preprocessing(start.shift, start.scale, start.projection, lowest, highest)


def shrunk(start: Potential, fresh: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """
    Parameters to begin with: those of a potential, made smaller and mixed with random ones.

    Begun from the very parameters, a network stays with what it made of the earlier frames, and is
    the worse for it where they were few (Ash and Adams, "On warm-starting neural network
    training", NeurIPS 2020).

    Parameters
    ----------
    start : Potential
        To begin from.
    fresh : list of ndarray
        Random parameters of each network.

    Returns
    -------
    list of ndarray
        Of each network.
    """
    mixed = []
    for k, noise in enumerate(fresh):
        nets = [
            [(w[e, k], b[e, k]) for w, b in zip(start.weights, start.biases, strict=True)]
            for e in range(len(start.elements))
        ]
        mixed.append(SHRINKAGE * feed_forward.flatten(nets) + NOISE * noise)
    return mixed
