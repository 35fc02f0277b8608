"""The content of a page: neighbours, diffraction, the table, and what a file holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from launch.report.page.campaign import TOOLS, Origin
from launch.report.page.crystals import appearance, bare_crystal, whole_crystal
from launch.report.page.html import render, write_page
from launch.report.page.landscape import MOST_SHOWN
from launch.report.page.neighbors import bond_limits, surroundings_of
from launch.report.page.powder import powder_pattern
from launch.report.page.ranking import Table
from launch.report.page.search_folder import is_search, read_islands, search_page
from launch.report.style import many_colours
from launch.report.trajectories import melts_in
from search.run.driver import save
from tests.launch.page_samples import (
    HOSTILE,
    anatase,
    evolution,
    island,
    page_of,
    prediction,
    rutile,
)
from tests.launch.test_report import documents
from workflows.documents.search import SearchDocument
from workflows.documents.training import SampleDocument


def content_of(text: str) -> dict:
    """The data of a page, read from its HTML as a browser does."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    content: dict = json.loads(found[1])
    return content


def rebuilt(cell: dict) -> Structure:
    """Structure of a cell as a page has it."""
    species = [symbol for symbol, number in cell["species"] for _ in range(number)]
    positions = np.reshape(cell["positions"], (-1, 3))
    return Structure(np.reshape(cell["lattice"], (3, 3)), species, positions)


def test_neighbours_are_those_of_the_textbook() -> None:
    around = surroundings_of(AseAtomsAdaptor.get_atoms(rutile()), bond_limits(["Ti", "O"]))
    assert around.coordination == {"O": "3 Ti", "Ti": "6 O"}
    assert around.shortest == {"O-Ti": pytest.approx(1.948, abs=0.003)}


def test_cations_are_no_neighbours_but_metals_among_metals_are() -> None:
    assert set(bond_limits(["Mg", "Si", "O"])) == {("Mg", "O"), ("O", "Si"), ("O", "O")}
    assert ("Cu", "Cu") in bond_limits(["Cu", "Au"])
    assert ("C", "C") in bond_limits(["C", "H", "O"])


def test_a_metal_alone_has_neighbours_in_a_system_where_it_is_a_cation() -> None:
    table = Table(bond_limits(["Mg", "O"]))
    table.add(AseAtomsAdaptor.get_structure(bulk("Mg")), "Mg", {})
    assert table.rows[0].values["coordination"] == "Mg: 12 Mg"
    assert appearance({"Mg", "O"})["Mg"]["bond"] == pytest.approx(3.525)


@pytest.mark.parametrize(("structure", "angle", "indices"), [
    (rutile(), 27.43, "110"), (anatase(), 25.31, "101"),
])  # fmt: skip
def test_the_strongest_line_is_where_it_is_measured(
    structure: Structure, angle: float, indices: str
) -> None:
    crystal = whole_crystal("x", "x", structure)
    assert crystal.pattern is not None
    strongest = max(crystal.pattern, key=lambda line: line[1])
    assert strongest == [pytest.approx(angle, abs=0.1), 100.0, indices]
    # a powder does not know in which cell it is described
    alike = powder_pattern(structure.get_primitive_structure())
    assert max(alike, key=lambda line: line[1])[0] == pytest.approx(strongest[0], abs=1e-3)


def test_cells_and_cif_are_the_crystal() -> None:
    crystal = whole_crystal("x", "x", anatase())
    assert crystal.conventional is not None
    assert rebuilt(crystal.cell).matches(anatase())
    assert len(rebuilt(crystal.conventional)) == 12
    assert rebuilt(crystal.conventional).matches(anatase())
    assert Structure.from_str(crystal.cif or "", fmt="cif").matches(anatase())
    assert rebuilt(bare_crystal("x", "x", AseAtomsAdaptor.get_atoms(rutile())).cell).matches(
        rutile()
    )


def test_the_table_tells_what_is_known_of_each_structure() -> None:
    page = page_of(prediction())
    first = page.rows[0].values
    assert first["space_group"] == "I4_1/amd (141)"
    assert first["coordination"] == "O: 3 Ti; Ti: 6 O"
    assert first["error"] == pytest.approx(3.0)
    assert first["density"] == pytest.approx(3.89, abs=0.02)
    assert page.rows[2].marks == ["unconverged"]
    assert [column.key for column in page.columns][:3] == ["rank", "motif", "formula"]
    assert "enthalpy" not in {column.key for column in page.columns}
    assert page.command == "devitrify run TiO2"


def test_points_of_the_landscape_open_their_structures() -> None:
    state = evolution()
    page = page_of(prediction(), island(state))
    by_volume = page.charts[0].panels[0].traces
    kept = next(trace for trace in by_volume if trace["name"] == "search")
    assert 0 < len(kept["x"]) <= min(len(state.archive), MOST_SHOWN)
    for volume, index in list(zip(kept["x"], kept["customdata"], strict=True))[:5]:
        found = rebuilt(page.crystals[index].cell)
        assert found.volume / len(found) == pytest.approx(volume, rel=1e-3)
    ranked = next(trace for trace in by_volume if trace["name"].startswith("ranked"))
    assert ranked["customdata"] == [0, 1, 2]
    from_best = page.charts[0].panels[1].traces[-1]["x"]
    assert from_best[0] == pytest.approx(0.0, abs=1e-6)
    assert from_best[1] > 0.01  # rutile is not anatase


