"""A compiled pair potential with the batch interface, so that searches in tests take seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numba
import numpy as np
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress

from search.geometry import image_shifts, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

COULOMB = 14.399645
"""eV Å per squared elementary charge."""


class Model(NamedTuple):
    """Parameters of the pairs of kinds (k, k), charges (k,), cutoff, screening."""

    sigma: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    repulsion: NDArray[np.float64]
    softness: NDArray[np.float64]
    dispersion: NDArray[np.float64]
    charge: NDArray[np.float64]
    cutoff: float
    screening: float


@numba.njit(cache=True)
def _bare(model: Model, a: int, b: int, d: float) -> tuple[float, float]:
    """Energy (eV) of two atoms at distance d (Å), and its derivative."""
    six = (model.sigma[a, b] / d) ** 6
    epsilon = model.epsilon[a, b]
    charges = COULOMB * model.charge[a] * model.charge[b] * np.exp(-model.screening * d) / d
    energy = 4 * epsilon * (six * six - six) + charges
    slope = -24 * epsilon * (2 * six * six - six) / d - charges * (model.screening + 1 / d)
    if model.repulsion[a, b] > 0.0:
        wall = model.repulsion[a, b] * np.exp(-d / model.softness[a, b])
        well = model.dispersion[a, b] / d**6
        energy += wall - well
        slope += 6 * well / d - wall / model.softness[a, b]
    return energy, slope


FLAT = 40.0
"""Cutoff over the smallest height of a cell, beyond which nothing is computed."""


@numba.njit(cache=True)
def _pairs(
    counts: NDArray[np.int64],
    kinds: NDArray[np.int64],
    cells: NDArray[np.float64],
    positions: NDArray[np.float64],
    model: Model,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Energies, forces, stresses and atomic energies; energy and force vanish at the cutoff."""
    energies, atomic = np.zeros(len(counts)), np.zeros(len(positions))
    forces, stresses = np.zeros_like(positions), np.zeros_like(cells)
    base, delta = np.empty(3), np.empty(3)
    end = 0
    for s in range(len(counts)):
        start, end = end, end + counts[s]
        cell = cells[s]
        inverse = np.linalg.inv(cell)
        # a flat cell has more images than memory
        if np.sqrt((inverse**2).sum(axis=0)).max() * model.cutoff > FLAT:
            energies[s] = np.nan
            forces[start:end], stresses[s] = np.nan, np.nan
            continue
        shifts = image_shifts(cell, model.cutoff)
        for i in range(start, end):
            for j in range(i, end):
                nearest(positions[i], positions[j], cell, inverse, base)
                at_cutoff, slope_at_cutoff = _bare(model, kinds[i], kinds[j], model.cutoff)
                # an atom meets each image of its own twice, once from either side
                weight = 0.5 if i == j else 1.0
                for image in range(1 if i == j else 0, len(shifts)):
                    delta[:] = base + shifts[image]
                    square = (delta**2).sum()
                    if square >= model.cutoff**2 or square < 1e-4:
                        continue
                    d = np.sqrt(square)
                    energy, slope = _bare(model, kinds[i], kinds[j], d)
                    energy -= at_cutoff + (d - model.cutoff) * slope_at_cutoff
                    slope -= slope_at_cutoff
                    atomic[i] += 0.5 * weight * energy
                    atomic[j] += 0.5 * weight * energy
                    for k in range(3):
                        if i != j:
                            forces[i, k] += slope * delta[k] / d
                            forces[j, k] -= slope * delta[k] / d
                        for m in range(3):
                            stresses[s, k, m] += weight * slope * delta[k] * delta[m] / d
        stresses[s] /= abs(np.linalg.det(cell))
        energies[s] = atomic[start:end].sum()
    return energies, forces, stresses, atomic


class PairEnergy:
    """
    Lennard-Jones or Buckingham, plus screened charges; eV and Å.

    `buckingham` has A, rho and C of A exp(-r / rho) - C / r⁶ by pair; pairs that it does not name
    have none.
    """

    def __init__(
        self,
        sigma: Mapping[str, float],
        epsilon: Mapping[str, float],
        charge: Mapping[str, float] | None = None,
        cutoff: float = 9.0,
        screening: float = 0.25,
        buckingham: Mapping[str, tuple[float, float, float]] | None = None,
    ) -> None:
        symbols = charge or {pair.split("-")[0] for pair in sigma}
        self.elements = tuple(sorted(symbols, key=lambda symbol: atomic_numbers[symbol]))
        keys = [["-".join(sorted((a, b))) for b in self.elements] for a in self.elements]
        walls = [[(buckingham or {}).get(key, (0.0, 1.0, 0.0)) for key in row] for row in keys]
        repulsion, softness, dispersion = np.moveaxis(np.array(walls, dtype=float), -1, 0).copy()
        self.model = Model(
            np.array([[float(sigma.get(key, 1.0)) for key in row] for row in keys]),
            np.array([[float(epsilon.get(key, 0.0)) for key in row] for row in keys]),
            repulsion,
            softness,
            dispersion,
            np.array([float((charge or {}).get(symbol, 0.0)) for symbol in self.elements]),
            cutoff,
            screening,
        )
        self.evaluations = 0

    def evaluator(
        self, numbers: NDArray[np.integer], counts: NDArray[np.integer], threads: int = 1
    ) -> PairEvaluator:
        """See `BatchEnergy.evaluator`."""
        known = np.array([atomic_numbers[symbol] for symbol in self.elements])
        return PairEvaluator(self, np.searchsorted(known, numbers), np.asarray(counts, np.int64))


