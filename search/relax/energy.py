"""
What the search needs to know of an energy, and the adapter that makes any ASE calculator one.

The relaxer moves a whole batch of structures at once, so it asks for the energies, forces and
stresses of a batch, with atoms of all structures one after another in flat arrays. `nnp.Potential`
has this interface; any other calculator of ASE gets it by `AseEnergy`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import BaseCalculator
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


class BatchEvaluator(Protocol):
    """
    Energies of one fixed batch of structures at changing geometry.

    One that knows how wrong it may be has a further method `uncertainties()`: the errors (n,) in
    eV/atom that are to be expected of the energies of its last `compute`, or None. It is asked for
    by `uncertainties_of`.
    """

    def compute(
        self, cells: NDArray[np.float64], positions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """
        Evaluate the batch.

        Parameters
        ----------
        cells : (n, 3, 3) array
            Lattice vectors as rows, Å.
        positions : (n_total, 3) array
            Cartesian positions of all atoms, structure after structure, Å.

        Returns
        -------
        energies : (n,) array
            eV a structure; not finite where the energy is not defined.
        forces : (n_total, 3) array
            eV/Å.
        stresses : (n, 3, 3) array
            eV/Å³, sign of ASE (positive: the cell wants to shrink).
        atomic_energies : (n_total,) array
            eV an atom; NaN where the method has none.
        """
        ...

    def select(self, keep: NDArray[np.bool_]) -> BatchEvaluator:
        """Return the evaluator of the structures where `keep` (n,) is true."""
        ...


class BatchEnergy(Protocol):
    """A model of the energy that can evaluate batches of structures."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols the model knows; empty if it does not say."""
        ...

    def evaluator(
        self, numbers: NDArray[np.integer], counts: NDArray[np.integer], threads: int = 1
    ) -> BatchEvaluator:
        """
        Prepare a batch.

        Parameters
        ----------
        numbers : (n_total,) array
            Atomic numbers of all atoms, structure after structure.
        counts : (n,) array
            Atoms in each structure.
        threads : int
            Threads over structures.
        """
        ...


def uncertainties_of(evaluator: BatchEvaluator, n: int) -> NDArray[np.float64]:
    """
    Errors (n,) in eV/atom to expect of the energies last computed; NaN where nothing is known.

    Parameters
    ----------
    evaluator : BatchEvaluator
        That has computed them.
    n : int
        Structures in its batch.
    """
    ask = getattr(evaluator, "uncertainties", None)
    found = None if ask is None else ask()
    return np.full(n, np.nan) if found is None else np.asarray(found, dtype=float)


def require_stress(energy: BatchEnergy) -> None:
    """
    Refuse a potential that was trained without stresses; others are believed to know it.

    Parameters
    ----------
    energy : BatchEnergy
        Says so, if it does, by an attribute `knows_stress`.

    Raises
    ------
    ValueError
        If it knows no stress, which relaxing a cell needs.
    """
    if not getattr(energy, "knows_stress", True):
        raise ValueError(
            "the potential was trained without stresses and cannot relax cells; train it on frames "
            "that have them"
        )


def are_independent(energy: BatchEnergy) -> bool:
    """
    Whether evaluators of an energy may work side by side in several processes.

    Parameters
    ----------
    energy : BatchEnergy
        Says so, if they may, by an attribute `independent_evaluators`; an ASE calculator may be
        anything, also a program that uses all cores.
    """
    return bool(getattr(energy, "independent_evaluators", False))


class AseEnergy:
    """
    Any ASE calculator as a `BatchEnergy`, one structure after the other.

    Parameters
    ----------
    calculator : ase calculator
        Must give energy, forces and stress.
    elements : sequence of str
        Symbols the calculator knows; leave empty if it does not say.

    Examples
    --------
    >>> from ase.calculators.emt import EMT
    >>> energy = AseEnergy(EMT(), elements=("Cu", "Au"))
    """

    def __init__(self, calculator: BaseCalculator, elements: Sequence[str] = ()) -> None:
        self.calculator = calculator
        self.elements = tuple(elements)
        implemented = getattr(calculator, "implemented_properties", None)
        # an empty or absent list says nothing: then the first evaluation tells
        if implemented and "stress" not in implemented:
            raise ValueError(self._no_stress())

    def _no_stress(self) -> str:
        name = type(self.calculator).__name__
        return f"{name} gives no stress, which relaxing a cell needs; use a calculator that does"

    def evaluator(
        self,
        numbers: NDArray[np.integer],
        counts: NDArray[np.integer],
        threads: int = 1,  # noqa: ARG002  an ASE calculator holds one structure at a time
    ) -> AseEvaluator:
        """See `BatchEnergy.evaluator`; `threads` has no effect on an ASE calculator."""
        return AseEvaluator(self, np.asarray(numbers), np.asarray(counts))

    def single(
        self, atoms: Atoms
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """
        Energy (eV), forces (eV/Å), stress (eV/Å³) and atomic energies (eV) of `atoms`.

        A calculation that fails gives NaN, so that it costs the search one structure.
        """
        from ase.calculators.calculator import CalculatorError, PropertyNotImplementedError

        n = len(atoms)
        try:
            energy = float(self.calculator.get_potential_energy(atoms))
            forces = np.asarray(self.calculator.get_forces(atoms), dtype=float)
            stress = _full_stress(self.calculator.get_stress(atoms))
        except PropertyNotImplementedError as error:
            raise ValueError(self._no_stress()) from error
        except (CalculatorError, FloatingPointError, ZeroDivisionError) as error:
            logger.warning("calculation of %s failed: %s", atoms.get_chemical_formula(), error)
            return np.nan, np.full((n, 3), np.nan), np.full((3, 3), np.nan), np.full(n, np.nan)
        # the forces are the derivatives of the free energy, if there is one
        energy = float(self.calculator.results.get("free_energy", energy))
        atomic = self.calculator.results.get("energies")
        if atomic is None or np.shape(atomic) != (n,):
            atomic = np.full(n, np.nan)
        return energy, forces, stress, np.asarray(atomic, dtype=float)


class AseEvaluator:
    """The batch evaluator of an `AseEnergy`."""

    def __init__(
        self, energy: AseEnergy, numbers: NDArray[np.integer], counts: NDArray[np.integer]
    ) -> None:
        self.energy = energy
        self.numbers = numbers
        self.counts = counts
        self.ends = np.cumsum(counts)

    def compute(
        self, cells: NDArray[np.float64], positions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """See `BatchEvaluator.compute`."""
        from ase import Atoms

        n = len(self.counts)
        energies, stresses = np.empty(n), np.empty((n, 3, 3))
        forces, atomic = np.empty_like(positions), np.empty(len(positions))
        for i, (end, count) in enumerate(zip(self.ends, self.counts, strict=True)):
            part = slice(end - count, end)
            atoms = Atoms(self.numbers[part], positions[part], cell=cells[i], pbc=True)
            energies[i], forces[part], stresses[i], atomic[part] = self.energy.single(atoms)
        return energies, forces, stresses, atomic

    def select(self, keep: NDArray[np.bool_]) -> AseEvaluator:
        """See `BatchEvaluator.select`."""
        return AseEvaluator(
            self.energy, self.numbers[np.repeat(keep, self.counts)], self.counts[keep]
        )


def _full_stress(voigt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stress as (3, 3) from the six Voigt components (xx, yy, zz, yz, xz, xy)."""
    xx, yy, zz, yz, xz, xy = np.asarray(voigt, dtype=float)
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
