"""What a report of a system has: the hull as table, values and figure; structures in its window."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from pymatgen.core import Composition, Lattice, Structure

from launch.report.campaign_results import CampaignResults
from launch.report.files import ranking_tables, wide_console, write_report
from launch.report.hull import hull_csv, placed, position, stable_ones, tie_lines
from launch.report.page.campaign import Origin, campaign_page
from launch.report.page.html import write_page
from launch.report.results import Results
from search.state.fitness import Fitness
from tests.launch.test_report import store_of
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.search import KNOWN
from workflows.stages.system_ranking import SystemRanking
from workflows.system import parse_system

#: eV/atom; MgSi lies 50 meV/atom above Mg2Si and Si, and a second Mg2Si by 100.
BINARY = {"Mg": -1.5, "Si": -5.4, "Mg2Si": -3.0, "MgSi": -3.55, "Mg4Si2": -2.9}
TERNARY = {"Li": -1.9, "Al": -3.7, "Cl": -1.8, "LiCl": -3.4, "AlCl3": -3.7, "LiAlCl4": -3.62,
           "LiAl": -2.9}  # fmt: skip


def crystal(formula: str, energy: float, known: str | None = None) -> CandidateDocument:
    """A crystal of these atoms, in a row."""
    symbols = [e.symbol for e, n in Composition(formula).items() for _ in range(int(n))]
    length = 2.6 * len(symbols) + 0.1 * len(formula)
    structure = Structure(
        Lattice.orthorhombic(length, 3.1, 3.3), symbols,
        [[k / len(symbols), 0, 0] for k in range(len(symbols))],
    )  # fmt: skip
    reduced, units = Composition(formula).get_reduced_formula_and_factor()
    return CandidateDocument(
        formula={"Cl2": "Cl"}.get(reduced, reduced), chemical_system="", formula_units=int(units),
        space_group="", space_group_number=1, energy=energy, density=1.0, volume=20.0,
        engine="emt", converged=True, structure=structure, relaxed=structure,
        found_by=KNOWN if known else "random", known=known,
    )  # fmt: skip


def prediction(
    system: str, energies: dict[str, float], known: dict[str, float] | None = None
) -> PredictionDocument:
    """The ranking of a system with these crystals."""
    rows = [crystal(formula, energy) for formula, energy in energies.items()]
    rows += [crystal(f, e, f"{f} of a file") for f, e in (known or {}).items()]
    target = parse_system(system, None, "emt", atoms_max=8)
    found, given, hull = SystemRanking(target, "emt", Fitness(), 1e-3).rank(rows)
    return PredictionDocument(
        formula=system, engine="emt", candidates=found, known=given, hulls=[hull]
    )


@pytest.fixture(scope="module")
def silicides() -> PredictionDocument:
    """Magnesium and silicon; a known Mg2Si that is 20 meV/atom higher than the one found."""
    return prediction("Mg-Si", BINARY, {"Mg2Si": -2.98, "Mg": -1.5, "Si": -5.4})


def test_the_table_tells_distances_and_reactions(silicides: PredictionDocument) -> None:
    console = wide_console()
    with console.capture() as printed:
        for table in ranking_tables(silicides):
            console.print(table)
    text = printed.get()
    lines = [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]
    # the lowest of each, which comes first
    by_formula = {(line[2], line[7]): line for line in reversed(lines) if len(line) > 8}
    stable = by_formula["Mg2Si", ""]
    assert "convex hull by emt energy" in text
    assert "on the hull: Mg, Mg2Si, Si" in text
    assert stable[4] == f"{-3.0 - (2 * -1.5 - 5.4) / 3:.4f}"
    assert (stable[5], stable[8]) == ("0.0", "stable")
    # beside the known phases alone, the one found is 20 meV/atom more stable
    assert stable[6] == "-20.0"
    assert by_formula["MgSi", ""][5] == "50.0"
    assert by_formula["MgSi", ""][8] == "2 MgSi → Mg2Si + Si"
    assert by_formula["Mg2Si", "Mg2Si of a file"][5] == "20.0"


def test_the_report_has_the_hull_and_the_structures_in_its_window(
    silicides: PredictionDocument, tmp_path: Path
) -> None:
    results = CampaignResults(store_of([silicides]), "mine")
    paths = write_report(results, tmp_path)
    for name in ("hull.png", "hull.pdf"):
        assert (tmp_path / "plots" / name) in paths
    names = {path.name.rsplit("_", 1)[0] for path in tmp_path.glob("structures/*.cif")}
    assert {name.split("_")[-2] for name in names} == {"Mg", "Si", "Mg2Si", "MgSi"}
    assert len(names) == 7  # not the second Mg2Si, 100 meV/atom up
    rows = list(csv.DictReader((tmp_path / "hull.csv").open()))
    assert len(rows) == 8
    assert rows[0]["above_hull_meV_atom"] == "0.0"
    shares = {row["formula"]: float(row["atoms_of_Mg"]) for row in rows}
    assert shares == pytest.approx({"Mg": 1, "Si": 0, "MgSi": 0.5, "Mg2Si": 2 / 3}, abs=1e-6)
    write_report(results, tmp_path, window=0.0)
    assert len(list(tmp_path.glob("structures/*.cif"))) == 5
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["hulls"][0]["stable"] == ["Mg", "Mg2Si", "Si"]
    assert len(summary["known_phases"]) == 3


def test_results_of_a_compound_include_those_of_systems(silicides: PredictionDocument) -> None:
    results = Results(store_of([silicides]))
    for document in results.outputs.find({}):
        named = {"$set": {"metadata.formula": "Mg-Si"}}
        results.outputs.update_one({"_id": document["_id"]}, named)
    found = results.candidates("Mg2Si")
    assert [round(one.above_hull or 0.0) for one in found] == [0, 100]
    assert {one.formula for one in results.candidates("Si-Mg")} == {"Mg", "Si", "Mg2Si", "MgSi"}
    assert results.candidates("Mg-O") == []


def test_a_page_has_the_hull_first(silicides: PredictionDocument, tmp_path: Path) -> None:
    page = campaign_page(CampaignResults(store_of([silicides]), "mine"), Origin("Mg-Si"))
    chart = page.charts[0]
    assert chart.title == "The convex hull"
    line, found, known = chart.panels[0].traces
    assert line["x"] == pytest.approx([0.0, 1 / 3, 1.0], abs=1e-5)
    assert line["y"] == pytest.approx([0.0, -0.2, 0.0], abs=1e-5)
    # a point opens its crystal
    labels = {page.rows[k].values["known"] for k in known["customdata"]}
    assert labels == {"Mg2Si of a file", "Mg of a file", "Si of a file"}
    assert {page.rows[k].values["formula"] for k in found["customdata"]} == set(BINARY) - {"Mg4Si2"}
    keys = [column.key for column in page.columns]
    assert {"above_hull", "formation", "reaction"} <= set(keys)
    assert write_page(page, tmp_path / "report.html").stat().st_size > 1000


def test_a_ternary_system_is_a_triangle(tmp_path: Path) -> None:
    document = prediction("Li-Al-Cl", TERNARY)
    (hull,) = document.hulls
    stable = list(stable_ones(placed(document)).values())
    assert position(hull, "LiCl") == pytest.approx((0.25, 3**0.5 / 4))
    assert position(hull, "Cl") == pytest.approx((0.5, 3**0.5 / 2))
    lines = {frozenset(pair) for pair in tie_lines(hull, stable)}
    if "LiAlCl4" in hull.stable:
        assert {"LiCl", "LiAlCl4"} in lines
        # the line between the chlorides is cut by the compound between them
        assert {"LiCl", "AlCl3"} not in lines
    assert {"LiAl", "Li"} in lines
    results = CampaignResults(store_of([document]), "mine")
    assert (tmp_path / "plots" / "hull.png") in write_report(results, tmp_path)
    panel = campaign_page(results, Origin("Li-Al-Cl")).charts[0].panels[0]
    assert panel.traces[-1]["text"] == ["Li", "Al", "Cl"]
    assert any("reference of Cl" in note for note in hull.notes)


def test_four_blocks_have_a_table_and_no_figure(tmp_path: Path) -> None:
    document = prediction("Li-Al-Cl-O", {**TERNARY, "O": -4.9, "Li2O": -4.8})
    results = CampaignResults(store_of([document]), "mine")
    write_report(results, tmp_path)
    assert not (tmp_path / "plots" / "hull.png").exists()
    assert "Li2O" in hull_csv(document)
    titles = [chart.title for chart in campaign_page(results, Origin("Li-Al-Cl-O")).charts]
    assert "The convex hull" not in titles
