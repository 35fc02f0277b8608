"""Outputs of VASP: the energies of the forces, converged, of the right atoms, from any file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest
from pymatgen.io.vasp import Outcar, Vasprun

from nnp.formats.labels import read_labels
from nnp.formats.structures import StructureFileError
from nnp.formats.vasp import vasp_kind
from nnp.units import KBAR
from tests.fake_vasp.fixtures import RECORDED
from tests.nnp.test_labels import CASES
from tests.workflows.vasp.xml import random_steps, write_vasprun

Recorded = Callable[[str], Path]
RUNS = ("static", "relax", "md", "md_killed", "md_unconverged")
SALT = ("Na", "Na", "Cl", "Cl")
#: A step by a force field, as VASP 6.4 writes it.
LEARNED = """
  ML FORCE on cell =-STRESS in cart. coord.  units (eV):
  Direction    XX          YY          ZZ          XY          YZ          ZX
  in kB      99.00000    99.00000    99.00000     9.00000     9.00000     9.00000

 POSITION                                       TOTAL-FORCE (eV/Angst) (ML)
 -----------------------------------------------------------------------------------
 -----------------------------------------------------------------------------------
    total drift:                               0.000000    0.000000    0.000000

  ML FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy ML TOTEN  =       -99.00000000 eV

  ML energy  without entropy=      -99.00000000  ML energy(sigma->0) =      -99.00000000

     LOOP+:  cpu time     0.0027: real time     0.0027
