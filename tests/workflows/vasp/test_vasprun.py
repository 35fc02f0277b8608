"""vasprun.xml into arrays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from monty.json import MontyDecoder

from nnp.units import KBAR
from tests.fake_vasp.fixtures import FakeVasp
from tests.workflows.vasp.xml import random_steps, write_vasprun
from workflows.engines.vasp.vasprun import Steps, read_steps


def test_every_number_arrives(tmp_path: Path) -> None:
    written = random_steps(7, 5)
    write_vasprun(tmp_path / "vasprun.xml", written)
    steps = read_steps(tmp_path / "vasprun.xml", 100, 1e-5)
    assert len(steps) == 7
    assert np.allclose(steps.energies, written.energies, atol=1e-8)
    assert np.allclose(steps.forces, written.forces, atol=1e-7)
    assert np.allclose(steps.stresses, written.stresses, atol=1e-7)
    assert np.allclose(steps.positions, written.positions, atol=1e-7)
    assert np.allclose(steps.cells, 14.0 * np.eye(3))
    assert np.allclose(steps.kinetic, written.kinetic)
    assert steps.converged.all()


def test_a_loop_of_full_length_did_not_converge(tmp_path: Path) -> None:
    written = random_steps(4, 2)
    written.loops = [8, 60, 12, 60]
    write_vasprun(tmp_path / "a.xml", written, gap=1e-2)
    assert read_steps(tmp_path / "a.xml", 60, 1e-5).converged.tolist() == [True, False, True, False]
    # converged in the very last step
    write_vasprun(tmp_path / "b.xml", written, gap=1e-8)
    assert read_steps(tmp_path / "b.xml", 60, 1e-5).converged.all()


def test_an_energy_above_that_of_the_atoms_is_no_ground_state(tmp_path: Path) -> None:
    written = random_steps(3, 2)
    written.energies[1] = 12.0
    write_vasprun(tmp_path / "vasprun.xml", written)
    steps = read_steps(tmp_path / "vasprun.xml", 60, 1e-5)
    assert steps.converged.tolist() == [True, False, True]
    # atoms on top of each other are above it, too
    assert read_steps(tmp_path / "vasprun.xml", 60, 1e-5, highest_energy=np.inf).converged.all()


def test_what_comes_after_the_electrons_belongs_to_the_energy(tmp_path: Path) -> None:
    """Dispersion, of which forces and stress have their part."""
    written = replace(random_steps(3, 2), added=np.array([-0.8, -0.85, -0.9]))
    write_vasprun(tmp_path / "vasprun.xml", written)
    steps = read_steps(tmp_path / "vasprun.xml", 60, 1e-5)
    assert np.allclose(steps.energies, written.energies + written.added, atol=1e-8)
    assert steps.converged.all()
    # but pressure times volume does not: the stress has no part of it
    work = 20.0 / KBAR * 14.0**3
    written = replace(random_steps(3, 2), added=np.full(3, work))
    write_vasprun(tmp_path / "vasprun.xml", written, settings={"PSTRESS": 20.0})
    steps = read_steps(tmp_path / "vasprun.xml", 60, 1e-5)
    assert np.allclose(steps.energies, written.energies, atol=1e-8)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.55, 0.99])
def test_a_file_cut_off_gives_its_whole_steps(tmp_path: Path, part: float) -> None:
    written = random_steps(20, 3)
    path = tmp_path / "vasprun.xml"
    write_vasprun(path, written)
    text = path.read_text()
    kept = text[: int(len(text) * part)]
    path.write_text(kept)
    steps = read_steps(path, 100, 1e-5)
    assert len(steps) == kept.count("</calculation>")
    assert np.allclose(steps.energies, written.energies[: len(steps)])


def test_no_file_is_no_steps(tmp_path: Path) -> None:
    assert len(read_steps(tmp_path / "vasprun.xml", 100, 1e-5)) == 0
    (tmp_path / "vasprun.xml").write_text("")
    assert len(read_steps(tmp_path / "vasprun.xml", 100, 1e-5)) == 0


@pytest.mark.parametrize("number", ["************", "NaN"])
def test_numbers_that_fortran_cannot_write_make_a_step_unusable(
    tmp_path: Path, number: str
) -> None:
    written = random_steps(3, 2)
    path = tmp_path / "vasprun.xml"
    write_vasprun(path, written)
    force = f"{written.forces[1, 0, 0]:16.8f}"
    assert path.read_text().count(force) == 1
    path.write_text(path.read_text().replace(force, f"{number:>16}"))
    steps = read_steps(path, 100, 1e-5)
    assert steps.converged.tolist() == [True, False, True]
    assert np.isnan(steps.forces[1]).any()
    assert np.isfinite(steps.forces[[0, 2]]).all()


def test_unwrapping_follows_atoms_through_the_walls() -> None:
    rng = np.random.default_rng(3)
    start = rng.random((4, 3)) + 2.0
    true = start + np.cumsum(0.2 * rng.normal(size=(30, 4, 3)).clip(-2, 2), axis=0)
    zeros, matrices = np.zeros(30), np.zeros((30, 3, 3))
    wrapped = true % 1.0
    steps = Steps(zeros, 0 * wrapped, matrices, matrices, wrapped, zeros, zeros == 0)
    assert np.allclose(steps.unwrapped(start).positions, true)


def test_steps_survive_json(tmp_path: Path) -> None:
    write_vasprun(tmp_path / "vasprun.xml", random_steps(2, 3))
    steps = read_steps(tmp_path / "vasprun.xml", 100, 1e-5)
    again = MontyDecoder().process_decoded(json.loads(json.dumps(steps.as_dict())))
    assert isinstance(again, Steps)
    assert np.array_equal(again.forces, steps.forces)
    assert again.converged.dtype == bool


def test_pymatgen_reads_the_same(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    """An independent reader as oracle, on a whole file."""
    import subprocess

    from pymatgen.io.vasp import Vasprun

    from tests.workflows.vasp.stages import rock_salt
    from workflows.engines.vasp.incar import dynamics_tags
    from workflows.engines.vasp.level import Calculation, Level

    calculation = Calculation.prepare(rock_salt(), Level())
    calculation.write(tmp_path, dynamics_tags(8, 2.0, 1000.0, 1000.0, 1.0))
    subprocess.run([str(fake_vasp.executable)], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    steps = read_steps(tmp_path / "vasprun.xml", 100, 1e-5)
    oracle = Vasprun(tmp_path / "vasprun.xml", parse_potcar_file=False)
    assert len(steps) == len(oracle.ionic_steps) == 8
    for i, step in enumerate(oracle.ionic_steps):
        assert steps.energies[i] == pytest.approx(step["e_fr_energy"], abs=1e-10)
        assert np.allclose(steps.forces[i], step["forces"])
        assert np.allclose(steps.stresses[i], step["stress"])
        assert np.allclose(steps.positions[i], step["structure"].frac_coords)


def test_scripts_that_read_from_the_former_place_go_on() -> None:
    from workflows.vasp import vasprun

    assert vasprun.read_steps is read_steps
