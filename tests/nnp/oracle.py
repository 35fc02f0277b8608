"""Plain NumPy implementation of the potential, written from the formulas, slow and obvious."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential

ACTIVATIONS: dict[str, Callable[[NDArray], NDArray]] = {
    "linear": lambda x: x,
    "tanh": lambda x: np.tanh(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def cosine_cutoff(r: NDArray, cutoff: float) -> NDArray:
    return np.where(r < cutoff, 0.5 * (1.0 + np.cos(np.pi * r / cutoff)), 0.0)


def symmetry_functions(atoms: Atoms, functions: SymmetryFunctions) -> NDArray:
    """Symmetry functions of every atom, shape (n_atoms, n_functions)."""
    i, j, vectors = primitive_neighbor_list(
        "ijD", (True,) * 3, atoms.cell.array, atoms.positions, functions.radial_cutoff
    )
    symbols = np.array(atoms.get_chemical_symbols())
    rows = []
    for centre in range(len(atoms)):
        d, species = vectors[i == centre], symbols[j[i == centre]]
        r = np.linalg.norm(d, axis=1)
        row = []
        for element in functions.elements:
            own = r[species == element]
            fc = cosine_cutoff(own, functions.radial_cutoff)
            row += [(np.exp(-eta * (own - rs) ** 2) * fc).sum() for eta, rs in functions.radial]
        close = r < functions.angular_cutoff
        row += _angular(d[close], r[close], species[close], functions)
        rows.append(row)
    return np.array(rows)


def _angular(d: NDArray, r: NDArray, species: NDArray, functions: SymmetryFunctions) -> list:
    a, b = np.triu_indices(len(r), 1)
    apart = np.linalg.norm(d[a] - d[b], axis=1)
    cosine = (d[a] * d[b]).sum(axis=1) / (r[a] * r[b])
    cut = functions.angular_cutoff
    fc = cosine_cutoff(r[a], cut) * cosine_cutoff(r[b], cut) * cosine_cutoff(apart, cut)
    squares = r[a] ** 2 + r[b] ** 2 + apart**2
    row = []
    for first, second in functions.pairs:
        match = ((species[a] == first) & (species[b] == second)) | (
            (species[a] == second) & (species[b] == first)
        )
        for eta, zeta, sign in functions.angular:
            terms = np.maximum(1 + sign * cosine, 0.0) ** zeta * np.exp(-eta * squares) * fc
            row.append(2 ** (1 - zeta) * terms[match].sum())
    return row


def atomic_energies(atoms: Atoms, potential: Potential) -> NDArray:
    """Energies in eV by each ensemble member without repulsion, shape (n_atoms, n_members)."""
    values = symmetry_functions(atoms, potential.functions)
    activate = ACTIVATIONS[potential.activation]
    energies = np.zeros((len(atoms), potential.n_members))
    for n, symbol in enumerate(atoms.get_chemical_symbols()):
        e = potential.elements.index(symbol)
        x0 = (values[n] - potential.shift[e]) / potential.scale[e] @ potential.projection[e]
        for member in range(potential.n_members):
            x = x0
            for k, (w, b) in enumerate(zip(potential.weights, potential.biases, strict=True)):
                x = x @ w[e, member] + b[e, member]
                if k < len(potential.weights) - 1:
                    x = activate(x)
            energies[n, member] = x[0] + potential.reference_energies[e]
    return energies
