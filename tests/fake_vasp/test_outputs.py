"""Output files: parsers of others read them, and they agree with each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from emmet.core.tasks import TaskDoc
from pymatgen.io.vasp import Chgcar, Oszicar, Outcar, Poscar, Vasprun, Xdatcar

from tests.fake_vasp.samples import run_here, salt

pytestmark = pytest.mark.filterwarnings("ignore")
MD = {"NSW": 6, "IBRION": 0, "MDALGO": 2, "SMASS": 0, "TEBEG": 900, "POTIM": 2.0}
RELAX = {"NSW": 60, "IBRION": 2, "ISIF": 3, "EDIFFG": -0.01}
RUNS = {"static": {"NSW": 0}, "relax": RELAX, "md": MD}


@pytest.fixture(scope="module", params=list(RUNS))
def finished(request, tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    mesh = (1, 1, 1) if request.param == "md" else (2, 2, 2)
    return request.param, run_here(folder, salt(1.02), mesh, **RUNS[request.param])


def test_vasprun(finished):
    kind, folder = finished
    run = Vasprun(folder / "vasprun.xml")
    assert run.converged
    assert run.atomic_symbols == ["Na"] * 4 + ["Cl"] * 4
    assert run.potcar_symbols == ["PAW_PBE Na 01Jan2000", "PAW_PBE Cl 01Jan2000"]
    assert len(run.ionic_steps) == {"static": 1, "md": 6}.get(kind, len(run.ionic_steps))
    assert run.kpoints.kpts == [(1, 1, 1) if kind == "md" else (2, 2, 2)]
    assert len(run.actual_kpoints) == (1 if kind == "md" else 8 // 2 + 4)
    gap, conduction, valence, _ = run.eigenvalue_band_properties
    assert gap > 0
    assert valence < run.efermi < conduction
    assert all(2 <= len(step["electronic_steps"]) < 60 for step in run.ionic_steps)
    total = run.ionic_steps[-1]
    assert total["e_wo_entrp"] - total["e_fr_energy"] == pytest.approx(0.02 * 8 * 0.05**2, abs=1e-7)
    assert run.final_energy == pytest.approx(
        (total["e_fr_energy"] + total["e_wo_entrp"]) / 2, abs=1e-7
    )


def test_dispersion_comes_after_the_electronic_loop(tmp_path):
    """As pymatgen reads it: in the energy of the step and of OUTCAR, not in the loop's."""
    runs = {}
    for ivdw in (0, 12):
        folder = tmp_path / str(ivdw)
        folder.mkdir()
        run_here(folder, salt(1.02), NSW=0, IVDW=ivdw, EDIFF=1e-7)
        runs[ivdw] = Vasprun(folder / "vasprun.xml"), Outcar(folder / "OUTCAR")
    (bare, _), (whole, outcar) = runs[0], runs[12]
    assert whole.parameters["IVDW"] == 12
    energies = [run.ionic_steps[0]["e_fr_energy"] for run in (bare, whole)]
    loops = [run.ionic_steps[0]["electronic_steps"][-1]["e_fr_energy"] for run in (bare, whole)]
    assert loops[0] == pytest.approx(loops[1], abs=1e-6)
    assert energies[1] < energies[0] - 0.5
    assert outcar.final_fr_energy == pytest.approx(energies[1], abs=1e-6)
    assert (
        f"Edisp (eV) {energies[1] - energies[0]:14.5f}" in (tmp_path / "12" / "OUTCAR").read_text()
    )
    assert run_here(tmp_path, salt(), expect=1, NSW=0, IVDW=20)


