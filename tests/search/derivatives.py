"""Derivatives of a batch energy by finite differences, against which forces are held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

    from search.relax.energy import BatchEnergy


def evaluate(model: BatchEnergy, atoms: Atoms) -> Any:
    """Energies, forces, stresses and atomic energies of a batch of one structure."""
    evaluator = model.evaluator(atoms.numbers, np.array([len(atoms)]))
    return evaluator.compute(np.array([atoms.cell.array]), atoms.positions)


def numerical_force(model: BatchEnergy, atoms: Atoms, i: int, k: int) -> float:
    """Force (eV/Å) on atom `i` along `k`."""
    energies = []
    for step in (1e-4, -1e-4):
        moved = atoms.copy()
        moved.positions[i, k] += step
        energies.append(evaluate(model, moved)[0][0])
    return float((energies[1] - energies[0]) / 2e-4)


def numerical_stress(model: BatchEnergy, atoms: Atoms, a: int, b: int) -> float:
    """Component (eV/Å³) of the derivative by symmetric strain."""
    energies = []
    for step in (1e-5, -1e-5):
        strain = np.eye(3)
        strain[a, b] += step / 2
        strain[b, a] += step / 2
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        energies.append(evaluate(model, strained)[0][0])
    return float((energies[0] - energies[1]) / 2e-5 / atoms.get_volume())
