"""Engines and structures for the tests of the workflows."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.stress import full_3x3_to_voigt_6_stress
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


class Wells(Calculator):
    """
    A crystal whose atoms sit in wells of their own, in a cell that resists strain.

    The wells go where the crystal as a whole goes.

    Along x a well may have two minima beside the site, as of a crystal that is truly distorted.

    Parameters
    ----------
    cell, sites : list
        Cell (3, 3) in Å, and fractional coordinates (n, 3) of the wells.
    stiffness : float
        Curvature of the wells, eV/Å².
    depth : float
        Energy of the two minima below that of the site, eV; zero: one minimum.
    width : float
        Distance of the two minima from the site, Å.
    modulus : float
        Of the cell, eV/Å³.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress")  # type: ignore[assignment]
    #: Of all of them, in this process.
    evaluations = 0

    def __init__(
        self,
        cell: list[list[float]],
        sites: list[list[float]],
        stiffness: float = 10.0,
        depth: float = 0.0,
        width: float = 0.05,
        modulus: float = 1.0,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.cell, self.sites = np.array(cell), np.array(sites)
        self.stiffness, self.depth, self.width = stiffness, depth, width
        self.modulus = modulus

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute energy, forces and stress."""
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        Wells.evaluations += 1
        away = atoms.get_scaled_positions(wrap=False) - self.sites
        moved = (away - np.round(away)) @ self.cell
        moved -= moved.mean(axis=0)
        slopes = self.stiffness * moved
        energy = 0.5 * self.stiffness * float((moved**2).sum())
        if self.depth:
            x = moved[:, 0]
            square = (x / self.width) ** 2 - 1
            energy += float((self.depth * square**2 - 0.5 * self.stiffness * x**2).sum())
            slopes[:, 0] = 4 * self.depth * square * x / self.width**2
        strain = np.linalg.solve(self.cell, atoms.cell.array) - np.eye(3)
        strain = (strain + strain.T) / 2
        volume = float(abs(np.linalg.det(self.cell)))
        energy += 0.5 * self.modulus * volume * float((strain**2).sum())
        slopes -= slopes.mean(axis=0)
        forces = -slopes @ self.cell.T @ np.linalg.inv(atoms.cell.array).T
        stress = self.modulus * strain * volume / atoms.get_volume()
        self.results = {
            "energy": energy, "free_energy": energy, "forces": forces,
            "stress": full_3x3_to_voigt_6_stress(stress),
        }  # fmt: skip


def wells(reference: Structure, **arguments: float) -> AseEngine:
    """Engine of a crystal whose atoms sit in wells of their own."""
    cell, sites = reference.lattice.matrix.tolist(), reference.frac_coords.tolist()
    return engine("Wells", cell=cell, sites=sites, **arguments)


def shaken(structure: Structure, amplitude: float, strain: float = 0.0, seed: int = 0) -> Structure:
    """The same crystal, with each atom and the cell a little out of place, and without symmetry."""
    rng = np.random.default_rng(seed)
    random = rng.normal(0.0, strain, (3, 3))
    deformation = np.eye(3) + (random + random.T) / 2
    positions = structure.cart_coords + rng.normal(0.0, amplitude, (len(structure), 3))
    fractions = positions @ np.linalg.inv(structure.lattice.matrix)
    return Structure(structure.lattice.matrix @ deformation, structure.species, fractions)
