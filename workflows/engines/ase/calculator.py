"""ASE calculators of models that give energy, forces and stress in one evaluation."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from ase.calculators.calculator import Calculator, all_changes

if TYPE_CHECKING:
    from ase import Atoms


class ModelCalculator(Calculator):
    """An ASE calculator that computes all it knows whenever it is asked for anything."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy (eV), forces (eV/Å) and stress (eV/Å³, Voigt, ASE's sign)."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        if self.atoms is None:
            raise ValueError("a calculator without atoms has nothing to compute")
        energy, forces, stress = self.evaluate(self.atoms)
        self.results = {
            "energy": energy, "free_energy": energy, "forces": forces, "stress": stress,
        }  # fmt: skip

    @abstractmethod
    def evaluate(self, atoms: Atoms) -> tuple[float, Any, Any]:
        """
        Evaluate the model.

        Parameters
        ----------
        atoms : Atoms
            Periodic in three directions.

        Returns
        -------
        tuple of float, ndarray and ndarray
            Energy (eV), forces (eV/Å, shape (n_atoms, 3)), stress (eV/Å³, shape (6,)).
        """
