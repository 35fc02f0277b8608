"""A potential from frames and predictions from a potential, by one command each."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from launch import cli
from launch.commands.shared.potential_files import read_frames
from launch.errors import CampaignError
from nnp.frames import Frames
from nnp.units import KBAR
from tests.fake_vasp.fixtures import RECORDED
from tests.launch.test_report import labelled_frames

FAST = ["--set", "max_epochs=25", "--set", "hidden=6", "--threads", "1"]


def call(*arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    sys.argv = ["devitrify", *arguments]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with frames and a potential trained on them."""
    folder = tmp_path_factory.mktemp("trained")
    labelled_frames(24).write(folder / "frames.extxyz")
    assert call("train", str(folder / "frames.extxyz"), "-o", str(folder / "cu.nnp"),
                "--simple-nn", str(folder / "cu.potential"), *FAST) == 0  # fmt: skip
    return folder


def test_at_a_pressure_enthalpies_are_printed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = (str(trained / "cu.nnp"), str(trained / "frames.extxyz"))
    assert call("evaluate", *files, "--pressure", "20") == 0
    printed = capsys.readouterr().out
    rows = re.findall(r"(\S+) eV  +(\S+) eV/atom.*enthalpy +(\S+) eV/atom", printed)
    frames = read(trained / "frames.extxyz", ":")
    assert len(rows) == len(frames)
    for (_, energy, enthalpy), atoms in zip(rows, frames, strict=True):
        work = 200.0 / KBAR * atoms.get_volume() / len(atoms)
        assert float(enthalpy) - float(energy) == pytest.approx(work, abs=2e-6)
    assert "at 20 GPa" in printed
    assert call("evaluate", *files) == 0
    assert "enthalpy" not in capsys.readouterr().out
    assert call("evaluate", *files, "--pressure", "nan") == 1
    assert "--pressure takes GPa" in capsys.readouterr().err


def test_training_leaves_a_potential_a_figure_and_no_checkpoint(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} >= {"cu.nnp", "cu.png", "cu.potential"}
    assert not list(trained.glob("*.checkpoint"))


def test_a_training_that_is_killed_while_it_is_drawn_is_not_done_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("train", str(trained / "frames.extxyz"), "-o", str(tmp_path / "cu.nnp"), *FAST)

    def kill(*_: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr("launch.commands.train._plot", kill)
        assert call(*arguments) == 137
    with monkeypatch.context() as patch:
        patch.setattr("nnp.training.ensemble.Ensemble._validate", kill)
        assert call(*arguments) == 0
    assert (tmp_path / "cu.nnp").read_bytes() == (trained / "cu.nnp").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"cu.nnp", "cu.png"}


