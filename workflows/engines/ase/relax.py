"""Relaxations of cell and positions by an ASE engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jobflow import Maker, job
from pymatgen.core import Structure

from nnp.frames import Frames
from nnp.units import KBAR
from search.relax.limits import RelaxationLimits
from workflows.conversion import to_atoms, to_structure
from workflows.documents.relaxation import RelaxDocument
from workflows.engines.ase.calculation import CalculatorEngine
from workflows.engines.ase.static import free_energy, labelled_copy
from workflows.engines.base import KEPT_INTERVAL, VOLUME_RANGE, ExplodedError
from workflows.engines.moments import told
from workflows.jobs.idempotency import once
from workflows.jobs.progress import report_progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

#: Below these forces (eV/Å) and stresses (kbar) the minimum is near enough for BFGS.
NEAR_FORCE, NEAR_STRESS = 1.0, 100.0
#: Enthalpy (eV/atom) above the lowest so far at which BFGS has gone astray.
UPHILL = 0.005
#: Of BFGS: first guess of the curvature in eV/Å², and longest step of an atom in Å.
STIFFNESS, LONGEST_STEP = 30.0, 0.2


@dataclass
class AseRelaxMaker(Maker):
    """
    Relaxation of cell and positions.

    Parameters
    ----------
    engine : CalculatorEngine
        Gives the calculator.
    limits : RelaxationLimits
        Where it ends.
    """

    engine: CalculatorEngine
    name: str = "relax"
    limits: RelaxationLimits = field(default_factory=RelaxationLimits)

    @job(data=[Frames])
    @once
    def make(self, structure: Structure, stage: str) -> RelaxDocument:
        """Relax; see :class:`workflows.engines.base.RelaxMaker`."""
        atoms = to_atoms(structure)
        atoms.calc = self.engine.build_for_job()
        implemented = getattr(atoms.calc, "implemented_properties", None)
        # an empty or absent list says nothing
        if implemented and "stress" not in implemented:
            raise ValueError(
                f"{self.engine.name} gives no stress, which relaxing a cell needs; a potential "
                "learns it from frames that have stresses"
            )
        kept: list[Atoms] = []
        steps, pressure = 0, self.limits.pressure

        def observe(step: int, last: bool) -> None:
            nonlocal steps
            steps = step
            if step % KEPT_INTERVAL == 0 or last:
                kept.append(labelled_copy(atoms))
            report_progress(
                stage, step, self.limits.max_steps,
                force_eV_A=_largest_force(atoms), stress_kbar=_largest_stress(atoms, pressure),
            )  # fmt: skip

        try:
            converged = self._relax(atoms, observe)
        except (ArithmeticError, RuntimeError, ValueError) as error:
            return RelaxDocument(
                structure=structure,
                pressure=pressure,
                engine=self.engine.name,
                steps=steps,
                failure=f"{type(error).__name__}: {error}",
            )
        return RelaxDocument(
            structure=to_structure(atoms),
            pressure=pressure,
            engine=self.engine.name,
            energy=free_energy(atoms) / len(atoms),
            max_force=_largest_force(atoms),
            max_stress=_largest_stress(atoms, pressure),
            converged=converged,
            steps=steps,
            magnetic_moments=told(atoms.calc.results.get("magmoms", ()), len(atoms)),
            frames=Frames.from_atoms(kept, stage=stage),
        )

    def _relax(self, atoms: Atoms, observe: Callable[[int, bool], None]) -> bool:
        """Relax, again after each time that the basis had to be fitted to the cell."""
        steps, converged = relax_atoms(atoms, self.limits, observe)
        while self.engine.refit_basis(atoms):
            steps, converged = relax_atoms(atoms, self.limits, observe, steps)
        return converged


def _largest_force(atoms: Atoms) -> float:
    """Largest force on an atom in eV/Å."""
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max())


def _largest_stress(atoms: Atoms, pressure: float) -> float:
    """Largest stress component in kbar that a pressure from outside, in kbar, does not balance."""
    left = atoms.get_stress(voigt=False) * KBAR + pressure * np.eye(3)
    return float(np.abs(left).max())


def relax_atoms(
    atoms: Atoms,
    limits: RelaxationLimits,
    observe: Callable[[int, bool], None] | None = None,
    step: int = 0,
) -> tuple[int, bool]:
    """
    Relax cell and positions in place: FIRE from afar, BFGS near the minimum of the enthalpy.

    BFGS takes a third of the steps of FIRE to a minimum that is near, as after a search, and may
    go astray from random positions; where it leads uphill, FIRE goes on.

    ASE's own criterion mixes forces and the cell's gradient; here each has its threshold.

    Parameters
    ----------
    atoms : Atoms
        With a calculator that knows stress.
    limits : RelaxationLimits
        Where it ends.
    observe : callable or None
        Is told after each step its number, and whether it is the last one.
    step : int
        Steps taken before.

    Returns
    -------
    tuple of int and bool
        Steps taken in all, and whether the limits of force and stress were met.

    Raises
    ------
    ExplodedError
        If energy or forces stop being finite or the volume runs away.
    """
    optimizer = _Optimizer(atoms, limits.pressure)
    start_volume = atoms.get_volume()
    while True:
        force, stress = _largest_force(atoms), _largest_stress(atoms, limits.pressure)
        if not np.isfinite([force, stress, atoms.get_potential_energy()]).all():
            raise ExplodedError("energy, forces or stress are not finite")
        if not VOLUME_RANGE[0] < atoms.get_volume() / start_volume < VOLUME_RANGE[1]:
            raise ExplodedError("the volume changed more than fivefold")
        converged = force <= limits.max_force and stress <= limits.max_stress
        last = converged or step >= limits.max_steps
        if observe is not None:
            observe(step, last)
        if last:
            return step, converged
        optimizer.step(force, stress)
        step += 1


class _Optimizer:
    """FIRE until the minimum is near, then BFGS as long as that leads downhill, at a pressure."""

    def __init__(self, atoms: Atoms, pressure: float) -> None:
        from ase.filters import FrechetCellFilter
        from ase.optimize import BFGS, FIRE

        self.n_atoms = len(atoms)
        self.filter = FrechetCellFilter(atoms, scalar_pressure=pressure / KBAR)
        self.far = FIRE(self.filter, logfile=None)
        self.near = BFGS(self.filter, logfile=None, alpha=STIFFNESS, maxstep=LONGEST_STEP)  # type: ignore[arg-type]
        self.is_near = self.failed = False
        self.lowest = np.inf

    def step(self, force: float, stress: float) -> None:
        """
        Take one step.

        Parameters
        ----------
        force, stress : float
            Largest ones now, eV/Å and kbar.
        """
        # the filter asks for a free energy, which many calculators do not tell
        atoms = self.filter.atoms
        enthalpy = free_energy(atoms) + self.filter.scalar_pressure * atoms.get_volume()
        energy = enthalpy / self.n_atoms
        self.lowest = min(self.lowest, energy)
        if energy > self.lowest + UPHILL:
            self.failed = True
        self.is_near |= force < NEAR_FORCE and stress < NEAR_STRESS
        (self.near if self.is_near and not self.failed else self.far).step()
