"""A compiled pair potential with the batch interface, so that searches in tests take seconds."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from ase.data import atomic_numbers

from search.geometry import image_shifts, nearest


@numba.njit(cache=True)
def _pairs(counts, kinds, cells, positions, cutoff, epsilon, sigma, charge, alpha):
    """Shifted-force Lennard-Jones and damped Coulomb energies, forces and virials."""
    n_total = len(positions)
    energies = np.zeros(len(counts))
    forces = np.zeros((n_total, 3))
    stresses = np.zeros((len(counts), 3, 3))
    atomic = np.zeros(n_total)
    coulomb = 14.399645
    end = 0
    base, delta = np.empty(3), np.empty(3)
    for s in range(len(counts)):
        start, end = end, end + counts[s]
        cell = cells[s]
        inverse = np.linalg.inv(cell)
        shifts = image_shifts(cell, cutoff)
        for i in range(start, end):
            for j in range(start, end):
                nearest(positions[i], positions[j], cell, inverse, base)
                for image in range(1 if i == j else 0, len(shifts)):
                    delta[:] = base + shifts[image]
                    square = (delta**2).sum()
                    if square >= cutoff * cutoff or square < 1e-4:
                        continue
                    d = np.sqrt(square)
                    a, b = kinds[i], kinds[j]
                    e, slope = 0.0, 0.0
                    for sign, at in ((1.0, d), (-1.0, cutoff)):
                        six = (sigma[a, b] / at) ** 6
                        lj = 4 * epsilon[a, b] * (six * six - six)
                        dlj = -24 * epsilon[a, b] * (2 * six * six - six) / at
                        qq = coulomb * charge[a] * charge[b] * np.exp(-alpha * at)
                        dq = -qq / at * (alpha + 1 / at)
                        e += sign * (lj + qq / at)
                        slope += sign * (dlj + dq)
                        if sign < 0:
                            e -= (d - cutoff) * (dlj + dq)
                    atomic[i] += 0.5 * e
                    for k in range(3):
                        forces[i, k] += slope * delta[k] / d
                        for m in range(3):
                            stresses[s, k, m] += 0.5 * slope * delta[k] * delta[m] / d
        stresses[s] /= abs(np.linalg.det(cell))
        energies[s] = atomic[start:end].sum()
    return energies, forces, stresses, atomic


class PairEnergy:
    """Lennard-Jones plus screened charges; eV and Å."""

    def __init__(self, sigma, epsilon, charge=None, cutoff=9.0, alpha=0.25):
        self.elements = tuple(sorted(charge or {k.split("-")[0] for k in sigma}))
        n = len(self.elements)
        self.sigma, self.epsilon = np.zeros((n, n)), np.zeros((n, n))
        for i, a in enumerate(self.elements):
            for j, b in enumerate(self.elements):
                key = "-".join(sorted((a, b)))
                self.sigma[i, j], self.epsilon[i, j] = sigma[key], epsilon[key]
        self.charge = np.array([(charge or {}).get(s, 0.0) for s in self.elements])
        self.cutoff, self.alpha = cutoff, alpha
        self.evaluations = 0

    def evaluator(self, numbers, counts, threads=1):
        order = [atomic_numbers[s] for s in self.elements]
        return _Evaluator(self, np.searchsorted(np.sort(order), numbers), np.asarray(counts))


class _Evaluator:
    def __init__(self, energy, kinds, counts):
        self.energy, self.kinds, self.counts = energy, kinds, counts

    def compute(self, cells, positions):
        e = self.energy
        e.evaluations += len(cells)
        return _pairs(
            self.counts,
            self.kinds,
            cells,
            positions,
            e.cutoff,
            e.epsilon,
            e.sigma,
            e.charge,
            e.alpha,
        )

    def select(self, keep):
        return _Evaluator(self.energy, self.kinds[np.repeat(keep, self.counts)], self.counts[keep])


@pytest.fixture
def lennard_jones() -> PairEnergy:
    """Argon: the ground state is close packed."""
    return PairEnergy({"Ar-Ar": 3.4}, {"Ar-Ar": 0.0104 * 10}, cutoff=8.5)


@pytest.fixture
def rock_salt() -> PairEnergy:
    """Two ions of charge 1 with sizes that put six neighbours around each."""
    sigma = {"Na-Na": 2.6, "Cl-Na": 2.6, "Cl-Cl": 3.6}
    return PairEnergy(sigma, dict.fromkeys(sigma, 0.01), {"Na": 1.0, "Cl": -1.0}, cutoff=8.0)
