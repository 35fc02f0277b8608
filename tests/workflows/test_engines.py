"""Engines by name and by import path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from ase.build import bulk

from search.relax.limits import RelaxationLimits
from tests.workflows.vasp.running import output, run
from workflows.chains.protocols import find_protocol
from workflows.conversion import to_structure
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.engines import registry
from workflows.engines.ase.engine import AseEngine
from workflows.engines.base import (
    DynamicsTask,
    MissingEngineError,
    SegmentSettings,
    UnknownEngineError,
)
from workflows.engines.registry import ENGINES, EngineRow, find_engine


def test_known_engines_say_what_they_know() -> None:
    assert {"Li", "Al", "Cl", "Ba", "Te"} <= find_engine("chgnet").elements()
    assert "Li" not in find_engine("emt").elements()
    assert "Bi" in find_engine("sevennet").elements()
    assert not {"Po", "Ra", "Am"} & find_engine("sevennet").elements()


@pytest.mark.parametrize("name", ["nosuch", "no.such:Thing", "ase.calculators.emt:Nothing"])
def test_an_unknown_engine_gets_a_sentence(name: str) -> None:
    with pytest.raises(UnknownEngineError):
        find_engine(name)


def test_any_ase_calculator_is_an_engine_and_is_built_once() -> None:
    engine = find_engine("ase.calculators.lj:LennardJones", {"epsilon": 0.1, "rc": 6.0})
    assert engine.elements() is None
    assert engine.build() is engine.build()
    assert AseEngine.from_dict(engine.as_dict()) == engine


ARGON = """
from ase.calculators.lj import LennardJones

def argon():
    return LennardJones(sigma=3.4, epsilon=0.0103, rc=8.5, smooth=True)
"""


@pytest.fixture
def argon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new engine: one module, one row."""
    (tmp_path / "argon_engine.py").write_text(ARGON)
    monkeypatch.syspath_prepend(tmp_path)
    row = EngineRow("argon_engine:argon", elements=("Ar",), packages=("pip",), seconds_per_step=0.1)
    monkeypatch.setitem(registry.ENGINES, "argon", row)
    return "argon"


def test_a_new_engine_is_a_module_and_a_row(argon: str, tmp_path: Path) -> None:
    engine = find_engine(argon)
    assert engine.elements() == {"Ar"}
    assert (engine.seconds_per_step, engine.size_exponent) == (0.1, 1.0)
    assert "pip" in registry.installed_versions()
    start = to_structure(bulk("Ar", cubic=True, a=5.6) * (2, 2, 2))
    relax = engine.relax(RelaxationLimits(0.001, 0.1)).make(start, "candidates")
    relaxed: RelaxDocument = output(run(relax, tmp_path), relax.uuid)
    assert relaxed.engine == "argon"
    assert relaxed.converged
    # 2^(1/6) sigma, and a few per cent less for all the neighbours beyond the first
    assert relaxed.structure.lattice.a / 2 / 2**0.5 == pytest.approx(1.10 * 3.4, abs=0.06)
    work = engine.molecular_dynamics(SegmentSettings(20, 2.0, 10, 50.0)).make(
        relaxed.structure, DynamicsTask("liquid", 80.0, 80.0, seed=1)
    )
    segment: SegmentDocument = output(run(work, tmp_path), work.uuid)
    assert segment.engine == "argon"
    assert len(segment.frames) == 2


def test_every_row_makes_its_engine_without_importing_what_it_runs() -> None:
    for name, row in ENGINES.items():
        engine = find_engine(name)
        assert engine.name == name
        assert engine.seconds_per_step == row.seconds_per_step
        assert engine.size_exponent == row.size_exponent
        assert engine.elements()
    code = (
        "import sys; from workflows.engines.registry import ENGINES, find_engine\n"
        "for name in ENGINES: find_engine(name)\n"
        "assert not {'torch', 'chgnet', 'sevenn', 'gpaw', 'custodian'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_and_doctor_name_what_the_registry_has() -> None:
    from launch.cluster import doctor
    from launch.commands.shared.prediction import PredictionOptions

    hints = get_type_hints(PredictionOptions, include_extras=True)
    (engine,), (sampler,) = (hints[name].__metadata__ for name in ("engine", "sampler"))
    assert all(name in engine.help for name in ENGINES)
    named = {name for name, row in ENGINES.items() if row.sampler}
    assert {name for name in ENGINES if name in sampler.help} == named >= {"chgnet", "pair"}
    extras = [check.name for check in doctor._extras(None)]
    assert extras == sorted({row.extra.upper() for row in ENGINES.values() if row.extra})


def test_an_engine_gets_its_own_branch_of_a_protocol_only() -> None:
    protocol = find_protocol("quick")
    for name, row in ENGINES.items():
        reference = protocol.with_reference(find_engine(name)).reference
        assert reference.name == name
        if row.settings is not None:
            assert reference.settings is getattr(protocol, row.settings)


def test_an_engine_that_comes_with_an_extra_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ENGINES, "absent", EngineRow("absent_package:C", extra="absent"))
    engine = find_engine("absent")
    assert "devitrify[absent]" in (engine.missing() or "")
    with pytest.raises(MissingEngineError, match=r"devitrify\[absent\]"):
        engine.build()


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
