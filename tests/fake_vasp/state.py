"""What an ionic step is, and the ion loop's only way to one: through the electronic loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from tests.fake_vasp.electrons import Electrons, Loop, disturbed
from tests.fake_vasp.faults import Faults
from tests.fake_vasp.model import make_dispersion
from tests.fake_vasp.poscar import System
from tests.fake_vasp.settings import Settings

#: kbar in one eV/Å³.
KBAR = 1 / (0.1 * units.GPa)
#: Å/fs² for one eV/Å on one amu.
ACCELERATION = units.fs**2
#: Smearing entropy -TS in eV an atom for a SIGMA of 1 eV.
_ENTROPY = -0.02


@dataclass
class IonicStep:
    """
    Results of one ionic step.

    Attributes
    ----------
    number : int
        From one.
    system : System
        Atoms, cell and, in molecular dynamics, velocities.
    energy : float
        Free energy in eV, which the forces belong to.
    entropy : float
        Its part -TS in eV.
    forces : NDArray[np.float64]
        eV/Å, shape (n, 3).
    stress : NDArray[np.float64]
        eV/Å³ in ASE's sign, shape (3, 3), without the kinetic part.
    loop : Loop
        Electronic steps, without dispersion.
    dispersion : float
        Part of the energy that VASP adds after the electronic loop, eV.
    kinetic, temperature : float or None, float
        eV and K; none outside molecular dynamics.
    thermostat : tuple of float
        Potential and kinetic energy of the thermostat in eV.
    lattice_kinetic : float
        Kinetic energy of the cell in eV.
    """

    number: int
    system: System
    energy: float
    entropy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    loop: Loop
    dispersion: float = 0.0
    kinetic: float | None = None
    temperature: float = 0.0
    thermostat: tuple[float, float] = (0.0, 0.0)
    lattice_kinetic: float = 0.0
    is_last: bool = field(default=False)

    @property
    def energy_without_entropy(self) -> float:
        """Energy without the entropy, eV."""
        return self.energy - self.entropy

    @property
    def energy_at_zero_smearing(self) -> float:
        """Energy extrapolated to no smearing, eV."""
        return self.energy - self.entropy / 2

    @property
    def stress_kbar(self) -> NDArray[np.float64]:
        """Stress as VASP writes it: kbar, positive if the cell wants to grow, shape (3, 3)."""
        return -self.stress * KBAR

    @property
    def total_energy(self) -> float:
        """Conserved energy of molecular dynamics at constant temperature, eV."""
        return self.energy + (self.kinetic or 0.0) + sum(self.thermostat) + self.lattice_kinetic


class Evaluator:
    """
    Energies, forces and stresses as they come out of electronic loops.

    Parameters
    ----------
    calculator : Calculator
        The converged values.
    electrons : Electrons
        The loops.
    settings : Settings
        Smearing.
    faults : Faults
        Faults of the electronic loop.
    system : System
        Atoms.
    """

    def __init__(
        self,
        calculator: Calculator,
        electrons: Electrons,
        settings: Settings,
        faults: Faults,
        system: System,
    ) -> None:
        self.electrons, self.settings, self.faults = electrons, settings, faults
        self.count = 0
        self._atoms = Atoms(system.atom_symbols, pbc=True)
        self._atoms.calc = calculator
        self._dispersion = make_dispersion(settings.ivdw)

    def __call__(self, system: System) -> IonicStep:
        """Evaluate the next ionic step."""
        self.count += 1
        n = system.n_atoms
        smeared = self.settings.ismear >= -1
        entropy = _ENTROPY * n * self.settings.sigma**2 if smeared else 0.0
        energy, forces, stress = self._compute(system)
        energy += entropy
        if self.faults.active("positive_energy", self.count):
            energy = abs(energy) + 10.0
        loop = self.electrons.converge(energy, self.faults.active("unconverged", self.count))
        forces = disturbed(forces, loop, n)
        added = self._added()
        if self.faults.active("nan_forces", self.count):
            forces = np.full((n, 3), np.nan)
        return IonicStep(
            number=self.count,
            system=system,
            energy=float(loop.energies[-1]) + added[0],
            entropy=entropy,
            forces=forces + added[1],
            stress=stress + added[2],
            loop=loop,
            dispersion=added[0],
        )

    def _added(self) -> tuple[float, NDArray, NDArray]:
        """Energy, forces and stress of dispersion, where there is any."""
        if self._dispersion is None:
            return 0.0, np.zeros((len(self._atoms), 3)), np.zeros((3, 3))
        atoms = self._atoms.copy()
        atoms.calc = self._dispersion
        forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
        return float(atoms.get_potential_energy()), forces, stress

    def _compute(self, system: System) -> tuple[float, NDArray, NDArray]:
        """Converged energy, forces and stress; nothing good follows from bad positions."""
        atoms = self._atoms
        if not np.isfinite(system.scaled).all():
            return np.nan, np.full((len(atoms), 3), np.nan), np.full((3, 3), np.nan)
        atoms.set_cell(system.cell)
        atoms.positions = system.scaled @ system.cell
        energy = float(atoms.get_potential_energy())
        return energy, atoms.get_forces(), atoms.get_stress(voigt=False)
