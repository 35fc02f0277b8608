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

from tests.fake_vasp import dynamics
from tests.fake_vasp.electrons import Electrons
from tests.fake_vasp.faults import Faults
from tests.fake_vasp.job import Job
from tests.fake_vasp.main import main
from tests.fake_vasp.model import PairPotential
from tests.fake_vasp.samples import run_here, salt, write_inputs
from tests.fake_vasp.state import KBAR, Evaluator, IonicStep

pytestmark = pytest.mark.filterwarnings("ignore")
NVE = {"IBRION": 0, "MDALGO": 0, "SMASS": -3}
NOSE = {"IBRION": 0, "MDALGO": 2, "SMASS": 0}
LANGEVIN = {"IBRION": 0, "MDALGO": 3, "LANGEVIN_GAMMA": "20 10"}
ANDERSEN = {"IBRION": 0, "MDALGO": 1, "ANDERSEN_PROB": 0.05}


def trajectory(folder: Path, structure: Structure, **tags: Any) -> list[IonicStep]:
    """Run without writing anything."""
    write_inputs(folder, structure, {"POTIM": 2.0, "EDIFF": 1e-7, **tags})
    job = Job.read(folder, "std")
    electrons = Electrons(job.settings, job.system.n_atoms, 1.0)
    evaluate = Evaluator(PairPotential(), electrons, job.settings, Faults([]), job.system)
    steps: list[IonicStep] = []

    def keep(step: IonicStep) -> bool:
        steps.append(step)
        return False

    generator = np.random.default_rng(0)
    dynamics.run(job.system, job.masses, job.settings, evaluate, keep, generator)
    return steps


def column(steps: list[IonicStep], name: str) -> NDArray:
    return np.array([getattr(step, name) for step in steps])


def test_energy_is_conserved_to_second_order(tmp_path: Path):
    drifts = []
    for potim, nsw in ((2.0, 100), (1.0, 200)):
        steps = trajectory(tmp_path, salt(), NSW=nsw, POTIM=potim, TEBEG=600, **NVE)
        assert len(steps) == nsw
        total = column(steps, "total_energy")
        assert np.ptp(total) < 0.1 * np.ptp(column(steps, "kinetic"))
        drifts.append(np.std(total))
    assert drifts[1] == pytest.approx(drifts[0] / 4, rel=0.3)


@pytest.mark.parametrize("smass", [0, 0.5])
def test_nose_conserves_its_energy(tmp_path: Path, smass: float):
    steps = trajectory(tmp_path, salt(), NSW=300, TEBEG=800, **{**NOSE, "SMASS": smass, "POTIM": 1})
    exchanged = column(steps, "energy") + column(steps, "kinetic")
    assert np.ptp(exchanged) > 20 * np.ptp(column(steps, "total_energy"))


@pytest.mark.parametrize("tags", [NOSE, LANGEVIN, ANDERSEN])
def test_temperature_is_the_one_asked_for(tmp_path: Path, tags):
    steps = trajectory(tmp_path, salt(repeat=2), NSW=700, TEBEG=700, **tags)
    values = column(steps, "temperature")
    assert values[0] == pytest.approx(700, abs=1)
    # canonical: the relative width is sqrt(2 / degrees of freedom), 0.10 for 64 atoms
    assert values[200:].mean() == pytest.approx(700, rel=0.05)
    assert values[200:].std() / 700 == pytest.approx(0.103, rel=0.35)
    system = steps[-1].system
    masses = np.array([22.990, 35.45])[system.types]
    assert system.velocities is not None
    np.testing.assert_allclose(masses @ system.velocities, 0, atol=1e-9)


def test_rescaling_holds_the_temperature(tmp_path: Path):
    steps = trajectory(tmp_path, salt(), NSW=40, TEBEG=500, IBRION=0, SMASS=-1, NBLOCK=1)
    np.testing.assert_allclose(column(steps, "temperature"), 500, atol=0.01)


