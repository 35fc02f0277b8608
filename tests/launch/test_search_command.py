"""The search by itself, on an ASE calculator."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch.nnp", "Cu"], "There is no file nosuch.nnp"),
        (["emt", "LiCl"], "does not know"),
        (["emt", "Cu", "--set", "relaxer.max_forces=1"], "did you mean 'max_force'"),
        (["emt", "Cu", "--set", "rate=1"], "starts with neither"),
        (["emt", "Cu", "--z", "two"], "--z takes whole numbers"),
        (["no.such:Thing", "Cu"], "cannot be imported"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments, "-o", str(tmp_path / "x")) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
