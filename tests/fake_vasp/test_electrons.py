"""Electronic loops: how many steps, from what, and what happens at NELM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp import Vasprun

from tests.fake_vasp.samples import run_here, salt

pytestmark = pytest.mark.filterwarnings("ignore")


def steps(folder: Path) -> list[int]:
    """Electronic steps of every ionic step."""
    run = Vasprun(folder / "vasprun.xml", parse_potcar_file=False)
    return [len(step["electronic_steps"]) for step in run.ionic_steps]


def test_wavefunctions_and_density_save_steps(tmp_path: Path):
    nothing = steps(run_here(tmp_path, salt(), NSW=0))[0]
    density = steps(run_here(tmp_path, salt(), NSW=0, ISTART=0, ICHARG=1, NELMDL=0))[0]
    wavefunctions = steps(run_here(tmp_path, salt(), NSW=0))[0]
    fresh = steps(run_here(tmp_path, salt(), NSW=0, ISTART=0))[0]
    assert nothing == fresh > density > wavefunctions >= 2


def test_wavefunctions_of_another_mesh_are_no_use(tmp_path: Path):
    run_here(tmp_path, salt(), NSW=0)
    other = steps(run_here(tmp_path, salt(), (2, 2, 2), NSW=0))[0]
    again = steps(run_here(tmp_path, salt(), (2, 2, 2), NSW=0))[0]
    assert other > again + 2


def test_none_are_written_if_not_asked_for(tmp_path: Path):
    run_here(tmp_path, salt(), NSW=0, LWAVE=False, LCHARG=False)
    assert not (tmp_path / "WAVECAR").exists()
    assert not (tmp_path / "CHGCAR").exists()


@pytest.mark.parametrize(
    ("algo", "ediff"), [("Normal", 1e-4), ("VeryFast", 1e-4), ("Normal", 1e-8)]
)
def test_loops_end_below_ediff(tmp_path: Path, algo: str, ediff: float):
    folder = run_here(tmp_path, salt(), NSW=0, ALGO=algo, EDIFF=ediff)
    run = Vasprun(folder / "vasprun.xml")
    energies = [step["e_fr_energy"] for step in run.ionic_steps[0]["electronic_steps"]]
    changes = np.abs(np.diff(energies))
    assert changes[-1] < ediff <= changes[-2]
    exact = 1.2 * changes[-1] + 2e-8
    assert run.ionic_steps[0]["e_fr_energy"] == pytest.approx(energies[-1], abs=exact)


def test_a_loop_cut_by_nelm_leaves_errors(tmp_path: Path):
    good = Vasprun(run_here(tmp_path / "good", salt(), NSW=0) / "vasprun.xml")
    cut = Vasprun(run_here(tmp_path / "cut", salt(), NSW=0, NELM=8) / "vasprun.xml")
    assert good.converged_electronic
    assert not cut.converged_electronic
    assert "EDIFF was not reached" in (tmp_path / "cut/OUTCAR").read_text()
    assert cut.final_energy > good.final_energy + 0.001
    difference = np.array(cut.ionic_steps[0]["forces"]) - good.ionic_steps[0]["forces"]
    assert np.abs(difference).max() > 1e-4
    np.testing.assert_allclose(difference.sum(axis=0), 0, atol=1e-6)
