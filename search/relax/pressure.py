"""Energies under pressure: what a relaxation minimises then is the enthalpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from nnp.units import KBAR
from search.relax.energy import are_independent

if TYPE_CHECKING:
    from search.relax.energy import BatchEnergy, BatchEvaluator

Volume = TypeVar("Volume", float, NDArray[np.float64])

#: kbar in a GPa.
GPA = 10.0
#: Largest pressure from outside, either way, kbar: more than there is within the Earth, and more
#: than potentials of valence electrons are made for.
LARGEST_PRESSURE = 1000.0 * GPA
#: Of a compound of which nothing is known: its bulk modulus in kbar, and how much that rises with
#: the pressure. Oxides have 1000 to 2500 kbar, halides some hundreds; nearly all solids and melts
#: 4 to 6.
TYPICAL_MODULUS, STIFFENING = 1000.0, 4.0
#: Part of its modulus that is left to a compound under tension; where none is left, it tears.
LEAST_STIFFNESS = 0.2


def work_of(pressure: float, volume: Volume) -> Volume:
    """
    Product of pressure and volume, which an enthalpy has beside the energy.

    Parameters
    ----------
    pressure : float
        kbar
    volume : float or ndarray
        Å³

    Returns
    -------
    float or ndarray
        eV
    """
    return pressure * volume / KBAR


def in_gpa(pressure: float) -> str:
    """
    Write a pressure (kbar) as people do.

    Examples
    --------
    >>> in_gpa(75.0)
    '7.5 GPa'
    """
    return f"{pressure / GPA:g} GPa"


def compressed(volume: float, pressure: float) -> float:
    """
    Guess a volume under pressure from that without, of a compound of which nothing is known.

    Parameters
    ----------
    volume : float
        Å³, without pressure.
    pressure : float
        kbar

    Returns
    -------
    float
        Å³, by the equation of state of Murnaghan: 0.67 of the volume at 100 GPa.

    References
    ----------
    F. D. Murnaghan, Proc. Natl. Acad. Sci. U.S.A. 30, 244 (1944).
    """
    stiffness = max(1.0 + STIFFENING * pressure / TYPICAL_MODULUS, LEAST_STIFFNESS)
    return float(volume * stiffness ** (-1.0 / STIFFENING))


def under_pressure(energy: BatchEnergy, pressure: float) -> BatchEnergy:
    """
    Enthalpy of an energy at a pressure (kbar); the energy itself where that is zero.

    Parameters
    ----------
    energy : BatchEnergy
        Without pressure.
    pressure : float
        From outside, kbar.
    """
    return PressurizedEnergy(energy, pressure) if pressure else energy


class PressurizedEnergy:
    """
    The enthalpy H = E + pV of another energy, as a `BatchEnergy`.

    Energies become enthalpies, and stresses their derivatives by strain, which vanish where the
    crystal's own pressure balances the one outside. Forces and atomic energies stay as they are.

    Parameters
    ----------
    energy : BatchEnergy
        Without pressure.
    pressure : float
        From outside, kbar.

    Examples
    --------
    >>> compressed = Relaxer().relax(structures, PressurizedEnergy(energy, 100.0))
    """

    def __init__(self, energy: BatchEnergy, pressure: float) -> None:
        self.energy = energy
        self.pressure = pressure

    @property
    def elements(self) -> tuple[str, ...]:
        """See `BatchEnergy.elements`."""
        return self.energy.elements

    @property
    def knows_stress(self) -> bool:
        """Whether the energy below knows it; see `search.relax.energy.require_stress`."""
        return bool(getattr(self.energy, "knows_stress", True))

    @property
    def independent_evaluators(self) -> bool:
        """Whether those of the energy below are; see `search.relax.energy.are_independent`."""
        return are_independent(self.energy)

    def evaluator(
        self, numbers: NDArray[np.integer], counts: NDArray[np.integer], threads: int = 1
    ) -> PressurizedEvaluator:
        """See `BatchEnergy.evaluator`."""
        inner = self.energy.evaluator(numbers, counts, threads=threads)
        return PressurizedEvaluator(inner, self.pressure / KBAR)


class PressurizedEvaluator:
    """
    The batch evaluator of a `PressurizedEnergy`.

    Parameters
    ----------
    inner : BatchEvaluator
        Without pressure.
    pressure : float
        eV/Å³.
    """

    def __init__(self, inner: BatchEvaluator, pressure: float) -> None:
        self.inner = inner
        self.pressure = pressure

    def compute(
        self, cells: NDArray[np.float64], positions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """See `BatchEvaluator.compute`."""
        energies, forces, stresses, atomic = self.inner.compute(cells, positions)
        volumes = np.abs(np.linalg.det(cells))
        return (
            energies + self.pressure * volumes,
            forces,
            stresses + self.pressure * np.eye(3),
            atomic,
        )

    def uncertainties(self) -> NDArray[np.float64] | None:
        """Those of the energies without pressure, since pV is exact; none if it has none."""
        ask = getattr(self.inner, "uncertainties", None)
        found = None if ask is None else ask()
        return None if found is None else np.asarray(found)

    def select(self, keep: NDArray[np.bool_]) -> PressurizedEvaluator:
        """See `BatchEvaluator.select`."""
        return PressurizedEvaluator(self.inner.select(keep), self.pressure)

    def weighted(self, weights: NDArray[np.float64]) -> PressurizedEvaluator:
        """Return the evaluator of weighted atomic energies; see `nnp.Evaluator.weighted`."""
        inner = getattr(self.inner, "weighted", None)
        return self if inner is None else PressurizedEvaluator(inner(weights), self.pressure)
