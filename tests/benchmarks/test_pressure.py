"""Transitions of a campaign beside those of known phases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ase.build import bulk

from tests.benchmarks.pressure import compare_transitions

ENGINE = "tests.search.pair_energy:oxide_calculator"


def test_known_phases_are_relaxed_where_the_campaign_was(tmp_path: Path) -> None:
    """A search that has found rock salt alone, and too high by 10 meV/atom at both ends."""
    found = [
        {"formula": "MgO", "engine": ENGINE, "pressure": pressure, "space_group": "Fm-3m",
         "energy": energy, "enthalpy": enthalpy, "volume": 10.0}
        for pressure, energy, enthalpy in ((0.0, -3.7920, None), (1000.0, -2.6, 2.592))
    ]  # fmt: skip
    crossing = {"from_phase": 1, "to_phase": 2, "pressure_kbar": 650.0}
    phases = [{"phase": k, "points": [{"space_group": f"phase {k}"}]} for k in (1, 2)]
    summary = {"pressures_kbar": [0.0, 1000.0], "candidates": found, "phases": phases,
               "transitions": [crossing]}  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    known = {
        "rock salt": bulk("MgO", "rocksalt", a=4.9),
        "caesium chloride": bulk("MgO", "cesiumchloride", a=3.1),
    }
    lines = compare_transitions(tmp_path, known).splitlines()
    assert lines[1].startswith("0 GPa: campaign +10.0 (Fm-3m")
    assert lines[2].startswith("100 GPa: campaign +10.0 (Fm-3m")
    assert lines[1].endswith("1 (rock salt) +0.0, 2 (caesium chloride) +177.6")
    at = lines.index("known phases:")
    start, _, pressure = lines[at + 1].partition(" at ")
    assert start == "  1 (rock salt) to 2 (caesium chloride)"
    assert float(pressure.removesuffix(" GPa")) == pytest.approx(65.45, abs=0.1)
    assert lines[-1] == "  1 (phase 1) to 2 (phase 2) at 65.00 GPa"
    # asked again, it reads what it has relaxed
    (rock_salt,) = (tmp_path / "known_phases").glob("*rock salt*.json")
    relaxed = json.loads(rock_salt.read_text())
    relaxed["points"][0]["enthalpy"] -= 0.1
    rock_salt.write_text(json.dumps(relaxed))
    assert compare_transitions(tmp_path, known).splitlines()[1].startswith("0 GPa: campaign +110.0")
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(ValueError, match="no result of a campaign or a search at several"):
        compare_transitions(tmp_path, known)