def test_ramp(tmp_path: Path):
    tags = {**LANGEVIN, "LANGEVIN_GAMMA": "50 50"}
    steps = trajectory(tmp_path, salt(repeat=2), NSW=600, TEBEG=1000, TEEND=200, **tags)
    values = column(steps, "temperature")
    target = np.linspace(1000, 200, 600)
    for part in np.array_split(np.arange(600), 4):
        # the atoms are behind by the cooling rate times the time of the friction
        assert values[part].mean() == pytest.approx(target[part].mean() + 13, abs=60)


@pytest.mark.slow
def test_pressure_is_the_one_asked_for(tmp_path: Path):
    """Langevin dynamics at constant pressure, from loose and tight starts."""
    tags = {**LANGEVIN, "ISIF": 3, "LANGEVIN_GAMMA_L": 20, "PMASS": 10, "TEBEG": 300}
    volumes = []
    for stretch, pressure in ((1.06, 0), (0.98, 0), (1.0, 60)):
        steps = trajectory(tmp_path, salt(stretch, repeat=2), NSW=1500, PSTRESS=pressure, **tags)
        late = steps[500:]
        volume = np.array([abs(np.linalg.det(step.system.cell)) for step in late])
        inside = np.trace(column(late, "stress_kbar"), axis1=1, axis2=2) / 3
        motion = 2 / 3 * column(late, "kinetic") / volume * KBAR
        assert (inside + motion).mean() == pytest.approx(pressure, abs=2)
        assert column(late, "temperature").mean() == pytest.approx(300, rel=0.06)
        volumes.append(volume.mean())
    assert volumes[0] == pytest.approx(volumes[1], rel=0.01)
    assert volumes[2] < 0.97 * volumes[0]


def energies(folder: Path, name: str) -> NDArray:
    run = Vasprun(folder / "vasprun.xml", parse_dos=False, parse_eigen=False)
    return np.array([step[name] for step in run.ionic_steps])


def test_two_halves_are_the_whole(tmp_path: Path):
    """Positions and velocities of CONTCAR carry on the same trajectory."""
    tags = {**NVE, "TEBEG": 600, "POTIM": 2.0, "EDIFF": 1e-6}
    whole = run_here(tmp_path / "whole", salt(), NSW=30, **tags)
    second = run_here(tmp_path / "part", salt(), NSW=15, **tags)
    shutil.copy(second / "CONTCAR", second / "POSCAR")
    Incar({**Incar.from_file(second / "INCAR"), "NSW": 16}).write_file(second / "INCAR")
    assert main("std", second) == 0
    for name in ("e_fr_energy", "kinetic"):
        np.testing.assert_allclose(energies(second, name), energies(whole, name)[14:], atol=1e-5)


def test_seed_decides_the_velocities(tmp_path: Path, monkeypatch):
    velocities = []
    for seed in ("1", "1", "2"):
        monkeypatch.setenv("FAKE_VASP_SEED", seed)
        folder = run_here(tmp_path, salt(), NSW=3, TEBEG=600, **NVE)
        velocities.append(np.array(Poscar.from_file(folder / "CONTCAR").velocities))
    assert (velocities[0] == velocities[1]).all()
    assert (velocities[0] != velocities[2]).all()


def test_outcar_has_the_kinetic_pressure(tmp_path: Path):
    folder = run_here(tmp_path, salt(), NSW=3, TEBEG=900, **NVE)
    outcar = Outcar(folder / "OUTCAR")
    outcar.read_pattern(
        {
            "total": r"total pressure  =\s+([-\d.]+) kB",
            "virial": r"external pressure =\s+([-\d.]+) kB",
        },
        postprocess=float,
    )
    gas = 2 / 3 * energies(folder, "kinetic") / salt().volume * KBAR
    difference = np.array(outcar.data["total"]) - np.array(outcar.data["virial"])
    np.testing.assert_allclose(difference.ravel(), gas, atol=0.02)