def test_every_stage_has_its_figure() -> None:
    page = page_of(*documents(), origin=Origin("Cu"))
    titles = [chart.title for chart in page.charts]
    assert [title for title in titles if title == "Melting: T_m ≤ 1500 K"]
    for title in ("The search", "Parity", "Training", "Melt, quench and anneal",
                  "Coverage of environments"):  # fmt: skip
        assert title in titles
    assert all(chart.sentence.count(".") >= 2 for chart in page.charts)
    assert page.warnings == ["melting temperature: still liquid."]


def test_each_melt_of_a_system_has_its_own_curve() -> None:
    sample = next(one for one in documents() if isinstance(one, SampleDocument))
    series = {
        "time": [1.0, 2.0, 3.0, 4.0], "temperature": [900.0, 300.0, 1200.0, 300.0],
        "energy": [-1.4, -1.5, -3.9, -4.2], "pressure": [0.0] * 4,
        "Mg": [1.0, 1.0, 2 / 3, 2 / 3], "Si": [0.0, 0.0, 1 / 3, 1 / 3],
    }  # fmt: skip
    melts = melts_in(series)
    assert list(melts) == ["Mg", "Mg2Si"]
    assert melts["Mg2Si"]["time"] == [3.0, 4.0]
    page = page_of(sample.model_copy(update={"series": series}), origin=Origin("Mg-Si"))
    (chart,) = [one for one in page.charts if one.title == "Melt, quench and anneal"]
    states, temperatures, pressures = chart.panels
    for panel in chart.panels:
        assert [trace["name"] for trace in panel.traces] == ["Mg", "Mg2Si"]
    # each above the lowest of its own composition
    assert [trace["y"] for trace in states.traces] == [[0.1, 0.0], [0.3, 0.0]]
    assert [trace["x"] for trace in temperatures.traces] == [[1.0, 2.0], [3.0, 4.0]]
    assert pressures.y == "pressure (kbar)"


def test_a_campaign_without_anything_has_a_page(tmp_path: Path) -> None:
    page = page_of()
    assert page.unfinished == "This campaign has no ranking yet."
    assert content_of(write_page(page, tmp_path / "report.html").read_text())["rows"] == []


def test_what_comes_from_outside_is_data(tmp_path: Path) -> None:
    page = replace(page_of(prediction(found_by=HOSTILE)), title=HOSTILE)
    text = render(page)
    assert HOSTILE not in text
    assert "<img" not in text
    content = content_of(text)
    assert content["title"] == HOSTILE
    assert content["rows"][0]["values"]["found_by"] == HOSTILE


def test_the_page_fetches_nothing_and_is_small() -> None:
    text = render(page_of(prediction(), island(evolution())))
    assert len(text.encode()) < 5e6
    assert not re.search(r'<(?:script|link|img)[^>]+(?:src|href)="(?!data:)', text)
    assert "default-src &#x27;none&#x27;" in text
    assert "BSD-3-Clause" in text


def test_a_search_has_a_page_of_its_own(tmp_path: Path) -> None:
    assert not is_search(tmp_path)
    save(evolution(), tmp_path / "island_1.json")
    assert is_search(tmp_path)
    page = search_page(read_islands(tmp_path), 12.0)
    assert page.title == "TiO2: crystal structures of a search"
    assert page.rows[0].values["above"] == 0.0
    assert page.rows[0].values["potential"] == pytest.approx(-8.9, abs=0.1)
    assert ["CPU time", "12 s"] in page.facts
    assert [chart.title for chart in page.charts] == ["Energy landscape", "The search"]


@pytest.mark.parametrize(("engine", "names"), [
    ("chgnet", ["CHGNet"]), ("chgnet+d3zero", ["CHGNet", "DFT-D3,"]),
    ("vasp+d3bj:pbe", ["Kresse", "DFT-D3(BJ)"]), ("mine", []),
])  # fmt: skip
def test_an_engine_is_cited_with_its_dispersion(engine: str, names: list[str]) -> None:
    cited = page_of(prediction(), origin=Origin("TiO2", engine, "quick", 1)).citations
    own = cited[1 : len(cited) - len(TOOLS)]
    assert len(own) == len(names)
    assert all(name in text for name, text in zip(names, own, strict=True))


def test_a_search_of_a_system_has_no_formula_units_and_no_best_energy() -> None:
    (searched,) = [one for one in documents() if isinstance(one, SearchDocument)]
    system = searched.model_copy(update={"formula_units": [], "histories": []})
    page = page_of(prediction(), system)
    assert dict(page.facts)["first search"] == f"{system.n_structures} structures relaxed"
    (search,) = [chart for chart in page.charts if chart.title == "The search"]
    assert "best energy" not in search.sentence


def test_areas_upon_each_other_have_colours_of_their_own() -> None:
    assert len(set(many_colours(16))) == 16
