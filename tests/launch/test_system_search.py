"""``devitrify search`` of a chemical system."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ase.io import read

from launch import cli
from search.run.driver import load

MIXTURE = "tests.search.pair_energy:mixture_calculator"


def call(*arguments: str) -> int:
    """Run the command in this process and return its exit code."""
    sys.argv = ["devitrify", "search", *arguments]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A short search, and its command."""
    folder = tmp_path_factory.mktemp("found")
    options = [MIXTURE, "Ar-Kr", "--atoms-max", "4", "--population", "12", "--seed", "1", "-w", "1"]
    assert call(*options, "-n", "24", "-o", str(folder)) == 0
    return folder, options


def test_a_system_gets_its_hull_in_table_files_and_figure(found: tuple[Path, list[str]]) -> None:
    folder, _ = found
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["structures"] == 24
    assert {"Ar", "Kr"} < set(summary["on_hull"])  # and a compound
    best = summary["best"]
    assert [one["above_hull"] for one in best] == sorted(one["above_hull"] for one in best)
    stable = {one["formula"] for one in best if one["above_hull"] == 0.0}
    assert stable == set(summary["on_hull"])
    assert all("reaction" in one for one in best if one["above_hull"] > 0.0)
    assert (folder / "hull.png").stat().st_size > 10_000
    assert (folder / "hull.csv").read_text().startswith("pressure_GPa,formula")
    files = sorted(folder.glob("*.cif"))
    assert len(files) == sum(one["above_hull"] <= 50.0 for one in best)
    assert set(read(files[0]).symbols) <= {"Ar", "Kr"}
    assert "On the hull" in (folder / "report.html").read_text()


def test_the_same_command_goes_on_with_a_larger_budget(
    found: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, options = found
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    assert call(*options, "-n", "36", "-o", str(again)) == 0
    printed = capsys.readouterr().out
    assert "36/36" in printed
    assert "12/36" not in printed
    # other cells are another search
    assert call(MIXTURE, "Ar-Kr", "--atoms-max", "5", "-n", "36", "-o", str(again)) == 1
    assert "use another --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("formula", "options", "says"),
    [
        ("Ar-Xx", [], "no elements there are"),
        ("Ar-Ar", [], "a block twice"),
        ("Ar-Kr-ArKr", [], "can be written by the blocks before it"),
        ("Ar-Kr", ["--composition-range", "Ar=0.9:0.1"], "the smaller one first"),
        ("Ar-Kr", ["--composition-range", "Ar"], "does not parse"),
        ("Ar-Kr", ["--composition-range", "Cu=0.1:0.2"], "nothing that Ar-Kr has"),
        ("Ar-Kr", ["--z", "2"], "--z is for formulas"),
        ("Ar-Kr", ["--prototypes", "aflow"], "not known of a whole system"),
        ("ArKr", ["--composition-range", "Ar=0.1:0.2"], "is a formula"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    formula: str, options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(MIXTURE, formula, *options, "-n", "8", "-o", str(tmp_path / "none")) == 1
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_that_is_killed_ends_as_one_that_is_not(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [
        MIXTURE, "Ar-Kr", "--atoms-max", "4", "--population", "8", "-n", "48", "-w", "1",
        "--seed", "2",
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "launch.cli", "search", *command, "-o", str(killed)],
        stdout=subprocess.DEVNULL,
    )
    progress = killed / "progress.json"
    while not (progress.exists() and len(json.loads(progress.read_text())) >= 2):
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.02)
    process.kill()
    process.wait()
    generation = load(killed / "island_1.json").generation
    assert 2 <= generation < 6
    assert call(*command, "-o", str(killed)) == 0
    assert call(*command, "-o", str(whole)) == 0
    states = [load(folder / "island_1.json").as_dict() for folder in (whole, killed)]
    assert states[0] == states[1]
