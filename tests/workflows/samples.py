"""Engines and structures for the tests of the workflows."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from pymatgen.core import Lattice, Structure

from workflows.engines.ase.engine import AseEngine


class IdealGas(Calculator):
    """Atoms that do not feel each other."""

    implemented_properties = ("energy", "forces", "stress")  # type: ignore[assignment]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy, forces and stress."""
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


class SometimesExploding(EMT):
    """EMT whose forces stop being finite in its first attempt, after some evaluations."""

    def __init__(self, fail_at: int = 5, failures: int = 1, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.evaluations, self.fail_at, self.failures = 0, fail_at, failures

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy, forces and stress."""
        super().calculate(atoms, properties, system_changes)
        self.evaluations += 1
        if self.failures and self.evaluations == self.fail_at:
            self.failures, self.evaluations = self.failures - 1, 0
            self.results["forces"] = np.full((len(atoms), 3), np.nan)


def engine(name: str, **arguments: object) -> AseEngine:
    """Engine of a calculator of this module."""
    return AseEngine(name=name, calculator=f"{__name__}:{name}", arguments=arguments)


def emt() -> AseEngine:
    """Engine of effective medium theory."""
    return AseEngine(name="emt", calculator="ase.calculators.emt:EMT")


def copper(repeat: int = 2, constant: float = 3.61) -> Structure:
    """Face-centred cubic copper, a conventional cell repeated along each axis."""
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(constant), ["Cu"], [[0, 0, 0]])
    return structure * (repeat, repeat, repeat)


class FailingWhenLarge(EMT):
    """EMT that dies, as a program does that runs out of memory, on more than four atoms."""

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute, or raise MemoryError."""
        if atoms is not None and len(atoms) > 4:
            raise MemoryError("too many atoms")
        super().calculate(atoms, properties, system_changes)
