"""Single evaluations by an ASE engine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from jobflow import Maker, job
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.conversion import to_atoms
from workflows.engines.ase.calculation import CalculatorEngine
from workflows.jobs.idempotency import once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ase.calculators.calculator import Calculator

logger = logging.getLogger(__name__)


def free_energy(atoms: Atoms) -> float:
    """
    Energy in eV of which the forces are the derivatives.

    With smeared occupations that is not what ASE calls the energy, which is extrapolated to none.

    Parameters
    ----------
    atoms : Atoms
        With a calculator; one without a free energy has no smearing.
    """
    energy = atoms.get_potential_energy()
    return float(atoms.calc.results.get("free_energy", energy))


def labelled_copy(atoms: Atoms) -> Atoms:
    """Copy atoms with their free energy, forces and stress, but without what computes them."""
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(
        copy,
        energy=free_energy(atoms),
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
    engine : CalculatorEngine
        Gives the calculator.
    """

    engine: CalculatorEngine
    name: str = "static"

    @job(data=[Frames])
    @once
    def make(self, structures: list[Structure] | Frames, stage: str) -> Frames:
        """
        Evaluate; see :class:`workflows.engines.base.StaticMaker`.

        Raises
        ------
        RuntimeError
            If the engine failed for all.
        """
        calculator = self.engine.build_for_job()
        labelled: list[Atoms] = []
        failure: Exception | None = None
        given = structures.to_atoms() if isinstance(structures, Frames) else structures
        for structure in given:
            atoms = to_atoms(structure) if isinstance(structure, Structure) else structure
            atoms.calc = calculator
            try:
                labelled.append(labelled_copy(atoms))
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
    calculator : Calculator
        With energy, forces and stress.
    frames : Frames
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
            labelled = Frames.from_atoms([labelled_copy(atoms)])
        except Exception as error:  # a foreign calculator raises what it likes
            yield f"{type(error).__name__}: {error}"
            continue
        finite = all(
            np.isfinite(values).all()
            for values in (labelled.energies, labelled.forces, labelled.stresses)
        )
        yield labelled if finite else "energy, forces or stress are not finite"
