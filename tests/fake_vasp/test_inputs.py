"""Input files: what is read, what pymatgen thinks of it, what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from pymatgen.io.vasp import Kpoints, Poscar, Potcar, PotcarSingle

from tests.fake_vasp.fixtures import FakeVasp
from tests.fake_vasp.incar import Incar, InputError
from tests.fake_vasp.job import Job
from tests.fake_vasp.kpoints import read_mesh
from tests.fake_vasp.poscar import System
from tests.fake_vasp.potcar import made_up, potcar
from tests.fake_vasp.samples import run_here, salt, write_inputs


def test_incar_is_read_as_written():
    incar = Incar(
        "ENCUT = 3.5E2 ! eV\n# NSW = 3\nNSW = 5; LWAVE = .FALSE.\nMAGMOM = 2*0.5 -1\nALGO=Fast\n"
    )
    assert incar.number("ENCUT", 0) == 350
    assert incar.integer("NSW", 0) == 5
    assert not incar.logical("LWAVE", True)
    assert incar.typed()["MAGMOM"] == [0.5, 0.5, -1]
    assert incar.typed()["ALGO"] == "Fast"
    assert "IBRION" not in incar


@pytest.mark.parametrize("cartesian", [False, True])
def test_poscar_is_what_pymatgen_wrote(tmp_path: Path, cartesian: bool):
    structure = salt()
    velocities = np.random.default_rng(0).standard_normal((8, 3)) * 1e-3
    poscar = Poscar(structure, velocities=velocities.tolist())
    poscar.write_file(tmp_path / "POSCAR", significant_figures=12, direct=not cartesian)
    system = System.read(tmp_path)
    np.testing.assert_allclose(system.cell, structure.lattice.matrix, atol=1e-10)
    np.testing.assert_allclose(system.scaled % 1, structure.frac_coords % 1, atol=1e-10)
    assert system.velocities is not None
    np.testing.assert_allclose(system.velocities, velocities, rtol=1e-6)
    assert system.atom_symbols == ["Na"] * 4 + ["Cl"] * 4


def test_poscar_scaled_by_volume(tmp_path: Path):
    lines = Poscar(salt()).get_str().splitlines()
    lines[1] = "-200.0"
    (tmp_path / "POSCAR").write_text("\n".join(lines))
    assert np.linalg.det(System.read(tmp_path).cell) == pytest.approx(200.0)


@pytest.mark.parametrize("style", ["Gamma", "Monkhorst"])
@pytest.mark.parametrize("divisions", [(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 3, 2)])
def test_mesh_is_symmetric_and_complete(tmp_path: Path, style: str, divisions):
    (tmp_path / "KPOINTS").write_text(f"c\n0\n{style}\n{' '.join(map(str, divisions))}\n0 0 0\n")
    mesh = read_mesh(tmp_path, np.eye(3), Incar(""))
    total = np.prod(divisions)
    assert mesh.weights.sum() == pytest.approx(1)
    # points at -k are their own only where 2k is a reciprocal lattice vector
    own = (np.abs(2 * mesh.points - np.round(2 * mesh.points)) < 1e-6).all(axis=1)
    np.testing.assert_allclose(mesh.weights * total, np.where(own, 1, 2))
    assert (style == "Gamma") == bool((np.abs(mesh.points).sum(axis=1) < 1e-9).any()) or (
        np.array(divisions) % 2 == 1
    ).all()


def test_spacing_gives_a_mesh(tmp_path: Path):
    mesh = read_mesh(tmp_path, np.diag([4.0, 6.0, 12.0]), Incar("KSPACING = 0.5"))
    assert mesh.divisions == (4, 3, 2)


def test_potentials_are_found_by_pymatgen(fake_vasp: FakeVasp):
    for symbol, valence in (("Li_sv", 3), ("Ba_sv", 10), ("Cl", 7), ("In_d", 13), ("Te", 6)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            single = PotcarSingle.from_symbol_and_functional(symbol, "PBE_54")
        assert single.element == symbol.split("_")[0]
        assert single.nelectrons == valence
        assert single.enmax == made_up(symbol).cutoff
        assert single.functional == "PBE"
        assert single.symbol == symbol


def test_potcar_of_pymatgen_is_read_back(fake_vasp: FakeVasp, tmp_path: Path):
    write_inputs(tmp_path, salt(), {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Potcar(["Na_pv", "Cl"], functional="PBE").write_file(str(tmp_path / "POTCAR"))
    job = Job.read(tmp_path, "std")
    assert [potential.element for potential in job.potentials] == ["Na", "Cl"]
    assert job.settings.nelect == 4 * 7 + 4 * 7
    assert job.settings.encut == max(made_up("Na_pv").cutoff, made_up("Cl").cutoff)


def test_explicit_kpoints(tmp_path: Path):
    kpoints = Kpoints(
        style=Kpoints.supported_modes.Reciprocal,
        num_kpts=2,
        kpts=[(0, 0, 0), (0.5, 0.0, 0.0)],
        kpts_weights=[1, 3],
    )
    kpoints.write_file(tmp_path / "KPOINTS")
    mesh = read_mesh(tmp_path, np.eye(3), Incar(""))
    np.testing.assert_allclose(mesh.weights, [0.25, 0.75])


@pytest.mark.parametrize(
    "tags",
    [
        {"LDAU": True},
        {"NSW": 5, "IBRION": 5},
        {"NSW": 5, "IBRION": 0, "MDALGO": 4},
        {"NSW": 5, "IBRION": 0, "MDALGO": 2, "ISIF": 3},
        {"KPAR": 2},
        {"FAKE_VASP_FAULTS": "flood"},
    ],
)
def test_what_is_not_done_is_refused(tmp_path: Path, tags, capsys):
    run_here(tmp_path, salt(), expect=1, **tags)
    assert "ERROR" in capsys.readouterr().out
    assert not (tmp_path / "vasprun.xml").exists()


def test_elements_must_match(tmp_path: Path):
    write_inputs(tmp_path, salt(), {})
    (tmp_path / "POTCAR").write_text(potcar("Cl") + potcar("Na"))
    with pytest.raises(InputError, match="POTCAR is of Cl Na"):
        Job.read(tmp_path, "std")


def test_gamma_only_version_needs_gamma(tmp_path: Path):
    write_inputs(tmp_path, salt(), {}, mesh=(2, 1, 1))
    Job.read(tmp_path, "std")
    with pytest.raises(InputError, match="gamma-only"):
        Job.read(tmp_path, "gam")


def test_incomplete_poscar_is_refused(tmp_path: Path):
    write_inputs(tmp_path, salt(), {})
    lines = (tmp_path / "POSCAR").read_text().splitlines()
    (tmp_path / "POSCAR").write_text("\n".join(lines[:12]))
    with pytest.raises(InputError, match="POSCAR cannot be read"):
        Job.read(tmp_path, "std")
