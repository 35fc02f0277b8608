"""The page in a real browser that has no network: what people see and do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from launch.report.page.html import write_page
from tests.browser import OpenPage, browser
from tests.launch.page_samples import (
    HOSTILE,
    anatase,
    evolution,
    island,
    large_page,
    page_of,
    prediction,
    rutile,
)
from tests.launch.powder_samples import Measurement, as_text
from tests.launch.test_report import documents
from workflows.documents.training import TrainingDocument


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign with a landscape."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_page(page_of(prediction(), island(evolution())), path)


@pytest.fixture(scope="module")
def shared(chromium: Any, report: Path) -> Iterator[OpenPage]:
    page = OpenPage(chromium, report)
    yield page
    page.close()


@pytest.fixture
def opened(shared: OpenPage) -> OpenPage:
    """One page for many tests, in order of ranks and with all rows."""
    rank = shared.page.locator("thead th", has_text="rank")
    while rank.get_attribute("aria-sort") != "ascending":
        rank.locator("button").click()
    shared.page.fill("#filter", "")
    return shared


def chosen(opened: OpenPage) -> str:
    """Heading of the structure that is shown."""
    return str(opened.page.locator("#viewer h3").text_content())


def test_it_opens_without_a_network_and_without_complaints(opened: OpenPage) -> None:
    page = opened.page
    page.wait_for_selector("#viewer canvas")
    assert page.title() == "TiO2: predicted crystal structures"
    assert opened.column("space group") == ["I4_1/amd (141)", "P4_2/mnm (136)", "I4_1/amd (141)"]
    assert opened.column("rank") == ["1", "2", "3 *"]
    for place in page.locator(".panel").all():
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for()
    assert opened.complaints == []


def test_the_table_sorts_and_filters(opened: OpenPage) -> None:
    volumes = sorted(float(text) for text in opened.column("volume"))
    heading = opened.page.locator("thead th", has_text="volume")
    for falling in (False, True):
        heading.locator("button").click()
        shown = [float(text) for text in opened.column("volume")]
        assert shown == sorted(volumes, reverse=falling)
        assert heading.get_attribute("aria-sort") == ("descending" if falling else "ascending")
    opened.page.fill("#filter", "P4_2")
    assert opened.column("rank") == ["2"]
    opened.page.fill("#filter", f"volume<{volumes[1] + 0.1:.1f}")
    assert sorted(opened.column("rank")) == ["1", "2"]
    assert opened.page.text_content("#count") == "2 of 3 structures"
    for term in ("space group=P4_2/mnm", "space group = p4_2/mnm", "space group=136"):
        opened.page.fill("#filter", term)
        assert opened.column("rank") == ["2"]
    for term in ("space group=P4_2", "space group<P4_2/mnm", "volume=P4_2/mnm"):
        opened.page.fill("#filter", term)
        assert opened.column("rank") == []
    opened.page.fill("#filter", "formula=TiO2")
    assert sorted(opened.column("rank")) == ["1", "2", "3 *"]
    opened.page.fill("#filter", f"volume={opened.column('volume')[0]}")
    assert len(opened.column("rank")) >= 1


def test_a_logarithmic_axis_is_labelled_by_whole_numbers(chromium: Any, tmp_path: Path) -> None:
    """Plotly alone writes 2 and 5 between 10 and 100."""
    errors = {"training_energy": 30.0, "validation_energy": 300.0}
    history = [{"epoch": 1.0 + n, **{k: e / 2**n for k, e in errors.items()}} for n in range(6)]
    trained = next(one for one in documents() if isinstance(one, TrainingDocument))
    page = page_of(trained.model_copy(update={"history": history}))
    opened = OpenPage(chromium, write_page(page, tmp_path / "report.html"))
    panel = opened.page.get_by_label("Training: energy RMSE (meV/atom) against epoch")
    panel.scroll_into_view_if_needed()
    panel.locator(".ytick text").first.wait_for()
    labels = [float(text) for text in panel.locator(".ytick text").all_text_contents()]
    assert labels == sorted(set(labels))
    assert {10.0, 100.0} <= set(labels)
    assert all(0.5 <= one <= 500.0 for one in labels)
    opened.close()


def test_a_row_opens_its_structure(opened: OpenPage) -> None:
    opened.page.click("tbody tr:nth-child(2)")
    opened.page.wait_for_selector("#viewer canvas")
    opened.page.wait_for_timeout(300)
    assert chosen(opened) == "2 · TiO2 · P4_2/mnm (136)"
    plain = opened.colours_drawn()
    assert plain > 100  # shaded balls; an empty canvas has one colour
    opened.page.select_option("select[aria-label=Style]", "polyhedra")
    opened.page.wait_for_timeout(300)
    assert opened.colours_drawn() != plain
    opened.page.select_option("select[aria-label=Supercell]", "2,2,2")
    opened.page.wait_for_timeout(300)
    assert opened.colours_drawn() > 100
    assert opened.page.locator(".legend span").all_text_contents() == ["Ti", "O"]
    assert opened.complaints == []


@pytest.mark.parametrize(("row", "expected", "name"), [
    (1, anatase(), "01_TiO2_Z2_I4_1amd"), (2, rutile(), "02_TiO2_Z2_P4_2mnm"),
])  # fmt: skip
def test_what_is_saved_is_the_crystal(
    opened: OpenPage, row: int, expected: Structure, name: str
) -> None:
    opened.page.click(f"tbody tr:nth-child({row})")
    saved, text = opened.download("#save-cif")
    assert saved == f"{name}.cif"
    found = Structure.from_str(text, fmt="cif")
    assert found.matches(expected)
    assert found.get_space_group_info() == expected.get_space_group_info()
    saved, text = opened.download("#save-poscar")
    assert saved == f"{name}.vasp"
    assert Structure.from_str(text, fmt="poscar").matches(expected)


def test_a_point_of_the_landscape_opens_a_structure_that_can_be_saved(opened: OpenPage) -> None:
    """Those of the search have no symmetric CIF in the page: it writes one itself."""
    panel = opened.page.locator(".panel").first
    panel.scroll_into_view_if_needed()
    panel.locator(".main-svg").first.wait_for()
    # as a click on a point tells it, whichever one lies on top
    number, index = opened.page.evaluate(
        """() => {
          const place = document.querySelector(".panel");
          const number = place.data.findIndex(trace => trace.name === "search");
          const point = { customdata: place.data[number].customdata[1] };
          place.emit("plotly_click", { points: [point] });
          return [number, point.customdata];
        }"""
    )
    assert chosen(opened).startswith("structure ")
    state = evolution()
    _, text = opened.download("#save-cif")
    found = Structure.from_str(text, fmt="cif")
    member = next(m for m in state.archive.members if f"structure {m.id + 1}" == chosen(opened))
    assert found.volume / len(found) == pytest.approx(member.volume, rel=1e-3)
    assert found.get_space_group_info(symprec=0.05)[1] >= 1
    assert number >= 0
    assert index >= 3


def test_powder_patterns_are_drawn_and_a_measured_one_finds_its_phase(
    opened: OpenPage, tmp_path: Path
) -> None:
    """A pattern of rutile with broad lines, noise, a background, and lengths 0.8 % larger."""
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    structure = rutile()
    structure.scale_lattice(1.008**3 * structure.volume)
    lines = XRDCalculator("CuKa").get_pattern(structure, two_theta_range=(10, 80))
    angles = np.arange(10, 80, 0.02)
    counts = 30 + 200 * np.exp(-angles / 30) + np.random.default_rng(3).normal(0, 1, len(angles))
    for angle, intensity in zip(lines.x, lines.y, strict=True):
        counts += intensity * np.exp(-4 * np.log(2) * ((angles - angle) / 0.3) ** 2)
    measured = tmp_path / "rutile.xy"
    rows = "\n".join(f"{a:.2f} {c:.2f}" for a, c in zip(angles, counts, strict=True))
    measured.write_text(f"# 2theta counts\n{rows}\n")
    opened.page.locator("#pattern").scroll_into_view_if_needed()
    opened.page.wait_for_selector("#pattern .scatterlayer .trace path")
    opened.page.set_input_files("#measured", measured)
    opened.page.wait_for_selector("#likeness tbody tr")
    table = [
        [cell.text_content() for cell in row.locator("td").all()]
        for row in opened.page.locator("#likeness tbody tr").all()
    ]
    assert table[0][0] == "2 · TiO2 · P4_2/mnm (136)"
    assert float(table[0][1] or 0) > 0.95
    assert float(table[1][1] or 0) < 0.8
    assert table[0][2] in ("+0.5 %", "+1 %")
    assert opened.complaints == []


@pytest.mark.parametrize(
    "measurement",
    [
        Measurement(0.01, zero=0.15, counts=1000),
        Measurement(-0.01, zero=-0.15, counts=200, broadening=2, texture=0.3),
    ],
)
def test_a_pattern_as_it_is_measured_finds_its_phase(
    opened: OpenPage, tmp_path: Path, measurement: Measurement
) -> None:
    """Behind glass, of another lattice constant, with angles shifted, and of few counts."""
    for number, structure in enumerate((anatase(), rutile()), start=1):
        conventional = SpacegroupAnalyzer(structure).get_conventional_standard_structure()
        file = tmp_path / f"measured-{number}.xy"
        file.write_text(as_text(measurement.of(conventional)))
        opened.page.set_input_files("#measured", file)
        row = opened.page.locator("#likeness tbody tr").first
        row.locator("td", has_text=f"{number} · TiO2").wait_for()
        cells = row.locator("td").all_text_contents()
        assert float(cells[1]) > 0.85
        assert float(cells[2].split()[0]) == pytest.approx(100 * measurement.strain, abs=0.6)


def test_a_file_that_is_no_pattern_is_refused_in_words(opened: OpenPage, tmp_path: Path) -> None:
    wrong = tmp_path / "letter.txt"
    wrong.write_text("Dear reader,\n1 2\n")
    opened.page.set_input_files("#measured", wrong)
    message = opened.page.locator("#powder-frame .hint", has_text="needs two columns")
    message.wait_for(state="attached")
    far = tmp_path / "far.xy"
    far.write_text("\n".join(f"{0.01 * n:.2f} {n}" for n in range(100)))
    opened.page.set_input_files("#measured", far)
    message = opened.page.locator("#powder-frame .hint", has_text="no angles between 5 and 90°")
    message.wait_for(state="attached")
    assert opened.complaints == []


@pytest.mark.parametrize(
    "row", ["{0:.2f} {1:.1f}", "{0:.2f},{1:.1f}", "{0:.2f}; {1:.1f}", "{0:.2f}, {1:.1f}, 1.0"]
)
def test_columns_are_parted_as_people_part_them(opened: OpenPage, row: str) -> None:
    """By spaces, commas or semicolons; and with commas as decimal signs."""
    lines = [row.format(10.25 + 0.1 * n, 100.5 * (n == 50)) for n in range(100)]
    texts = ["\n".join(lines)]
    if "," not in row:
        texts.append(texts[0].replace(".", ","))
    for text in texts:
        values = opened.page.evaluate("text => Array.from(readMeasured(text, CU).values)", text)
        assert 5 + 0.05 * int(np.argmax(values)) == pytest.approx(15.25, abs=0.06)


@pytest.mark.slow
def test_all_is_reached_by_keyboard(opened: OpenPage) -> None:
    press = opened.page.keyboard.press
    opened.page.wait_for_selector("#viewer canvas")
    opened.page.focus("#filter")
    for _ in range(40):
        press("Tab")
        if opened.page.evaluate("document.activeElement.tagName") == "TR":
            break
    press("ArrowDown")
    press("Enter")
    assert chosen(opened).startswith("2 ·")
    reached = set()
    for _ in range(25):
        press("Tab")
        reached.add(
            opened.page.evaluate("document.activeElement.id || document.activeElement.className")
        )
    assert {"canvas", "save-cif", "save-poscar", "measured"} <= reached
    opened.page.focus(".canvas")
    before = opened.page.locator(".canvas").screenshot()
    press("ArrowLeft")
    opened.page.wait_for_timeout(200)
    assert opened.page.locator(".canvas").screenshot() != before


@pytest.mark.slow
def test_it_fits_on_a_telephone(chromium: Any, report: Path) -> None:
    opened = OpenPage(chromium, report, width=390)
    opened.page.wait_for_selector("#viewer canvas")
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    size = opened.page.evaluate(
        "parseFloat(getComputedStyle(document.querySelector('td')).fontSize)"
    )
    assert size >= 12
    box = opened.page.locator(".canvas").bounding_box()
    assert box is not None
    assert box["width"] > 300
    opened.close()


def test_hostile_names_are_shown_and_not_run(chromium: Any, tmp_path: Path) -> None:
    page = page_of(prediction(found_by=HOSTILE, engine=HOSTILE, formula=HOSTILE))
    hostile = replace(page, title=HOSTILE, warnings=[HOSTILE], unfinished=HOSTILE, command=HOSTILE)
    file = tmp_path / f"{HOSTILE[:40].replace('/', '')}.html"
    opened = OpenPage(chromium, write_page(hostile, file))
    opened.page.wait_for_selector("#viewer canvas")
    for place in opened.page.locator(".panel, #pattern").all():
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for()
    assert opened.page.text_content("#title") == HOSTILE
    assert opened.column("found by")[0] == HOSTILE
    assert opened.page.locator("img[src=x]").count() == 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1300
    name = tmp_path / "<b>'x'&.xy"
    name.write_text("\n".join(f"{10 + n / 10} {n % 50}" for n in range(500)))
    opened.page.set_input_files("#measured", name)
    opened.page.wait_for_selector("#likeness tbody tr")
    assert "<b>'x'&.xy" in (opened.page.text_content("#pattern") or "")
    assert opened.complaints == []
    opened.close()


@pytest.mark.slow
def test_an_unfinished_campaign_says_so(chromium: Any, tmp_path: Path) -> None:
    page = page_of(*documents()[:3])
    opened = OpenPage(chromium, write_page(page, tmp_path / "report.html"))
    assert "no ranking yet" in (opened.page.text_content("#notices") or "")
    assert "no structures yet" in (opened.page.text_content("#ranking") or "")
    assert opened.complaints == []
    opened.close()


@pytest.mark.slow
def test_five_hundred_structures_open(chromium: Any, tmp_path: Path) -> None:
    """The time it takes is measured by tests/benchmarks/page.py."""
    path = write_page(large_page(500, 3000), tmp_path / "report.html")
    assert path.stat().st_size < 10e6
    opened = OpenPage(chromium, path)
    assert len(opened.column("rank")) == 500
    opened.page.locator("thead th", has_text="rank").locator("button").click(click_count=2)
    assert opened.column("rank")[0] == "500"
    panel = opened.page.locator(".panel").first
    panel.scroll_into_view_if_needed()
    panel.locator(".main-svg").first.wait_for()
    assert opened.page.evaluate("document.querySelector('.panel').data[0].x.length") == 3000
    assert opened.complaints == []
    opened.close()