"""


def oracle(path: Path) -> Vasprun:
    """An independent reader of vasprun.xml."""
    return Vasprun(path, parse_potcar_file=False, exception_on_bad_xml=False, parse_dos=False)


@pytest.mark.filterwarnings("ignore:XML is malformed")
@pytest.mark.parametrize("name", RUNS)
def test_an_independent_reader_finds_the_same(name: str, recorded_vasp: Recorded) -> None:
    folder = recorded_vasp(name)
    found = read_labels(folder / "vasprun.xml")
    steps = oracle(folder / "vasprun.xml").ionic_steps
    kept = [k for k in range(len(steps)) if k not in found.unconverged]
    assert found.unconverged == ((6, 7) if name == "md_unconverged" else ())
    kept = kept[: len(found.frames)]  # pymatgen takes half a step for one
    assert len(found.frames) == len(kept) == (11 if name == "md_killed" else len(kept))
    for frame, k in zip(found.frames, kept, strict=True):
        step = steps[k]
        assert frame.energies[0] == step["e_fr_energy"]
        np.testing.assert_array_equal(frame.forces, step["forces"])
        np.testing.assert_allclose(frame.stresses[0], -np.array(step["stress"]) / KBAR, rtol=1e-12)
        np.testing.assert_allclose(frame.positions, step["structure"].cart_coords, atol=1e-10)
        np.testing.assert_array_equal(frame.cells[0], step["structure"].lattice.matrix)
        assert frame.numbers.tolist() == list(step["structure"].atomic_numbers)


@pytest.mark.parametrize("name", RUNS)
def test_both_files_say_the_same(name: str, recorded_vasp: Recorded) -> None:
    folder = recorded_vasp(name)
    xml, text = read_labels(folder / "vasprun.xml"), read_labels(folder / "OUTCAR")
    assert text.unconverged == xml.unconverged
    np.testing.assert_array_equal(text.frames.numbers, xml.frames.numbers)
    np.testing.assert_array_equal(text.frames.energies, xml.frames.energies)
    np.testing.assert_allclose(text.frames.forces, xml.frames.forces, atol=1e-6)
    np.testing.assert_allclose(text.frames.stresses, xml.frames.stresses, atol=1e-8)
    np.testing.assert_allclose(text.frames.cells, xml.frames.cells, atol=1e-8)
    np.testing.assert_allclose(text.frames.positions, xml.frames.positions, atol=1e-5)
    assert (xml.notes == ()) == (name in ("static", "relax", "md"))
    assert [note.replace("OUTCAR", "vasprun.xml") for note in text.notes] == list(xml.notes)
    assert text.energy_key == xml.energy_key == "free_energy"


@pytest.mark.parametrize("name", ["vasprun.xml", "OUTCAR"])
def test_the_trace_of_a_stress_is_no_stress(name: str, recorded_vasp: Recorded) -> None:
    """With ISIF = 1 VASP computes no other part of it."""
    path = recorded_vasp("static") / name
    text = path.read_text()
    for isif, whole in (("1", False), ("2", True), ("3", True)):
        changed, n = re.subn(r"(ISIF\s*=\s*|name=.ISIF.*?>\s*)\d", rf"\g<1>{isif}", text)
        assert n
        path.write_text(changed)
        found = read_labels(path)
        assert np.isfinite(found.frames.stresses).all() == whole
        assert np.isfinite(found.frames.energies).all()


def test_the_energy_is_of_the_whole_step(tmp_path: Path) -> None:
    """VASP adds dispersion after the electronic loop, and pressure times volume in one file."""
    dispersion = np.array([-0.8, -0.9, -1.0])
    written = replace(random_steps(3, 4), added=dispersion + 50.0 / KBAR * 14.0**3)
    path = tmp_path / "vasprun.xml"
    write_vasprun(path, written, symbols=SALT, settings={"PSTRESS": 50.0, "NELM": 60})
    energies = read_labels(path).frames.energies
    np.testing.assert_allclose(energies, written.energies + dispersion, atol=1e-8)
    enthalpies = [step["e_fr_energy"] for step in oracle(path).ionic_steps]
    np.testing.assert_allclose(energies, np.array(enthalpies) - 50.0 / KBAR * 14.0**3, atol=1e-8)


def test_the_energy_of_an_outcar_is_that_of_the_forces(recorded_vasp: Recorded) -> None:
    path = recorded_vasp("static") / "OUTCAR"
    final = re.compile(r"(free  energy   TOTEN  = ).*( eV)")
    path.write_text(final.sub(r"\1   -41.50000000\2", path.read_text()))  # with dispersion
    assert read_labels(path).frames.energies.tolist() == [-41.5]
    assert Outcar(path).final_fr_energy == -41.5
    # a number that Fortran could not write
    path.write_text(final.sub(r"\1***************\2", path.read_text()))
    with pytest.raises(StructureFileError, match="no step whose electrons"):
        read_labels(path)


def test_real_files_are_read() -> None:
    """Kept by ASE, of VASP 5.3 and 5.4: smearing, pressure, no TITEL, no vasprun.xml beside."""
    folder = Path(ase.__file__).parent / "test" / "testdata" / "vasp"
    if not folder.exists():
        pytest.skip("this ASE comes without its test data")
    nickel = read_labels(folder / "OUTCAR_example_1")
    assert nickel.frames.elements == ("Ni",)
    assert len(nickel.frames.numbers) == 18
    assert nickel.frames.energies.tolist() == [-68.22868532]
    assert nickel.frames.forces[2].tolist() == [-2.152142, -0.601239, -0.175921]
    np.testing.assert_allclose(nickel.frames.stresses[0][0] * KBAR, [4.29429, -0.50047, -0.36481])
    carbon = read_labels(folder / "vasprun_pstress.xml").frames
    assert carbon.energies[0] == pytest.approx(-20.24695937, abs=2e-8)  # of the electronic loop
    assert carbon.stresses[0, 1, 1] * KBAR == pytest.approx(165.9956258)


@pytest.mark.parametrize(
    ("loops", "gap", "left_out"),
    [([5, 4, 5], 1e-2, (0, 2)), ([5, 4, 5], 1e-8, ()), ([1, 5, 5], 1e-2, (1, 2))],
)
def test_unconverged_steps_are_left_out(
    loops: list[int], gap: float, left_out: tuple[int, ...], tmp_path: Path
) -> None:
    written = replace(random_steps(3, 4), loops=loops)
    path = tmp_path / "vasprun.xml"
    write_vasprun(path, written, gap=gap, symbols=SALT, settings={"NELM": 5, "EDIFF": 1e-5})
    found = read_labels(path)
    assert found.unconverged == left_out
    kept = [k for k in range(3) if k not in left_out]
    np.testing.assert_allclose(found.frames.energies, written.energies[kept], atol=1e-8)
    assert [note for note in found.notes if "left out" in note] == (
        [f"2 of 3 steps of {path} are left out: their electrons are not converged."]
        if left_out
        else []
    )


def test_a_stop_before_convergence_is_seen_in_an_outcar(recorded_vasp: Recorded) -> None:
    path = recorded_vasp("relax") / "OUTCAR"
    text = path.read_text()
    path.write_text(text.replace("because EDIFF is reached", "EDIFF was not reached", 1))
    assert read_labels(path).unconverged == (0,)
    # VASP 5 says that it is reached whether it is or not
    path = recorded_vasp("md_unconverged") / "OUTCAR"
    text = path.read_text()
    path.write_text(text.replace("EDIFF was not reached (unconverged)", "because EDIFF is reached"))
    assert read_labels(path).unconverged == (6, 7)


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
@pytest.mark.parametrize("cut", [0, 3000])
def test_joined_runs_are_two_systems(name: str, cut: int, recorded_vasp: Recorded) -> None:
    first, second = recorded_vasp("md") / name, recorded_vasp("static") / name
    expected = [read_labels(path).frames for path in (first, second)]
    text = first.read_text()
    first.write_text(text[: len(text) - cut] + second.read_text())
    found = read_labels(first)
    assert set(found.frames.elements) == {"Li", "Na", "Al", "Cl"}
    n = len(found.frames) - 1
    assert n == len(expected[0]) if not cut else 0 < n < len(expected[0])
    np.testing.assert_array_equal(found.frames.energies[:-1], expected[0].energies[:n])
    np.testing.assert_array_equal(found.frames[-1].forces, expected[1].forces)
    assert found.frames[-1].elements == ("Na", "Cl")
    assert "holds 2 runs of VASP one after the other" in found.notes[0]


def test_steps_of_a_force_field_are_left_out(recorded_vasp: Recorded) -> None:
    path = recorded_vasp("relax") / "OUTCAR"
    expected = read_labels(path).frames
    marker = "     LOOP+:"
    head, *steps = path.read_text().split(marker)
    ends = [step.index("\n") + 1 for step in steps]
    text = head + "".join(
        marker + step[:end] + LEARNED + step[end:] for step, end in zip(steps, ends, strict=True)
    )
    path.write_text(text)
    found = read_labels(path)
    np.testing.assert_array_equal(found.frames.energies, expected.energies)
    np.testing.assert_array_equal(found.frames.stresses, expected.stresses)
    assert f"{len(expected)} of {2 * len(expected)} steps" in found.notes[0]
    assert "force field (ML_LMLFF)" in found.notes[0]
    # the force field's numbers beside those of a step by electrons are no step of their own
    path.write_text(text.replace(LEARNED, "").replace(marker, LEARNED.split(marker)[0] + marker))
    found = read_labels(path)
    np.testing.assert_array_equal(found.frames.stresses, expected.stresses)
    assert found.notes == ()
    path.write_text(head.split("----- Iteration")[0] + "\n" + LEARNED)
    with pytest.raises(StructureFileError, match="ML_LMLFF"):
        read_labels(path)


def test_steps_of_a_force_field_are_left_out_of_vasprun(recorded_vasp: Recorded) -> None:
    path = recorded_vasp("relax") / "vasprun.xml"
    expected = read_labels(path).frames
    text = path.read_text()
    step = text[text.index(" <calculation>") : text.index("</calculation>") + 15]
    learned = re.sub(r"<scstep>.*</scstep>|</?calculation>", "", step, flags=re.DOTALL)
    path.write_text(text.replace("</calculation>\n", "</calculation>\n" + learned))
    found = read_labels(path)
    np.testing.assert_array_equal(found.frames.energies, expected.energies)
    assert f"{len(expected)} of {2 * len(expected)} steps" in found.notes[0]
    before = text[: text.index(" <calculation>")]
    path.write_text(before + learned + "</modeling>\n")
    with pytest.raises(StructureFileError, match="ML_LMLFF"):
        read_labels(path)


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
def test_nothing_beside_is_read(name: str, recorded_vasp: Recorded, tmp_path: Path) -> None:
    folder = recorded_vasp("md")
    expected = read_labels(folder / name).frames
    for other in ("CONTCAR", "POSCAR"):
        (folder / other).write_text("unfinished\n 1.0\n")
    np.testing.assert_array_equal(read_labels(folder / name).frames.positions, expected.positions)
    alone = tmp_path / "alone"
    alone.mkdir()
    (folder / name).rename(alone / name)
    np.testing.assert_array_equal(read_labels(alone / name).frames.positions, expected.positions)


@pytest.mark.parametrize("name", ["OUTCAR", "vasprun.xml"])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.55, 0.8, 0.99])
def test_a_file_cut_off_gives_its_whole_steps(
    name: str, part: float, recorded_vasp: Recorded
) -> None:
    path = recorded_vasp("md") / name
    expected = read_labels(path).frames
    text = path.read_text()
    kept = text[: int(len(text) * part)]
    path.write_text(kept)
    # the last line must be whole
    n = len(re.findall(r"</calculation>" if name == "vasprun.xml" else r"y   TOTEN .*\n", kept))
    if not n:
        with pytest.raises(StructureFileError, match="holds no whole ionic step"):
            read_labels(path)
        return
    found = read_labels(path)
    np.testing.assert_array_equal(found.frames.energies, expected.energies[:n])
    np.testing.assert_array_equal(found.frames.positions, expected[:n].positions)
    assert "ends before the run did" in found.notes[-1]


@pytest.mark.parametrize(
    ("source", "name", "compress"),
    [
        ("OUTCAR", "OUTCAR_old", bytes),
        ("OUTCAR", "run1.outcar", bytes),
        ("OUTCAR", "OUTCAR.gz", gzip.compress),
        ("OUTCAR", "vasprun.xml", bytes),
        ("OUTCAR", "POSCAR.xyz", bz2.compress),
        ("vasprun.xml", "my.vasprun.xml.gz", gzip.compress),
        ("vasprun.xml", "steps", lzma.compress),
        ("vasprun.xml", "OUTCAR", bytes),
    ],
)
def test_the_content_tells_what_a_file_is(
    source: str, name: str, compress: Callable[[bytes], bytes], recorded_vasp: Recorded,
    tmp_path: Path,
) -> None:  # fmt: skip
    folder = recorded_vasp("relax")
    expected = read_labels(folder / source).frames
    path = tmp_path / name
    path.write_bytes(compress((folder / source).read_bytes()))
    assert vasp_kind(path) == source
    np.testing.assert_array_equal(read_labels(path).frames.forces, expected.forces)


@pytest.mark.parametrize(
    "name", ["frames_outcar.extxyz", "OUTCAR.extxyz", "OUTCAR", "vasprun.xml", "POSCAR", "a.cif"]
)
def test_frames_are_frames_whatever_they_are_called(name: str, tmp_path: Path) -> None:
    frames = read_labels(RECORDED / "relax" / "OUTCAR.gz").frames
    frames.write(tmp_path / name)
    np.testing.assert_array_equal(read_labels(tmp_path / name).frames.forces, frames.forces)
    (tmp_path / "packed").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    np.testing.assert_array_equal(read_labels(tmp_path / "packed").frames.forces, frames.forces)


def test_structures_are_structures_whatever_they_are_called(tmp_path: Path) -> None:
    from ase.io import write

    frames = read_labels(RECORDED / "relax" / "OUTCAR.gz").frames
    structures = frames.to_atoms()
    write(tmp_path / "POSCAR_of_OUTCAR", structures[0], format="vasp")
    write(tmp_path / "my_OUTCAR.cif", structures[0], format="cif")
    write(tmp_path / "XDATCAR_of_OUTCAR", structures, format="vasp-xdatcar")
    for name, n in (("POSCAR_of_OUTCAR", 1), ("my_OUTCAR.cif", 1), ("XDATCAR_of_OUTCAR", 10)):
        found = read_labels(tmp_path / name, required=False)
        assert len(found.frames) == n
        assert found.frames.volumes == pytest.approx(frames.volumes[:n], rel=1e-5)


def test_numbers_that_touch_are_told_apart(recorded_vasp: Recorded) -> None:
    path = recorded_vasp("static") / "OUTCAR"
    text = path.read_text()
    lattice = re.compile(r"(direct lattice vectors .*\n).*\n.*\n.*\n")
    rows = "   -12.345678901-12.345678901  0.500000000   0.1 0.2 0.3\n"
    rows += "     0.000000000 12.000000000 -0.250000000   0.1 0.2 0.3\n"
    rows += "     0.000000000  0.000000000 15.000000000   0.1 0.2 0.3\n"
    path.write_text(lattice.sub(r"\g<1>" + rows, text))
    assert read_labels(path).frames.cells[0].tolist() == [
        [-12.345678901, -12.345678901, 0.5], [0.0, 12.0, -0.25], [0.0, 0.0, 15.0],
    ]  # fmt: skip


def test_no_stress_is_said_and_no_number_is_made_up(recorded_vasp: Recorded) -> None:
    path = recorded_vasp("relax") / "OUTCAR"
    path.write_text(re.sub(r".*FORCE on cell.*\n.*\n.*\n.*in kB.*\n", "", path.read_text()))
    found = read_labels(path)
    assert np.isnan(found.frames.stresses).all()
    assert "cannot relax cells" in found.notes[-1]
    # one stress does not serve for all steps
    text = (recorded_vasp("md") / "OUTCAR").read_text()
    path.write_text("".join(re.split(r"(?<=\n).*in kB.*\n", text)[k] for k in (0,)))
    lines = text.split("in kB")
    path.write_text("in kB".join(lines[:2]) + "--".join(["", *lines[2:]]))
    stresses = read_labels(path).frames.stresses
    assert np.isfinite(stresses[0]).all()
    assert np.isnan(stresses[1:]).all()


def test_atoms_without_names_are_refused(recorded_vasp: Recorded, tmp_path: Path) -> None:
    write_vasprun(tmp_path / "vasprun.xml", random_steps(2, 4))
    with pytest.raises(StructureFileError, match="of which elements its atoms are"):
        read_labels(tmp_path / "vasprun.xml")
    write_vasprun(tmp_path / "vasprun.xml", random_steps(2, 4), symbols=("Qq",) * 4)
    with pytest.raises(StructureFileError, match="atoms of Qq, which is no element"):
        read_labels(tmp_path / "vasprun.xml")
    write_vasprun(tmp_path / "vasprun.xml", random_steps(2, 4), symbols=("r", "r", "X", "X"))
    assert read_labels(tmp_path / "vasprun.xml").frames.elements == ("Zr", "Xe")
    path = recorded_vasp("static") / "OUTCAR"
    path.write_text(re.sub(r".*(TITEL|POTCAR:).*\n", "", path.read_text()))
    with pytest.raises(StructureFileError, match="of which elements its atoms are"):
        read_labels(path)


def test_entities_do_not_grow(tmp_path: Path) -> None:
    """A small file that stands for a large one."""
    entities = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12))
    (tmp_path / "vasprun.xml").write_text(
        f'<?xml version="1.0"?><!DOCTYPE modeling [<!ENTITY a0 "x">{entities}]>'
        "<modeling><incar><i>&a11;</i></incar></modeling>"
    )
    with pytest.raises(StructureFileError, match="no whole ionic step"):
        read_labels(tmp_path / "vasprun.xml")


@pytest.mark.skipif(not CASES.exists(), reason="the reported cases are not here")
@pytest.mark.parametrize(
    ("name", "energies"),
    [
        ("02-dispersion-energy-lost/vasprun.xml", [-20.7185, -20.6703]),
        ("03-unconverged-frames-trained-on/vasprun.xml", [-19.9185, -19.8203]),
        ("04-energy-not-of-the-forces/vasprun.xml", [-19.9185, -19.8203]),
        ("05-two-outcars-in-one/OUTCAR", [-38.3399, -38.3261, -27.8788, -27.8772]),
        ("06-mlff-outcar-refused/OUTCAR", [-38.3399]),
        ("14-outcar-beside-half-contcar/OUTCAR", [-38.3399, -38.3261]),
    ],
)
def test_reported_cases(name: str, energies: list[float]) -> None:
    found = read_labels(CASES / name).frames.energies
    np.testing.assert_allclose(found[: len(energies)], energies, atol=1e-4)
