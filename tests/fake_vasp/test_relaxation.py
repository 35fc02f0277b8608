"""Relaxations: criteria, cells, limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp import Vasprun

from tests.fake_vasp.samples import run_here, salt

pytestmark = pytest.mark.filterwarnings("ignore")


def largest_force(run: Vasprun) -> float:
    return float(np.linalg.norm(run.ionic_steps[-1]["forces"], axis=1).max())


def pressure(run: Vasprun) -> float:
    return float(np.trace(run.ionic_steps[-1]["stress"]) / 3)


@pytest.mark.parametrize("ibrion", [1, 2, 3])
def test_positions(tmp_path: Path, ibrion: int):
    run = Vasprun(
        run_here(tmp_path, salt(1.03), NSW=200, IBRION=ibrion, ISIF=2, EDIFFG=-0.02) / "vasprun.xml"
    )
    assert run.converged
    assert largest_force(run) < 0.02 < np.linalg.norm(run.ionic_steps[0]["forces"], axis=1).max()
    assert run.final_energy < run.ionic_steps[0]["e_0_energy"]
    assert run.final_structure.volume == pytest.approx(salt(1.03).volume)
    assert "reached required accuracy" in (tmp_path / "OUTCAR").read_text()


@pytest.mark.parametrize("target", [0.0, 50.0])
def test_cell(tmp_path: Path, target: float):
    tags = {"IBRION": 2, "ISIF": 3, "EDIFFG": -0.01, "PSTRESS": target, "NSW": 100}
    run = Vasprun(run_here(tmp_path, salt(1.03), (4, 4, 4), ENCUT=500, **tags) / "vasprun.xml")
    assert run.converged
    assert largest_force(run) < 0.01
    assert pressure(run) == pytest.approx(target, abs=4)
    assert abs(pressure(run) - target) < abs(np.trace(run.ionic_steps[0]["stress"]) / 3 - target)


def test_shape_at_constant_volume(tmp_path: Path):
    structure = salt()
    structure.apply_strain([0.04, 0.0, -0.03])
    run = Vasprun(
        run_here(tmp_path, structure, (3, 3, 3), NSW=100, IBRION=2, ISIF=4, EDIFFG=-0.01)
        / "vasprun.xml"
    )
    assert run.converged
    assert run.final_structure.volume == pytest.approx(structure.volume, rel=1e-3)
    stress = np.array(run.ionic_steps[-1]["stress"])
    assert np.abs(stress - np.eye(3) * np.trace(stress) / 3).max() < 3
    assert np.ptp(run.final_structure.lattice.abc) < 0.5 * np.ptp(structure.lattice.abc)


def test_energy_criterion(tmp_path: Path):
    run = Vasprun(run_here(tmp_path, salt(), NSW=50, IBRION=2, EDIFFG=1e-3) / "vasprun.xml")
    energies = [step["e_fr_energy"] for step in run.ionic_steps]
    changes = np.abs(np.diff(energies))
    assert changes[-1] < 1e-3 <= changes[:-1].min()


def test_limit_of_steps(tmp_path: Path):
    run = Vasprun(run_here(tmp_path, salt(1.03), NSW=3, IBRION=2, EDIFFG=-1e-3) / "vasprun.xml")
    assert len(run.ionic_steps) == 3
    assert not run.converged_ionic
    assert run.converged_electronic
    assert "reached required accuracy" not in (tmp_path / "OUTCAR").read_text()


def test_a_restart_has_a_new_basis(tmp_path: Path):
    """At a low cutoff the energy jumps when the plane waves are chosen anew."""
    tags = {"IBRION": 2, "ISIF": 3, "EDIFFG": -0.005, "ENCUT": 140, "NSW": 100}
    first = Vasprun(run_here(tmp_path / "1", salt(1.08), (3, 3, 3), **tags) / "vasprun.xml")
    second = Vasprun(
        run_here(tmp_path / "2", first.final_structure, (3, 3, 3), **tags) / "vasprun.xml"
    )
    jump = second.ionic_steps[0]["e_fr_energy"] - first.ionic_steps[-1]["e_fr_energy"]
    assert abs(jump) > 1e-3
    third = Vasprun(
        run_here(tmp_path / "3", second.final_structure, (3, 3, 3), **tags) / "vasprun.xml"
    )
    assert abs(third.ionic_steps[0]["e_fr_energy"] - second.ionic_steps[-1]["e_fr_energy"]) < abs(
        jump
    )
