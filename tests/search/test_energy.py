from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, CalculatorError, all_changes
from ase.calculators.emt import EMT

from nnp.units import KBAR
from search.relax.energy import AseEnergy


def test_ase_energies_are_the_calculators() -> None:
    structures = [bulk("Cu", cubic=True), bulk("Au") * (2, 1, 1)]
    for i, atoms in enumerate(structures):
        atoms.rattle(0.05, seed=i)
    numbers = np.concatenate([atoms.numbers for atoms in structures])
    positions = np.concatenate([atoms.positions for atoms in structures])
    cells = np.array([atoms.cell.array for atoms in structures])
    evaluator = AseEnergy(EMT()).evaluator(numbers, np.array([4, 2]))
    energies, forces, stresses, atomic = evaluator.compute(cells, positions)
    for i, (atoms, part) in enumerate(zip(structures, (slice(0, 4), slice(4, 6)), strict=True)):
        atoms.calc = EMT()
        assert energies[i] == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
        np.testing.assert_allclose(forces[part], atoms.get_forces(), atol=1e-10)
        np.testing.assert_allclose(stresses[i], atoms.get_stress(voigt=False), atol=1e-10)
        assert atomic[part].sum() == pytest.approx(energies[i], abs=1e-8)


def test_selection_keeps_the_right_atoms() -> None:
    numbers, counts = np.array([29, 29, 79, 47]), np.array([2, 1, 1])
    cells = np.array([np.eye(3) * 5.0, np.eye(3) * 4.0, np.eye(3) * 4.5])
    positions = np.array([[0, 0, 0], [2.5, 2.5, 2.5], [0, 0, 0], [0, 0, 0.0]])
    whole = AseEnergy(EMT()).evaluator(numbers, counts)
    part = whole.select(np.array([True, False, True]))
    kept = part.compute(cells[[0, 2]], positions[[0, 1, 3]])[0]
    np.testing.assert_allclose(kept, whole.compute(cells, positions)[0][[0, 2]])


class _NoStress(Calculator):
    implemented_properties = ["energy", "forces"]  # noqa: RUF012  as ASE has it


def test_calculator_without_stress_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="_NoStress gives no stress"):
        AseEnergy(_NoStress())


class _Fails(Calculator):
    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012  as ASE has it

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        raise CalculatorError("did not converge")


def test_failed_calculation_is_not_a_number() -> None:
    evaluator = AseEnergy(_Fails()).evaluator(np.array([29]), np.array([1]))
    energies, forces, stresses, _ = evaluator.compute(np.eye(3)[None] * 3, np.zeros((1, 3)))
    assert np.isnan(energies).all()
    assert np.isnan(forces).all()
    assert np.isnan(stresses).all()


def test_unit_of_stress() -> None:
    from ase.units import GPa

    assert pytest.approx(10 / GPa, rel=1e-6) == KBAR
