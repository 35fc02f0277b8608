"""The search by itself, on an ASE calculator."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from ase.io import read

from launch import cli


def call(*arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    sys.argv = ["devitrify", "search", *arguments]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_copper_is_face_centred_cubic_and_the_search_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["emt", "Cu", "--z", "1,2", "--population", "8", "--seed", "3", "-o", str(tmp_path)]
    assert call(*options, "-n", "16", "-s", "relaxer.max_force=0.05") == 0
    first = capsys.readouterr().out
    assert "16/16" in first
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["structures"] == 16
    energies = [record["energy"] for record in summary["new_bests"]]
    assert energies == sorted(energies, reverse=True)
    assert energies[-1] == pytest.approx(-0.007, abs=0.003)
    assert (tmp_path / "landscape.png").exists()
    assert (tmp_path / "island_1.json").exists()  # one island goes the way of many
    best = next(tmp_path.glob("01_Cu_*_225.cif"))
    assert read(best).get_volume() / len(read(best)) == pytest.approx(11.6, rel=0.03)

    assert call(*options, "-n", "16", "-s", "relaxer.max_force=0.05") == 0
    assert "generation" not in capsys.readouterr().out.split("Cu: the")[0]

    # a larger budget goes on, other settings do not
    assert call(*options, "-n", "24", "-s", "relaxer.max_force=0.05") == 0
    printed = capsys.readouterr().out
    assert "24/24" in printed
    assert " 8/24" not in printed
    assert call(*options, "-n", "24", "-s", "relaxer.max_force=0.1") == 1
    assert "use another --output" in capsys.readouterr().err


@pytest.mark.parametrize("islands", ["1", "2"])
def test_another_formula_or_seed_does_not_go_on_with_the_search(
    islands: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("-o", str(tmp_path), "-n", "8", "--population", "4", "--z", "2", "-w", "1")
    assert call("emt", "Cu", *common, "--islands", islands) == 0
    capsys.readouterr()
    for other in (("emt", "Ag", *common), ("emt", "Cu", *common, "--seed", "7")):
        assert call(*other, "--islands", islands) == 1
        assert "another formula, seed, potential or settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch.nnp", "Cu"], "There is no file nosuch.nnp"),
        (["emt", "LiCl"], "does not know"),
        (["emt", "Cu", "--set", "relaxer.max_forces=1"], "did you mean 'relaxer.max_force'"),
        (["emt", "Cu", "--set", "rate=1"], "There is no setting 'rate'"),
        (["emt", "Cu", "--z", "two"], "--z takes whole numbers"),
        (["no.such:Thing", "Cu"], "cannot be imported"),
        (["ase.calculators.morse:MorsePotential", "Cu", "--calculator-arguments", "3"], "JSON"),
        (["emt", "Cu", "--seed-structures", "nosuch.cif"], "There is no file nosuch.cif"),
        (["emt", "Cu", "--seed-structures", __file__], "not a structure that can be read"),
        (["emt", "Cu", "--islands", "3", "-n", "2"], "too few for 3 islands"),
        (["emt", "Cu", "--set", "evolution.prototypes=nowhere"], "nowhere is neither"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments, "-o", str(tmp_path / "x")) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_seeds_of_the_user_come_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ase.build import bulk
    from ase.io import write

    for name in ("gold.cif", "POSCAR_gold", "gold.extxyz"):
        write(tmp_path / name, bulk("Au", "fcc", a=4.2), format=_format(name))
    seeds = [word for n in ("gold.cif", "POSCAR_gold", "gold.extxyz")
             for word in ("--seed-structures", str(tmp_path / n))]  # fmt: skip
    out = tmp_path / "out"
    assert (
        call("emt", "Au", "--z", "1", "--population", "4", "-n", "4", *seeds, "-o", str(out)) == 0
    )
    summary = json.loads((out / "summary.json").read_text())
    assert summary["new_bests"][0]["operator"] == "seed"
    assert summary["new_bests"][0]["space_group"] == 225
    assert summary["discarded"]["duplicate"] >= 2
    assert (out / "operators.png").exists()
    capsys.readouterr()
    assert call("emt", "Cu", "--z", "1", *seeds[:2], "-o", str(tmp_path / "other")) == 1
    assert "another composition" in capsys.readouterr().err


def _format(name: str) -> str:
    return {"gold.cif": "cif", "POSCAR_gold": "vasp", "gold.extxyz": "extxyz"}[name]


@pytest.mark.slow
def test_islands_end_in_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["emt", "Cu", "--z", "1,2", "--population", "4", "-o", str(tmp_path),
               "--islands", "2", "-w", "2"]  # fmt: skip
    assert call(*command, "-n", "9") == 0
    printed = capsys.readouterr().out
    assert "island 2" in printed
    assert "9/9" in printed
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["structures"] == 9
    assert summary["islands"] == len(summary["operators"]) == 2
    energies = [record["energy"] for record in summary["new_bests"]]
    assert energies == sorted(energies, reverse=True)
    assert summary["cpu_seconds"] > 0
    assert next(tmp_path.glob("01_Cu_*_225.cif")).exists()
    assert call(*command, "-n", "13") == 0
    assert json.loads((tmp_path / "summary.json").read_text())["structures"] == 13
    assert call(*command[:-3], "1", "-n", "13") == 1
    assert "use another --output" in capsys.readouterr().err


def test_calculator_by_import_path_with_arguments(tmp_path: Path) -> None:
    options = ["ase.calculators.lj:LennardJones", "Ar", "--z", "1", "--population", "4", "-n", "4"]
    arguments = '{"sigma": 3.4, "epsilon": 0.1, "rc": 8.0, "smooth": true}'
    assert call(*options, "--calculator-arguments", arguments, "-o", str(tmp_path)) == 0
    best = json.loads((tmp_path / "summary.json").read_text())["new_bests"][-1]["energy"]
    assert -1.0 < best < -0.5


@pytest.mark.slow
@pytest.mark.skipif(
    "DEVITRIFY_REFERENCE" not in os.environ,
    reason="DEVITRIFY_REFERENCE does not name the folder of the reference data",
)
def test_simple_nn_file_and_potential_of_ours(tmp_path: Path) -> None:
    """Both kinds of file give the same search."""
    from nnp.formats.simple_nn import read_simple_nn

    theirs = Path(os.environ["DEVITRIFY_REFERENCE"]) / "spinner_mg2sio4" / "potential_saved"
    ours = tmp_path / "ours.nnp"
    read_simple_nn(theirs).save(ours)
    best = []
    for potential in (theirs, ours):
        out = tmp_path / f"out_{potential.name}"
        options = ["--z", "1", "--population", "6", "-n", "6", "-w", "1", "-o", str(out)]
        assert call(str(potential), "Mg2SiO4", *options) == 0
        best.append(json.loads((out / "summary.json").read_text())["new_bests"][-1]["energy"])
    assert best[0] == pytest.approx(best[1], abs=1e-6)
    assert best[0] < -5.0
