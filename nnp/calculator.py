"""The potential as an ASE calculator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from nnp.formats.files import load_potential
from nnp.periodicity import periodic_cell
from nnp.potential import Potential

if TYPE_CHECKING:
    from ase import Atoms

    from nnp.evaluator import Evaluator


class NeuralNetworkCalculator(Calculator):
    """
    Energies, forces, stress, atomic energies and uncertainty.

    Neighbour lists are kept while the atoms stay the same, so molecular dynamics and relaxation
    are fast. There is no stress if the potential was trained without, so that a relaxation of the
    cell is refused.

    Parameters
    ----------
    potential : Potential or str or Path
        A potential or the file of one.
    threads : int
        Threads over the atoms.
    precision : str
        ``float64`` or ``float32``.

    Examples
    --------
    >>> atoms.calc = NeuralNetworkCalculator("potential.nnp")  # doctest: +SKIP
    """

    implemented_properties = [  # noqa: RUF012
        "energy",
        "free_energy",
        "forces",
        "stress",
        "energies",
        "uncertainty",
    ]

    def __init__(
        self,
        potential: Potential | str | Path,
        threads: int = 1,
        precision: str = "float64",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.potential = (
            potential if isinstance(potential, Potential) else load_potential(potential)
        )
        if not self.potential.knows_stress:
            known = [name for name in self.implemented_properties if name != "stress"]
            self.implemented_properties = known
        self.threads, self.precision = threads, precision
        self._evaluator: Evaluator | None = None
        self._numbers = np.zeros(0, dtype=int)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute everything at once; forces cost little more than the energy."""
        super().calculate(atoms, properties or ["energy"], system_changes)
        if self.atoms is None:
            raise ValueError("There are no atoms to calculate.")
        atoms = self.atoms
        if self._evaluator is None or not np.array_equal(self._numbers, atoms.numbers):
            self._numbers = atoms.numbers.copy()
            self._evaluator = self.potential.evaluator(
                self._numbers, [len(atoms)], self.threads, self.precision
            )
        cell = periodic_cell(atoms, self.potential.cutoff)
        energies, forces, stresses, atomic = self._evaluator.compute(cell[None], atoms.positions)
        members = self._evaluator.member_energies().sum(axis=0)
        self.results = {
            "energy": float(energies[0]),
            "free_energy": float(energies[0]),
            "forces": forces.copy(),
            "energies": atomic.copy(),
            "uncertainty": float(
                self.potential.expected_errors(np.array([members.std() / len(atoms)]))[0]
            ),
        }
        if atoms.pbc.all() and self.potential.knows_stress:
            self.results["stress"] = full_3x3_to_voigt_6_stress(stresses[0])
