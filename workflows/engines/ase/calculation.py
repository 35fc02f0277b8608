"""What the makers of ASE jobs need to know of the engine that they run."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflows.engines.base import Engine
from workflows.jobs.cores import use_all_cores

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator


@dataclass(frozen=True)
class CalculatorEngine(Engine):
    """An engine that is an ASE calculator in the process of its job, however it is built."""

    @abstractmethod
    def build(self) -> Calculator:
        """
        Build the calculator.

        Raises
        ------
        MissingEngineError
            If what it runs is not installed here.
        """

    def build_for_job(self) -> Calculator:
        """Build the calculator, for a job that has all cores of its SLURM job to itself."""
        calculator = self.build()
        use_all_cores()  # of the libraries that are loaded by now
        return calculator

    def stop_reason(self, atoms: Atoms) -> str | None:  # noqa: ARG002 (others look at the atoms)
        """
        Say why molecular dynamics must not go on from here; a reference engine trusts itself.

        Parameters
        ----------
        atoms : Atoms
            With this engine's calculator, evaluated.
        """
        return None

    def refit_basis(self, atoms: Atoms) -> bool:  # noqa: ARG002 (others look at the atoms)
        """
        Fit the basis to the cell that a relaxation has led to; whether it had to be.

        Parameters
        ----------
        atoms : Atoms
            With this engine's calculator, evaluated.
        """
        return False

    @property
    def keeps_partial_runs(self) -> bool:
        """Whether a run that explodes ends there, with its good frames, instead of failing."""
        return False