class PairEvaluator:
    """The batch evaluator of a `PairEnergy`."""

    def __init__(
        self, energy: PairEnergy, kinds: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> None:
        self.energy, self.kinds, self.counts = energy, kinds, counts

    def compute(self, cells: NDArray[np.float64], positions: NDArray[np.float64]) -> Any:
        """See `BatchEvaluator.compute`."""
        self.energy.evaluations += len(cells)
        return _pairs(self.counts, self.kinds, cells, positions, self.energy.model)

    def select(self, keep: NDArray[np.bool_]) -> PairEvaluator:
        """See `BatchEvaluator.select`."""
        kinds = self.kinds[np.repeat(keep, self.counts)]
        return PairEvaluator(self.energy, kinds, self.counts[keep])


def lennard_jones() -> PairEnergy:
    """Argon, bound ten times too strongly: the ground state is close packed."""
    return PairEnergy({"Ar-Ar": 3.4}, {"Ar-Ar": 0.104}, cutoff=8.5)


def lennard_jones_mixture() -> PairEnergy:
    """Two kinds of atoms of about one size, unlike ones bound more strongly: an ordering alloy."""
    sigma = {"Ar-Ar": 3.4, "Ar-Kr": 3.4, "Kr-Kr": 3.5}
    epsilon = {"Ar-Ar": 0.10, "Ar-Kr": 0.15, "Kr-Kr": 0.12}
    return PairEnergy(sigma, epsilon, cutoff=8.5)


def rock_salt() -> PairEnergy:
    """Two ions of charge 1 with sizes that put six neighbours around each."""
    sigma = {"Na-Na": 2.6, "Cl-Na": 2.6, "Cl-Cl": 3.6}
    return PairEnergy(sigma, dict.fromkeys(sigma, 0.01), {"Na": 1.0, "Cl": -1.0}, cutoff=8.0)


def periclase() -> PairEnergy:
    """Two ions of charge 2, smaller and harder than those of `rock_salt`."""
    sigma = {"Mg-Mg": 2.0, "Mg-O": 2.0, "O-O": 2.9}
    return PairEnergy(sigma, dict.fromkeys(sigma, 0.05), {"Mg": 2.0, "O": -2.0}, cutoff=7.0)


#: Of oxides, ours: A (eV), rho (Å) and C (eV Å⁶). With the charges below the bonds have the
#: lengths of real ones within some per cent.
OXIDES = {
    "Mg-O": (1100.0, 0.295, 0.0),
    "Al-O": (1300.0, 0.275, 0.0),
    "O-O": (1500.0, 0.300, 10.0),
}


def oxide() -> PairEnergy:
    """Magnesium, aluminium and oxygen with 0.6 of their formal charges."""
    charges = {"Mg": 1.2, "Al": 1.8, "O": -1.2}
    return PairEnergy({}, {}, charges, cutoff=8.0, screening=0.2, buckingham=OXIDES)


class PairCalculator(Calculator):
    """A `PairEnergy` as a calculator of ASE."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]

    def __init__(self, energy: PairEnergy) -> None:
        super().__init__()
        self.energy = energy

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        """Energy, forces and stress."""
        super().calculate(*arguments, **keywords)
        counts = np.array([len(self.atoms)])
        evaluator = self.energy.evaluator(self.atoms.numbers, counts)
        cell = np.array(self.atoms.cell)[None]
        energies, forces, stresses, _ = evaluator.compute(cell, self.atoms.positions)
        if not np.isfinite(energies[0]):
            raise CalculationFailed("the cell is flat")
        stress = full_3x3_to_voigt_6_stress(stresses[0])
        self.results = {"energy": float(energies[0]), "forces": forces, "stress": stress}


def oxide_calculator() -> PairCalculator:
    """For ``devitrify search tests.search.pair_energy:oxide_calculator``."""
    return PairCalculator(oxide())


def mixture_calculator() -> PairCalculator:
    """For ``devitrify search tests.search.pair_energy:mixture_calculator``."""
    return PairCalculator(lennard_jones_mixture())
