"""Molecular dynamics: conservation, temperature, pressure, continuation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.io.vasp import Incar, Outcar, Poscar, Vasprun

from tests.fake_vasp.main import main
from tests.fake_vasp.samples import run_here, salt

pytestmark = pytest.mark.filterwarnings("ignore")
NVE = {"IBRION": 0, "MDALGO": 0, "SMASS": -3}
NOSE = {"IBRION": 0, "MDALGO": 2, "SMASS": 0}
LANGEVIN = {"IBRION": 0, "MDALGO": 3, "LANGEVIN_GAMMA": "20 10"}


def run(folder: Path, structure: Structure, **tags: Any) -> Vasprun:
    run_here(folder, structure, **{"POTIM": 2.0, "ALGO": "Fast", "LWAVE": False, **tags})
    return Vasprun(folder / "vasprun.xml", parse_dos=False, parse_eigen=False)


def column(result: Vasprun, name: str) -> NDArray:
    return np.array([step[name] for step in result.ionic_steps])


def temperatures(result: Vasprun) -> NDArray:
    freedom = 3 * len(result.final_structure) - 3
    return 2 * column(result, "kinetic") / (freedom * 8.617333e-5)


def test_energy_is_conserved_to_second_order(tmp_path: Path):
    drifts = []
    for name, potim, nsw in (("long", 2.0, 100), ("short", 1.0, 200)):
        result = run(tmp_path / name, salt(), NSW=nsw, POTIM=potim, TEBEG=600, **NVE)
        total = column(result, "total")
        assert np.ptp(total) < 0.1 * np.ptp(column(result, "kinetic"))
        drifts.append(np.std(total))
    assert drifts[1] == pytest.approx(drifts[0] / 4, rel=0.5)


@pytest.mark.parametrize("smass", [0, 0.5])
def test_nose_conserves_its_energy(tmp_path: Path, smass: float):
    result = run(tmp_path, salt(), NSW=300, TEBEG=800, POTIM=1.0, **{**NOSE, "SMASS": smass})
    total = column(result, "total")
    assert np.ptp(column(result, "e_fr_energy") + column(result, "kinetic")) > 0.2
    assert np.ptp(total[5:]) < 0.02


@pytest.mark.parametrize(
    "tags", [NOSE, LANGEVIN, {"IBRION": 0, "MDALGO": 1, "ANDERSEN_PROB": 0.05}]
)
def test_temperature_is_the_one_asked_for(tmp_path: Path, tags):
    result = run(tmp_path, salt(repeat=2), NSW=400, TEBEG=700, **tags)
    values = temperatures(result)
    assert values[0] == pytest.approx(700, abs=1)
    # canonical: the relative width is sqrt(2 / degrees of freedom), 0.10 for 64 atoms
    assert values[100:].mean() == pytest.approx(700, rel=0.08)
    assert 0.04 < values[100:].std() / 700 < 0.2
    momentum = (
        np.array([site.specie.atomic_mass for site in result.final_structure])
        @ Poscar.from_file(tmp_path / "CONTCAR").velocities
    )
    np.testing.assert_allclose(momentum, 0, atol=1e-6)


def test_rescaling_holds_the_temperature(tmp_path: Path):
    result = run(tmp_path, salt(), NSW=40, TEBEG=500, IBRION=0, SMASS=-1, NBLOCK=1)
    np.testing.assert_allclose(temperatures(result), 500, atol=0.5)


def test_ramp(tmp_path: Path):
    result = run(tmp_path, salt(repeat=2), NSW=300, TEBEG=1000, TEEND=300, **LANGEVIN)
    values = temperatures(result)
    assert values[:30].mean() == pytest.approx(960, rel=0.2)
    assert values[-30:].mean() == pytest.approx(335, rel=0.2)


def test_two_halves_are_the_whole(tmp_path: Path):
    """Positions and velocities of CONTCAR carry on the same trajectory."""
    whole = run(tmp_path / "whole", salt(), NSW=30, TEBEG=600, EDIFF=1e-6, **NVE)
    run(tmp_path / "first", salt(), NSW=15, TEBEG=600, EDIFF=1e-6, **NVE)
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    shutil.copy(tmp_path / "first/CONTCAR", tmp_path / "second/POSCAR")
    incar = Incar.from_file(tmp_path / "second/INCAR")
    Incar({**incar, "NSW": 16}).write_file(tmp_path / "second/INCAR")
    assert main("std", tmp_path / "second") == 0
    second = Vasprun(tmp_path / "second/vasprun.xml")
    np.testing.assert_allclose(
        column(second, "e_fr_energy"), column(whole, "e_fr_energy")[14:], atol=1e-5
    )
    np.testing.assert_allclose(column(second, "kinetic"), column(whole, "kinetic")[14:], atol=1e-5)


def test_seed_decides_the_velocities(tmp_path: Path, monkeypatch):
    kinetic = []
    for seed in ("1", "1", "2"):
        monkeypatch.setenv("FAKE_VASP_SEED", seed)
        result = run(tmp_path / f"{seed}{len(kinetic)}", salt(), NSW=4, TEBEG=600, **NVE)
        kinetic.append(column(result, "kinetic"))
    assert (kinetic[0] == kinetic[1]).all()
    assert (kinetic[0] != kinetic[2]).any()


def test_pressure_is_the_one_asked_for(tmp_path: Path):
    """Langevin dynamics at constant pressure, compressed and stretched starts."""
    tags = {**LANGEVIN, "ISIF": 3, "LANGEVIN_GAMMA_L": 20, "PMASS": 20, "NSW": 800, "TEBEG": 300}
    volumes = []
    for name, stretch, pressure in (("loose", 1.06, 0), ("tight", 0.98, 0), ("pressed", 1.0, 60)):
        result = run(tmp_path / name, salt(stretch, repeat=2), PSTRESS=pressure, **tags)
        cells = np.array([step["structure"].lattice.matrix for step in result.ionic_steps[300:]])
        volume = np.abs(np.linalg.det(cells))
        inside = np.trace(column(result, "stress")[300:], axis1=1, axis2=2) / 3
        motion = 2 / 3 * column(result, "kinetic")[300:] / volume * 1602.1766
        assert (inside + motion).mean() == pytest.approx(pressure, abs=4)
        assert temperatures(result)[300:].mean() == pytest.approx(300, rel=0.08)
        volumes.append(volume.mean())
    assert volumes[0] == pytest.approx(volumes[1], rel=0.01)
    assert volumes[2] < 0.95 * volumes[0]


def test_outcar_has_the_kinetic_pressure(tmp_path: Path):
    result = run(tmp_path, salt(), NSW=3, TEBEG=900, **NVE)
    outcar = Outcar(tmp_path / "OUTCAR")
    outcar.read_pattern(
        {
            "total": r"total pressure  =\s+([-\d.]+) kB",
            "virial": r"external pressure =\s+([-\d.]+) kB",
        },
        postprocess=float,
    )
    gas = 2 / 3 * column(result, "kinetic") / salt().volume * 1602.1766
    difference = np.array(outcar.data["total"]) - np.array(outcar.data["virial"])
    np.testing.assert_allclose(difference.ravel(), gas, atol=0.02)
