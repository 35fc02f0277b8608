"""Energies under pressure: what a relaxation minimises then is the enthalpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nnp.units import KBAR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.relax.energy import BatchEnergy, BatchEvaluator


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
        return None if ask is None else np.asarray(ask())

    def select(self, keep: NDArray[np.bool_]) -> PressurizedEvaluator:
        """See `BatchEvaluator.select`."""
        return PressurizedEvaluator(self.inner.select(keep), self.pressure)

    def weighted(self, weights: NDArray[np.float64]) -> PressurizedEvaluator:
        """Return the evaluator of weighted atomic energies; see `nnp.Evaluator.weighted`."""
        inner = getattr(self.inner, "weighted", None)
        return self if inner is None else PressurizedEvaluator(inner(weights), self.pressure)
