"""What a report of several pressures has: tables, folders, figures, a summary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jobflow import JobStore

from launch.commands.shared.campaign_numbers import targets_of
from launch.report.campaign_results import CampaignResults
from launch.report.files import ranking_tables, wide_console, write_report
from nnp.units import KBAR
from tests.launch.test_report import store_of
from tests.workflows.samples import copper
from tests.workflows.test_enthalpy_lines import DENSE, MIDDLE, OPEN
from workflows.composition import Target
from workflows.documents.dynamics import MeltingTemperatureDocument, VolumeDocument
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.search import SearchDocument
from workflows.stages.phases import FollowedPhase, describe_phases, find_transitions

PRESSURES = [0.0, 75.0, 150.0]
GROUPS = {"P3_121": OPEN, "C2/c": MIDDLE, "P4_2/mnm": DENSE}


def ranking(pressure: float) -> list[CandidateDocument]:
    """Three phases of known equations of state at a pressure."""
    rows = []
    for number, (group, phase) in enumerate(GROUPS.items(), start=1):
        enthalpy, volume = phase.enthalpy(pressure), phase.volume(pressure)
        rows.append(
            CandidateDocument(
                formula="Cu", chemical_system="Cu", formula_units=number, space_group=group,
                space_group_number=number, pressure=pressure, converged=True, density=1.0,
                energy=enthalpy - pressure * volume / KBAR, enthalpy=enthalpy, volume=volume,
                engine="emt", job=f"{group} {pressure}", structure=copper(1),
            )
        )  # fmt: skip
    rows.sort(key=lambda row: row.enthalpy)
    for rank, row in enumerate(rows, start=1):
        row.rank, row.energy_above_best = rank, 1000 * (row.enthalpy - rows[0].enthalpy)
    return rows


def prediction() -> PredictionDocument:
    """All pressures; the dense phase is not there without pressure."""
    rows = [row for pressure in PRESSURES for row in ranking(pressure)]
    rows = [row for row in rows if (row.space_group, row.pressure) != ("P4_2/mnm", 0.0)]
    phases = describe_phases(
        [
            FollowedPhase({row.pressure: row for row in rows if row.space_group == group})
            for group in GROUPS
        ]
    )
    return PredictionDocument(
        formula="Cu", engine="emt", pressures=PRESSURES, candidates=rows, phases=phases,
        transitions=find_transitions(phases),
    )  # fmt: skip


@pytest.fixture
def store() -> JobStore:
    """A campaign of it, with melts at both ends."""
    melts = [
        document
        for aimed, temperature in ((150.0, 3000.0), (0.0, 2000.0))
        for document in (
            MeltingTemperatureDocument(
                melting_temperature=temperature, uncertainty=250, pressure=aimed, aimed_at=aimed,
                structure=copper(), points=[], segments=[],
            ),
            VolumeDocument(
                volume=12, pressure=aimed + 1, pressure_error=2, aimed_at=aimed,
                structure=copper(), points=[], segments=[],
            ),
        )
    ]  # fmt: skip
    return store_of([*melts, prediction()])


def test_a_campaign_is_judged_at_each_of_its_pressures(store: JobStore) -> None:
    """The lowest one last, by the same target as that of a campaign at this pressure alone."""
    results = CampaignResults(store, "mine")
    settings = {"formula_units": [1, 2], "pressure_GPa": 0.0, "pressures_GPa": [0.0, 7.5, 15.0]}
    found = targets_of(results, "Cu", settings)
    assert found == [Target("Cu", (1, 2), pressure) for pressure in (150.0, 75.0, 0.0)]
    alone = {"formula_units": [2], "pressure_GPa": 20.0}
    assert targets_of(results, "Cu", alone) == [Target("Cu", (2,), 200.0)]
    # of a campaign in a database nobody knows the settings
    searched = SearchDocument(
        formula="Cu", formula_units=[1], generations=1, n_structures=1, energies_of="potential",
        pressure=0.0, pressures=[0.0, 75.0], best_energy=-1.0, candidates=[], histories=[],
        shares=[], discarded=[], cpu_seconds=1.0,
    )  # fmt: skip
    found = targets_of(CampaignResults(store_of([searched]), "mine"), "Cu", {})
    assert [target.pressure for target in found] == [75.0, 0.0]


def test_phases_and_transitions_are_tabulated_behind_the_ranking_of_each_pressure() -> None:
    console = wide_console()
    with console.capture() as printed:
        for table in ranking_tables(prediction()):
            console.print(table)
    text = printed.get()
    for title in ("emt energy", "emt enthalpy at 7.5 GPa", "emt enthalpy at 15 GPa"):
        assert f"crystal structures by {title}" in text
    lines = [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]
    assert ["", "1 (P3_121)", "2 (C2/c)", "2.30", "-8.2", ""] in lines
    assert ["", "2 (C2/c)", "3 (P4_2/mnm)", "9.23", "-27.6", ""] in lines
    (dense,) = [line for line in lines if "3 (P4_2/mnm)" in line and "2 (C2/c)" not in line]
    assert dense[3] == ""  # it was not found there
    assert dense[5].startswith("0.0 (")


def test_the_report_has_a_folder_a_pressure_a_figure_and_a_summary(
    store: JobStore, tmp_path: Path
) -> None:
    (tmp_path / "structures" / "3GPa").mkdir(parents=True)
    old = tmp_path / "structures" / "3GPa" / "01_Cu_Z1_P1.cif"
    old.write_text("of an earlier report")
    paths = write_report(CampaignResults(store, "mine"), tmp_path)
    assert not old.exists()
    assert (tmp_path / "structures" / "15GPa" / "01_Cu_Z3_P4_2mnm.cif") in paths
    assert len(list(tmp_path.glob("structures/*/*.cif"))) == 8
    assert (tmp_path / "plots" / "pressures.png") in paths
    assert "transitions by emt enthalpy" in (tmp_path / "ranking.txt").read_text()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["pressures_kbar"] == PRESSURES
    assert [melt["pressure_kbar"] for melt in summary["melts"]] == [0.0, 150.0]
    assert [melt["melting_temperature_K"] for melt in summary["melts"]] == [2000.0, 3000.0]
    assert [melt["liquid_pressure_kbar"] for melt in summary["melts"]] == [[1.0, 2.0], [151.0, 2.0]]
    assert "melting_temperature_K" not in summary
    assert [one["from_phase"] for one in summary["transitions"]] == [1, 2]
    assert summary["transitions"][0]["pressure_kbar"] == pytest.approx(23.0, abs=0.1)
    assert [len(phase["points"]) for phase in summary["phases"]] == [3, 3, 2]
