"""Formulas that common oxidation states do not balance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.launch.test_cli import call
from workflows.oxidation import unbalanced


@pytest.mark.parametrize(
    "formula",
    [
        *("LiAlCl4", "Mg2SiO4", "K2NaGaP2", "Ti2O3", "TiC"),
        *("Fe3O4", "YBa2Cu3O7"),  # of two states at once
        *("CuAu", "LaNi5", "MgB2", "FeSi", "Cu"),  # of metals and metalloids alone
        *("C6H6", "H2O2", "S4N4"),  # of no metal
    ],
)
def test_what_is_balanced_or_settled_otherwise_passes(formula: str) -> None:
    assert unbalanced(formula) is None


@pytest.mark.parametrize("formula", ["LiCl2", "Al2O5", "NaCl3", "MgO2", "Mg2SiO5"])
def test_what_no_common_states_balance_is_told(formula: str) -> None:
    assert f"balance {formula}: check the formula" in unbalanced(formula)


def test_a_command_warns_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wf.json"
    code, _, errors = call(capsys, "workflow", "LiCl2", "-o", str(file))
    assert code == 0
    assert "Warning: no common oxidation states of Li and Cl balance LiCl2" in errors
    assert file.exists()
    assert "Warning" not in call(capsys, "workflow", "LiCl", "-o", str(file))[2]