def test_files_agree(finished):
    kind, folder = finished
    run, outcar, oszicar = (
        Vasprun(folder / "vasprun.xml"),
        Outcar(folder / "OUTCAR"),
        Oszicar(folder / "OSZICAR"),
    )
    last = run.ionic_steps[-1]
    assert oszicar.final_energy == pytest.approx(run.final_energy, abs=1e-5)
    assert outcar.final_energy == pytest.approx(run.final_energy, abs=1e-6)
    assert outcar.final_fr_energy == pytest.approx(last["e_fr_energy"], abs=1e-6)
    assert [len(steps) for steps in oszicar.electronic_steps] == [
        len(step["electronic_steps"]) for step in run.ionic_steps
    ]
    assert not outcar.is_stopped
    assert outcar.run_stats["Elapsed time (sec)"] > 0
    frames = read(folder / "OUTCAR", index=":")
    xml = read(folder / "vasprun.xml", index=":")
    positions = Xdatcar(folder / "XDATCAR").structures
    assert len(frames) == len(xml) == len(positions) == len(run.ionic_steps)
    for outcar_frame, xml_frame, structure, step in zip(
        frames, xml, positions, run.ionic_steps, strict=True
    ):
        np.testing.assert_allclose(outcar_frame.get_forces(), step["forces"], atol=2e-6)
        np.testing.assert_allclose(xml_frame.get_forces(), step["forces"], atol=1e-7)
        np.testing.assert_allclose(xml_frame.get_stress(), outcar_frame.get_stress(), atol=1e-6)
        np.testing.assert_allclose(
            outcar_frame.get_potential_energy(), xml_frame.get_potential_energy(), atol=1e-6
        )
        np.testing.assert_allclose(
            structure.lattice.matrix, step["structure"].lattice.matrix, atol=1e-6
        )
        assert structure.matches(step["structure"]) or kind == "md"
        difference = structure.frac_coords - step["structure"].frac_coords
        np.testing.assert_allclose(difference - np.round(difference), 0, atol=1e-7)


def test_contcar_is_the_last_step(finished):
    kind, folder = finished
    poscar = Poscar.from_file(folder / "CONTCAR")
    last = Vasprun(folder / "vasprun.xml").final_structure
    difference = poscar.structure.frac_coords - last.frac_coords
    np.testing.assert_allclose(difference - np.round(difference), 0, atol=1e-7)
    np.testing.assert_allclose(poscar.structure.lattice.matrix, last.lattice.matrix, atol=1e-7)
    assert bool(np.any(poscar.velocities)) == (kind == "md")


def test_density_and_kpoints(finished):
    _, folder = finished
    assert Chgcar.from_file(folder / "CHGCAR").dim == (2, 2, 2)
    assert (folder / "WAVECAR").stat().st_size < 1000
    count = int((folder / "IBZKPT").read_text().splitlines()[1])
    assert count == len(Vasprun(folder / "vasprun.xml").actual_kpoints)


@pytest.mark.parametrize("trajectory", ["no", "partial"])
def test_emmet(finished, trajectory):
    kind, folder = finished
    document = TaskDoc.from_directory(folder, store_trajectory=trajectory)
    assert str(document.state) in ("successful", "TaskState.SUCCESS")
    assert document.output is not None
    assert document.output.energy < 0
    assert np.shape(document.output.stress) == (3, 3)
    if kind == "md":
        assert np.any(document.structure.site_properties["velocities"])


def test_density_of_states_counts_electrons(finished):
    _, folder = finished
    run = Vasprun(folder / "vasprun.xml")
    below = run.tdos.energies < run.efermi
    integral = next(iter(run.idos.densities.values()))[below][-1]
    assert integral == pytest.approx(run.parameters["NELECT"], abs=1e-3)


def test_spin(tmp_path: Path):
    run = Vasprun(run_here(tmp_path, salt(), NSW=0, ISPIN=2, MAGMOM="8*0.6") / "vasprun.xml")
    assert run.is_spin
    assert run.parameters["MAGMOM"] == [0.6] * 8
    assert len(run.eigenvalues) == 2


def test_time_can_be_simulated(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("FAKE_VASP_COST", "100")
    times = []
    for name, tags in {"small": {"ENCUT": 300}, "large": {"ENCUT": 600}}.items():
        outcar = Outcar(run_here(tmp_path / name, salt(), NSW=0, **tags) / "OUTCAR")
        outcar.read_pattern({"loop": r"LOOP\+.+real time(.+)"}, postprocess=float)
        times.append(outcar.run_stats["Elapsed time (sec)"])
        assert outcar.data["loop"][0][0] == pytest.approx(times[-1], abs=1e-3)
    assert times[0] > 5
    assert times[1] == pytest.approx(times[0] * 2**1.5, rel=1e-3)
