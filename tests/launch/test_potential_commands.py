"""A potential from frames and predictions from a potential, by one command each."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write

from launch import cli
from nnp.frames import Frames
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


def test_training_leaves_a_potential_a_figure_and_no_checkpoint(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} >= {"cu.nnp", "cu.png", "cu.potential"}
    assert not list(trained.glob("*.checkpoint"))


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
        (["train", "{dir}/broken.xyz"], "cannot be read as structures"),
        (["train", "{dir}/unlabelled.xyz", "-o", "{dir}/x.nnp"], "no finite energy"),
        (["train", "{dir}/frames.extxyz", "--set", "max_epoch=3"], "did you mean 'max_epochs'"),
        (["train", "{dir}/frames.extxyz", "-o", "{dir}/no/x.nnp"], "cannot be written"),
        (["evaluate", "{dir}/broken.xyz", "{dir}/frames.extxyz"], "not a potential"),
        (["evaluate", "{dir}/cu.nnp", "{dir}/gold.xyz"], "does not know Au"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], message: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (trained / "broken.xyz").write_text("this is\nnot a structure\n")
    write(trained / "gold.xyz", bulk("Au"))
    Frames.from_atoms([bulk("Cu")]).write(trained / "unlabelled.xyz")
    assert call(*(argument.format(dir=trained) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
