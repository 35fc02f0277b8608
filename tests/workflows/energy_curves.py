"""Derivatives of energies in single precision, by curves through many points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk

#: Components of a stress.
COMPONENTS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def sheared_salt() -> Atoms:
    """Four atoms of rock salt in a cell without symmetry."""
    atoms = bulk("NaCl", "rocksalt", a=5.5) * (2, 1, 1)
    atoms.set_cell(atoms.cell.array @ [[1, 0.03, 0], [0, 0.97, 0.05], [0.02, 0, 1.04]], True)
    atoms.rattle(0.1, seed=1)
    return atoms


def derivative(energy: Callable[[float], float], reach: float, points: int) -> float:
    """Derivative at zero of a polynomial through or between points: single precision is rough."""
    steps = np.linspace(-reach, reach, points)
    curve = np.polynomial.Polynomial.fit(steps, [energy(step) for step in steps], 4)
    return float(curve.deriv()(0.0))


def moved(atoms: Atoms, i: int, k: int) -> Callable[[float], float]:
    """Energy (eV) with an atom moved along an axis."""

    def energy(step: float) -> float:
        copy = atoms.copy()
        copy.calc = atoms.calc
        copy.positions[i, k] += step
        return float(copy.get_potential_energy())

    return energy


def strained(atoms: Atoms, a: int, b: int) -> Callable[[float], float]:
    """Energy (eV) under a symmetric strain."""

    def energy(step: float) -> float:
        copy = atoms.copy()
        copy.calc = atoms.calc
        strain = np.eye(3)
        strain[a, b] += step / 2
        strain[b, a] += step / 2
        copy.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        return float(copy.get_potential_energy())

    return energy
