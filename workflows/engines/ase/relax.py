"""Relaxations and static runs by an ASE engine."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from jobflow import Maker, job
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.conversion import KBAR, to_atoms, to_structure
from workflows.documents.schemas import RelaxDocument
from workflows.engines.ase.dynamics import ExplodedError
from workflows.engines.ase.engine import AseEngine
from workflows.jobs.idempotency import once
from workflows.jobs.progress import report_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ase.calculators.calculator import Calculator

logger = logging.getLogger(__name__)


@dataclass
class AseRelaxMaker(Maker):
    """
    Relaxation of cell and positions.

    Parameters
    ----------
    engine
        Gives the calculator.
    max_force
        eV/Å, the largest force on an atom that is let pass.
    max_stress
        kbar, the largest stress component that is let pass.
    max_steps
        Steps after which it ends unconverged.
    """

    name: str = "relax"
    engine: AseEngine = field(default_factory=AseEngine)
    max_force: float = 0.02
    max_stress: float = 4.0
    max_steps: int = 500

    @job(data=[Frames])
    @once
    def make(self, structure: Structure) -> RelaxDocument:
        """
        Relax; a failure of the calculator is recorded in the document instead of raised.

        Parameters
        ----------
        structure
            Start.
        """
        atoms = to_atoms(structure)
        atoms.calc = self.engine.build_for_job()
        trajectory: list[Atoms] = []
        failure = None
        try:
            steps, converged = self._relax(atoms, trajectory.append)
        except (ArithmeticError, RuntimeError, ValueError) as error:
            failure, steps, converged = f"{type(error).__name__}: {error}", len(trajectory), False
        if failure is not None:
            return RelaxDocument(
                structure=structure, engine=self.engine.name, steps=steps, failure=failure
            )
        return RelaxDocument(
            structure=to_structure(atoms),
            engine=self.engine.name,
            energy=atoms.get_potential_energy() / len(atoms),
            max_force=_largest_force(atoms),
            max_stress=_largest_stress(atoms),
            converged=converged,
            steps=steps,
            frames=Frames.from_atoms(trajectory, stage="candidates"),
        )

    def _relax(self, atoms: Atoms, observe: Callable[[Atoms], None]) -> tuple[int, bool]:
        """Relax, again after each time that the basis had to be made anew for the cell."""
        steps, converged = relax_atoms(
            atoms, self.max_force, self.max_stress, self.max_steps, observe
        )
        while self.engine.renew(atoms):
            left = self.max_steps - steps
            more, converged = relax_atoms(atoms, self.max_force, self.max_stress, left, observe)
            steps += more
        return steps, converged


def _largest_force(atoms: Atoms) -> float:
    """Largest force on an atom in eV/Å."""
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max())


def _largest_stress(atoms: Atoms) -> float:
    """Largest stress component in kbar."""
    return float(np.abs(atoms.get_stress()).max() * KBAR)


def relax_atoms(
    atoms: Atoms,
    max_force: float,
    max_stress: float,
    max_steps: int,
    observe: Callable[[Atoms], None] | None = None,
) -> tuple[int, bool]:
    """
    Relax cell and positions in place with FIRE.

    ASE's own criterion mixes forces and the cell's gradient; here each has its threshold.

    Parameters
    ----------
    atoms
        With a calculator that knows stress.
    max_force
        eV/Å
    max_stress
        kbar
    max_steps
        Steps after which it ends unconverged.
    observe
        Gets a labelled copy of every tenth configuration and of the last one.

    Returns
    -------
    tuple of int and bool
        Steps taken, and whether both thresholds were met.

    Raises
    ------
    ExplodedError
        If energy or forces stop being finite or the volume runs away.
    """
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    optimizer = FIRE(FrechetCellFilter(atoms), logfile=None)
    start_volume = atoms.get_volume()
    step, converged = 0, False
    while True:
        force, stress = _largest_force(atoms), _largest_stress(atoms)
        if not np.isfinite([force, stress, atoms.get_potential_energy()]).all():
            raise ExplodedError("energy, forces or stress are not finite")
        if not 0.2 < atoms.get_volume() / start_volume < 5:
            raise ExplodedError("the volume changed more than fivefold")
        converged = force <= max_force and stress <= max_stress
        last = converged or step >= max_steps
        if observe is not None and (step % 10 == 0 or last):
            observe(_labelled_copy(atoms))
        if last:
            return step, converged
        optimizer.step()
        step += 1
        report_progress("candidates", step, max_steps, force_eV_A=force, stress_kbar=stress)


def _labelled_copy(atoms: Atoms) -> Atoms:
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(
        copy,
        energy=atoms.get_potential_energy(),
        forces=atoms.get_forces().copy(),
        stress=atoms.get_stress().copy(),
    )
    return copy


@dataclass
class AseStaticMaker(Maker):
    """
    Energies, forces and stresses of given configurations.

    Parameters
    ----------
    engine
        Gives the calculator.
    """

    name: str = "static"
    engine: AseEngine = field(default_factory=AseEngine)

    @job(data=[Frames])
    @once
    def make(self, structures: list[Structure] | Frames, stage: str) -> Frames:
        """
        Label configurations.

        Parameters
        ----------
        structures
            Any number, of any size; frames lose the labels that they have.
        stage
            Label of the frames.

        Returns
        -------
        Frames
            One for each; NaN where the calculator failed.

        Raises
        ------
        RuntimeError
            If it failed for all.
        """
        calculator = self.engine.build_for_job()
        labelled: list[Atoms] = []
        failure: Exception | None = None
        given = structures.to_atoms() if isinstance(structures, Frames) else structures
        for structure in given:
            atoms = to_atoms(structure) if isinstance(structure, Structure) else structure
            atoms.calc = calculator
            try:
                labelled.append(_labelled_copy(atoms))
            except (ArithmeticError, RuntimeError, ValueError) as error:
                logger.warning("a configuration has no energy: %s", error)
                failure = error
                labelled.append(atoms.copy())  # without results
        if labelled and all(atoms.calc is None for atoms in labelled):
            raise RuntimeError(
                f"{self.engine.name} failed for all of {len(labelled)} configurations ({failure})"
            )
        return Frames.from_atoms(labelled, stage=stage)


def label_frames(calculator: Calculator, frames: Frames) -> Iterator[Frames | str]:
    """
    Evaluate configurations one after the other.

    Parameters
    ----------
    calculator
        With energy, forces and stress.
    frames
        Configurations; what they have of energies, forces and stresses is ignored.

    Yields
    ------
    Frames or str
        The labelled configuration, or why it could not be evaluated.
    """
    for frame in frames:
        atoms = frame.to_atoms()[0]
        atoms.calc = calculator
        try:
            labelled = Frames.from_atoms([_labelled_copy(atoms)])
        except Exception as error:  # a foreign calculator raises what it likes
            yield f"{type(error).__name__}: {error}"
            continue
        finite = all(
            np.isfinite(values).all()
            for values in (labelled.energies, labelled.forces, labelled.stresses)
        )
        yield labelled if finite else "energy, forces or stress are not finite"