def test_predictions_carry_reference_values_beside_them(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = trained / "out.extxyz"
    assert (
        call("evaluate", str(trained / "cu.nnp"), str(trained / "frames.extxyz"), "-o", str(out))
        == 0
    )
    printed = capsys.readouterr().out
    before, after = read(trained / "frames.extxyz", ":"), read(out, ":")
    difference = [
        (a.get_potential_energy() - b.get_potential_energy()) / len(a)
        for a, b in zip(after, before, strict=True)
    ]
    rmse = 1000 * np.sqrt(np.mean(np.square(difference)))
    assert f"energy RMSE: {rmse:.4g} meV/atom" in printed
    assert after[0].info["reference_energy"] == pytest.approx(before[0].get_potential_energy())
    assert np.allclose(after[3].arrays["reference_forces"], before[3].get_forces(), atol=1e-6)
    # forces are minus the gradient of the energies that were written
    assert np.isfinite([atoms.get_stress() for atoms in after]).all()


def test_structures_unlike_the_training_set_are_named(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = trained / "frames.extxyz"
    like = read(frames, 0)
    unlike = like.copy()
    unlike.set_cell(unlike.cell * 0.75, scale_atoms=True)
    write("two.extxyz", [like, unlike])
    assert call("evaluate", str(trained / "cu.nnp"), "two.extxyz", "--training", str(frames)) == 0
    printed = capsys.readouterr().out
    assert "Cu: 50.0 % of the atoms within the training set" in printed
    assert "1 structures have atoms far outside the training set: 1" in printed
    assert (tmp_path / "cu.coverage.png").stat().st_size > 10_000


def test_the_simple_nn_file_gives_the_same_energies(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    energies = []
    for name in ("cu.nnp", "cu.potential"):
        assert call("evaluate", str(trained / name), str(trained / "frames.extxyz")) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if "eV/atom" in line]
        energies.append([float(line.split()[1]) for line in lines if line.lstrip()[0].isdigit()])
    assert len(energies[0]) == 24
    assert energies[0] == pytest.approx(energies[1], abs=2e-6)


def test_structures_without_reference_values_give_no_errors(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(trained / "plain.cif", bulk("Cu", cubic=True))
    assert call("evaluate", str(trained / "cu.nnp"), str(trained / "plain.cif")) == 0
    assert "RMSE" not in capsys.readouterr().out


def test_options_are_listed_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("train", "x", "--list-options") == 0
    assert "radial_cutoff          6.0          Å" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nosuch.xyz"], "There is no file nosuch.xyz"),
        (["train", "{dir}/broken.xyz"], "should be the number of atoms of frame 0"),
        (["train", "{dir}/unlabelled.xyz", "-o", "{dir}/x.nnp"], "Frame 0 of {dir}/unlabelled.xyz"
         " has no energy; training needs it"),
        (["train", "{dir}/named.xyz", "-o", "{dir}/x.nnp"], "{dir}/named.xyz has no energy or "
         "free_energy, but REF_energy: choose one by --energy-key, for instance REF_energy."),
        (["train", "{dir}/named.xyz", "-o", "{dir}/x.nnp", "--energy-key", "energy"],
         "{dir}/named.xyz has no energy energy, but REF_energy."),
        (["train", "{dir}/frames.extxyz", "{dir}/free.xyz", "-o", "{dir}/x.nnp"],
         "must not be mixed, choose one by --energy-key"),
        (["train", "{dir}/OUTCAR", "-o", "{dir}/x.nnp"], "no file of VASP that can be read"),
        (["evaluate", "{dir}/cu.nnp", "{dir}/molecule.xyz"], "has no cell"),
        (["evaluate", "{dir}/cu.nnp", "{dir}/empty.xyz"], "announces 0 atoms"),
        (["evaluate", "{dir}/cu.nnp", "{dir}/double.xyz"], "two atoms, 0 and 2, that are 0 Å"),
        (["evaluate", "{dir}/cu.nnp", "{dir}/flat.xyz"], "a cell without volume"),
        (["evaluate", "{dir}/cu.nnp", "{dir}/skew.xyz"], "gives structure 0 no energy"),
        (["evaluate", "{dir}/cu.nnp", "{dir}/far.xyz"], "from the origin"),
        (["train", "{dir}/frames.extxyz", "--set", "max_epoch=3"], "did you mean 'max_epochs'"),
        (["train", "{dir}/frames.extxyz", "-o", "{dir}/no/x.nnp"], "cannot be written"),
        (["evaluate", "{dir}/broken.xyz", "{dir}/frames.extxyz"], "not a potential"),
        (["evaluate", "{dir}/cu.nnp", "{dir}/gold.xyz"], "does not know Au"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_sentence(
    arguments: list[str], message: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (trained / "broken.xyz").write_text("this is\nnot a structure\n")
    write(trained / "gold.xyz", bulk("Au"))
    Frames.from_atoms([bulk("Cu")]).write(trained / "unlabelled.xyz")
    _write_strange(trained)
    assert call(*(argument.format(dir=trained) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert message.format(dir=trained) in error
    assert len(error.strip().splitlines()) == 1


def _write_strange(folder: Path) -> None:
    """Files with labels under other names, and structures that make no sense."""
    text = (folder / "frames.extxyz").read_text()
    (folder / "named.xyz").write_text(text.replace(" energy=", " REF_energy="))
    (folder / "free.xyz").write_text(text.replace(" energy=", " free_energy="))
    (folder / "OUTCAR").write_text("nothing\n")
    (folder / "molecule.xyz").write_text("2\n\nCu 0 0 0\nCu 0 0 2.2\n")
    cell = 'Lattice="6 0 0 0 6 0 0 0 6" Properties=species:S:1:pos:R:3'
    (folder / "empty.xyz").write_text(f"0\n{cell}\n")
    (folder / "double.xyz").write_text(f"3\n{cell}\nCu 0 0 0\nCu 3 3 3\nCu 6 6 0\n")
    (folder / "far.xyz").write_text(f"1\n{cell}\nCu 1e300 0 0\n")
    (folder / "flat.xyz").write_text(f"1\n{cell.replace('0 0 6', '0 0 0')}\nCu 0 0 0\n")
    (folder / "skew.xyz").write_text(f"1\n{cell.replace('0 6 0', '90000 6 0')}\nCu 0 0 0\n")


@pytest.fixture(scope="module")
def blind(trained: Path) -> Path:
    """A potential trained without stresses."""
    text = (trained / "frames.extxyz").read_text()
    (trained / "stressless.xyz").write_text(re.sub(r' stress="[^"]*"', "", text))
    arguments = ["train", str(trained / "stressless.xyz"), "-o", str(trained / "blind.nnp")]
    assert call(*arguments, *FAST) == 0
    return trained / "blind.nnp"


def test_a_potential_without_stress_says_so_and_relaxes_no_cell(
    blind: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    stressless = str(trained / "stressless.xyz")
    assert call("train", stressless, "-o", str(tmp_path / "again.nnp"), *FAST) == 0
    printed = capsys.readouterr()
    assert "No frame of" in printed.err
    assert "nan" not in printed.out
    assert "The potential knows no stress" in printed.out
    assert call("evaluate", str(blind), stressless) == 0
    assert "trained without stresses" in capsys.readouterr().out
    assert call("search", str(blind), "Cu", "-o", str(tmp_path / "search"), "-n", "4") == 1
    error = capsys.readouterr().err
    assert "trained without stresses and cannot relax cells" in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize(
    ("old", "new", "options"),
    [
        (" energy=", " REF_energy=", ["--energy-key", "REF_energy"]),
        (" energy=", " free_energy=", []),
        (" energy=", " energy=-9.0 dft_energy=", ["--energy-key", "dft_energy"]),
        (":forces:", ":force:", []),
    ],
)
def test_labels_under_other_names_are_the_same(
    old: str, new: str, options: list[str], trained: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    text = (trained / "frames.extxyz").read_text()
    (tmp_path / "other.xyz").write_text(text.replace(old, new))
    printed = []
    for path in (trained / "frames.extxyz", tmp_path / "other.xyz"):
        chosen = options if path.name == "other.xyz" else []
        assert call("evaluate", str(trained / "cu.nnp"), str(path), *chosen) == 0
        printed.append(capsys.readouterr().out)
    assert "energy RMSE" in printed[0]
    assert printed[0] == printed[1]


def test_what_vasp_did_not_converge_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.OUTCAR_old"
    path.write_bytes((RECORDED / "md_unconverged" / "OUTCAR.gz").read_bytes())
    assert call("train", str(path), "-o", str(tmp_path / "a.nnp"), *FAST) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("12 frames, ")
    assert printed.err.splitlines()[0] == (
        f"2 of 14 steps of {path} are left out: their electrons are not converged."
    )
    assert call("evaluate", str(tmp_path / "a.nnp"), str(path), "-o", str(tmp_path / "o.xyz")) == 0
    energies = [atoms.info["reference_energy"] for atoms in read(tmp_path / "o.xyz", ":")]
    assert energies[:2] == pytest.approx([-71.82766424, -71.77865075])
    assert len(energies) == 12


def test_a_molecule_has_one_energy_whatever_its_box(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    molecules = []
    for edge in (6.0, 8.0, 25.0):
        molecules.append(Atoms("Cu3", positions=[[0, 0, 0], [2.4, 0, 0], [1.0, 2.2, 0.3]]))
        molecules[-1].set_cell([edge] * 3)
    write(tmp_path / "molecules.extxyz", molecules)
    assert call("evaluate", str(trained / "cu.nnp"), str(tmp_path / "molecules.extxyz")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({line.split(maxsplit=1)[1] for line in lines[:3]}) == 1


@pytest.mark.parametrize(("label", "wrong"), [("energy", 1e300), ("force", 1e160)])
def test_labels_that_no_calculation_gives_are_refused(
    tmp_path: Path, label: str, wrong: float
) -> None:
    atoms = bulk("Cu", cubic=True)
    forces = np.zeros((4, 3))
    forces[1, 2] = wrong if label == "force" else 0.0
    energy = wrong if label == "energy" else -1.0
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces, stress=np.zeros(6))
    write(tmp_path / "wrong.extxyz", atoms)
    with pytest.raises(CampaignError, match="no calculation gives") as error:
        read_frames([tmp_path / "wrong.extxyz"], None)
    assert "wrong.extxyz" in str(error.value)


def strained(n: int) -> Frames:
    """Copper under strains of all kinds."""
    found = []
    rng = np.random.default_rng(5)
    for _ in range(n):
        atoms = bulk("Cu", cubic=True)
        strain = np.eye(3) * rng.uniform(0.93, 1.07) + rng.normal(scale=0.02, size=(3, 3))
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        atoms.calc = EMT()
        atoms.calc.calculate(atoms, ["energy", "forces", "stress"])
        found.append(atoms)
    return Frames.from_atoms(found)


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({}, ""),
        ({"stresses": -1.0}, "stresses"),
        ({"stresses": KBAR / 100.0}, "forces"),
        ({"forces": -1.0}, "energies"),
    ],
)
def test_labels_of_another_sign_or_unit_are_not_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], factors: dict[str, float], said: str
) -> None:
    frames = strained(40)
    for name, factor in factors.items():
        setattr(frames, name, factor * getattr(frames, name))
    frames.write(tmp_path / "frames.extxyz")
    options = [*FAST, "-s", "max_epochs=60", "-s", "optimizer=lbfgs"]
    files = [str(tmp_path / "frames.extxyz"), "-o", str(tmp_path / "p.nnp")]
    assert call("train", *files, *options) == 0
    told = capsys.readouterr().err
    assert ("Not learned:" in told) == bool(said)
    assert said in told.split(". Train")[0]
