"""Engines by name and by import path."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from workflows.engines.ase.engine import AseEngine
from workflows.engines.base import UnknownEngineError
from workflows.engines.registry import find_engine


def test_known_engines_say_what_they_know() -> None:
    assert {"Li", "Al", "Cl", "Ba", "Te"} <= find_engine("chgnet").elements()
    assert "Li" not in find_engine("emt").elements()


@pytest.mark.parametrize("name", ["nosuch", "no.such:Thing", "ase.calculators.emt:Nothing"])
def test_an_unknown_engine_gets_a_sentence(name: str) -> None:
    with pytest.raises(UnknownEngineError):
        find_engine(name)


def test_any_ase_calculator_is_an_engine_and_is_built_once() -> None:
    engine = find_engine("ase.calculators.lj:LennardJones", {"epsilon": 0.1, "rc": 6.0})
    assert engine.elements() is None
    assert engine.build() is engine.build()
    assert AseEngine.from_dict(engine.as_dict()) == engine


def test_chgnet_in_one_backward_pass_agrees_with_the_stock_calculator() -> None:
    from chgnet.model.dynamics import CHGNetCalculator

    atoms = bulk("NaCl", "rocksalt", a=5.6) * (2, 1, 1)
    atoms.rattle(0.1, seed=1)
    atoms.calc = find_engine("chgnet").build()
    energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    atoms.calc = CHGNetCalculator(use_device="cpu")
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    assert np.allclose(forces, atoms.get_forces(), atol=1e-4)
    assert np.allclose(stress, atoms.get_stress(), atol=1e-5)
