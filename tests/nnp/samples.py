"""Potentials with arbitrary weights and structures to try them on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from ase import Atoms

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential


def random_potential(
    functions: SymmetryFunctions,
    seed: int = 0,
    hidden: tuple[int, ...] = (30, 30),
    members: int = 1,
    activation: str = "tanh",
) -> Potential:
    """Potential whose energies vary by some eV with the environment."""
    rng = np.random.default_rng(seed)
    n, f = len(functions.elements), functions.n_functions
    sizes = [f, *hidden, 1]
    pairs = list(pairwise(sizes))
    return Potential(
        functions=functions,
        shift=rng.uniform(0.0, 0.5, (n, f)),
        scale=rng.uniform(0.5, 2.0, (n, f)),
        projection=rng.normal(0.0, f**-0.5, (n, f, f)),
        weights=tuple(rng.normal(0.0, 1.0 / np.sqrt(i), (n, members, i, o)) for i, o in pairs),
        biases=tuple(rng.normal(0.0, 0.3, (n, members, o)) for _, o in pairs),
        reference_energies=rng.normal(-3.0, 1.0, n),
        activation=activation,
    )


def disordered(
    symbols: str, length: float = 7.0, seed: int = 0, skew: float = 0.8, closest: float = 1.2
) -> Atoms:
    """Random periodic structure without very short distances."""
    rng = np.random.default_rng(seed)
    n = len(Atoms(symbols))
    cell = np.eye(3) * length + rng.normal(0.0, skew, (3, 3))
    atoms = Atoms(symbols, cell=cell, pbc=True, scaled_positions=rng.random((n, 3)))
    for _ in range(2000):
        distances = atoms.get_all_distances(mic=True) + np.eye(n) * 9
        i, j = np.unravel_index(distances.argmin(), distances.shape)
        if distances[i, j] > closest:
            break
        atoms.positions[i] = rng.random(3) @ cell
    return atoms
