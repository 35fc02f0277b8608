"""Universal potentials by torch: derivatives in single precision, devices, what they know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

from nnp.units import KBAR
from search.relax.limits import RelaxationLimits
from tests.workflows.energy_curves import (
    COMPONENTS,
    derivative,
    moved,
    sheared_salt,
    strained,
)
from tests.workflows.vasp.running import output, run
from workflows.conversion import to_structure
from workflows.engines.ase.device import choose_device
from workflows.engines.registry import ENGINES, find_engine

SEVENNET = sorted(name for name, row in ENGINES.items() if row.extra == "sevennet")
#: What its import and its weights take is seconds.
slow = pytest.mark.slow


def require(engine: str) -> None:
    """Skip where the extra of an engine is not installed."""
    reason = find_engine(engine).missing()
    if reason is not None:
        pytest.skip(reason)


@slow
@pytest.mark.parametrize(
    ("name", "points"),  # CHGNet's energies are the roughest
    [("chgnet", 41), *((name, 5) for name in SEVENNET), ("sevennet-0+d3bj", 5)],
)
def test_forces_and_stress_are_derivatives_of_the_energy(name: str, points: int) -> None:
    require(name)
    atoms = sheared_salt()
    atoms.calc = find_engine(name).build()
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
    assert forces.dtype == stress.dtype == np.float64
    assert np.abs(forces).max() > 0.1
    for i, k in ((0, 0), (1, 2)):
        found = derivative(moved(atoms, i, k), 0.01 if points > 5 else 0.02, points)
        assert forces[i, k] == pytest.approx(-found, abs=1e-4)
    for a, b in COMPONENTS:
        found = derivative(strained(atoms, a, b), 0.01, 5) / atoms.get_volume()
        assert KBAR * stress[a, b] == pytest.approx(KBAR * found, abs=0.2)


@slow
def test_sevennet_is_the_stock_calculator_of_its_model(tmp_path: Path) -> None:
    """Of the functional that is asked for; and it relaxes within a job."""
    require("sevennet")
    from sevenn.calculator import SevenNetCalculator as Stock

    atoms = sheared_salt()
    energies = {}
    for name, functional in (("sevennet-mf-0", "PBE"), ("sevennet-mf-0-r2scan", "R2SCAN")):
        atoms.calc = find_engine(name).build()
        energies[name] = atoms.get_potential_energy(), atoms.get_forces()
        atoms.calc = Stock("7net-mf-0", modal=functional, device="cpu")
        assert energies[name][0] == atoms.get_potential_energy()
        assert np.array_equal(energies[name][1], atoms.get_forces())
    assert abs(energies["sevennet-mf-0"][0] - energies["sevennet-mf-0-r2scan"][0]) > 0.1
    start = to_structure(bulk("NaCl", "rocksalt", a=5.5))
    work = find_engine("sevennet-0+d3bj").relax(RelaxationLimits(0.02, 1.0)).make(start, "search")
    document = output(run(work, tmp_path), work.uuid)
    assert (document.engine, document.converged) == ("sevennet-0+d3bj", True)


@slow
def test_sevennet_computes_what_its_package_brings_along_only() -> None:
    """Other models it would fetch from the network."""
    require("sevennet")
    from workflows.engines.ase.sevennet import MODELS, SevenNetCalculator

    with pytest.raises(ValueError, match="there is no model '7net-omni'"):
        SevenNetCalculator("7net-omni")
    with pytest.raises(ValueError, match="modal"):
        SevenNetCalculator("7net-mf-0")
    assert {ENGINES[name].arguments["model"] for name in SEVENNET} == set(MODELS)
    known = SevenNetCalculator("7net-0").stock.type_map
    assert {Atoms(numbers=[z]).symbols[0] for z in known} == find_engine("sevennet").elements()


def test_a_gpu_is_taken_if_torch_sees_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device() == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device() == "cuda"
    assert choose_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["chgnet", "sevennet"])
def test_an_element_that_is_not_known_is_named(name: str, capsys: pytest.CaptureFixture) -> None:
    from tests.launch.test_cli import call

    code, _, printed = call(capsys, "run", "AmO2", "--engine", name)
    assert code == 1
    assert f"The engine {name} does not know Am; choose another" in printed
