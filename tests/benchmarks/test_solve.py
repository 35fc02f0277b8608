"""Known phases from files, campaigns in turn, and the table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from tests.benchmarks import solve
from tests.benchmarks.campaigns import Times, is_finished, log_of, run_timed
from tests.benchmarks.known import PHASES
from tests.benchmarks.phases import KnownPhase, Phase, PhaseError, read_phases, relax_known
from tests.benchmarks.solve_found import Found, Minimum
from tests.benchmarks.solve_judgement import judge
from tests.benchmarks.solve_table import Row, summarise, summary_in_words, table
from tests.benchmarks.training import Kept
from tests.integration.conftest import SETTINGS, SHORT, environment, stop_campaigns

COPPER = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]])
RUTILE, ANATASE = (phase.structure() for phase in PHASES[:2])


def test_a_phase_from_its_file(tmp_path: Path) -> None:
    """Names of the benchmark hold a category and a space group; formulas have parentheses."""
    lattice = Lattice.hexagonal(4.31, 7.0)
    structure = Structure.from_spacegroup(
        "P-3m1", lattice, ["Ca", "Cd", "P"],
        [[0, 0, 0], [1 / 3, 2 / 3, 0.63], [1 / 3, 2 / 3, 0.24]],
    )  # fmt: skip
    path = tmp_path / "ternary_medium_Ca(CdP)2_164.vasp"
    Poscar(structure * (1, 1, 2)).write_file(path)
    (phase,) = read_phases([path])
    assert phase.name == "ternary_medium_CaCdP2_164"
    assert (phase.category, phase.expected_group) == ("ternary_medium", 164)
    assert (phase.formula, phase.z, len(phase.structure)) == ("Ca(CdP)2", 1, 5)


def test_units_of_an_element(tmp_path: Path) -> None:
    CifWriter(COPPER).write_file(tmp_path / "Cu.cif")
    (phase,) = read_phases([tmp_path])
    assert (phase.formula, phase.z, phase.category) == ("Cu", 1, "")


def test_files_that_are_refused(tmp_path: Path) -> None:
    alloy = Structure(Lattice.cubic(3.7), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    CifWriter(alloy).write_file(tmp_path / "alloy.cif")
    with pytest.raises(PhaseError, match="partly occupied"):
        read_phases([tmp_path / "alloy.cif"])
    (tmp_path / "broken.vasp").write_text("nothing\n")
    with pytest.raises(PhaseError, match="cannot be read"):
        read_phases([tmp_path / "broken.vasp"])
    Poscar(COPPER).write_file(tmp_path / "Cu.vasp")
    with pytest.raises(PhaseError, match="more than one file is called Cu"):
        read_phases([tmp_path / "Cu.vasp", tmp_path / "Cu.vasp"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(PhaseError, match="no VASP or CIF"):
        read_phases([tmp_path / "empty"])


def test_phases_that_the_engine_holds(tmp_path: Path) -> None:
    """Close-packed copper is stable by effective medium theory, simple cubic copper is not."""
    kept = Kept(tmp_path)
    known = relax_known(Phase("fcc", "", COPPER.get_primitive_structure(), "Cu", 1), "emt", kept)
    assert known.held
    assert known.energy == pytest.approx(-0.0070, abs=2e-4)

    simple = Structure(Lattice.cubic(2.4), ["Cu"] * 1, [[0, 0, 0]]) * (2, 1, 1)
    marked = relax_known(Phase("sc", "", simple, "Cu", 2), "emt", kept)
    assert not marked.held
    assert any("falls" in mark for mark in marked.marks)
    assert marked.disturbed_energy < marked.energy - 0.001
    # kept, and not relaxed again
    (tmp_path / "fcc-emt.json").touch()
    stamp = (tmp_path / "fcc-emt.json").stat().st_mtime_ns
    relax_known(known.phase, "emt", kept)
    assert (tmp_path / "fcc-emt.json").stat().st_mtime_ns == stamp


def test_an_engine_without_a_calculator_is_refused(tmp_path: Path) -> None:
    phase = Phase("fcc", "", COPPER.get_primitive_structure(), "Cu", 1)
    with pytest.raises(ValueError, match="vasp needs a job for each structure"):
        relax_known(phase, "vasp", Kept(tmp_path))


def test_times_add_up(tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    busy = "import time; end = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    first = run_timed([sys.executable, "-c", busy], folder)
    assert first.cpu > 0.2
    assert first.status == 0
    again = run_timed([sys.executable, "-c", "import sys; sys.exit('no room')"], folder)
    assert again.cpu > first.cpu
    assert again.status == 1
    assert Times.of(folder) == again
    assert "no room" in log_of(folder).read_text()


def test_phases_of_one_compound_share_a_campaign(tmp_path: Path) -> None:
    phases = [
        Phase("rutile", "", RUTILE, "TiO2", 2),
        Phase("anatase", "", ANATASE, "TiO2", 2),
        Phase("brookite", "", PHASES[2].structure(), "TiO2", 8),
    ]
    benchmark = solve.Benchmark(tmp_path)
    names = [benchmark.folder(task).name for task in solve.tasks(phases, [0, 1])]
    assert names == [f"{n}-{s}" for s in (0, 1) for n in ("rutile", "rutile", "brookite")]
    # one that is there already is gone on with
    (tmp_path / "anatase-1").mkdir()
    names = [benchmark.folder(task).name for task in solve.tasks(phases, [1])]
    assert names == ["anatase-1", "anatase-1", "brookite-1"]


def _row(seed: int, best: Structure, difference: float, marks: tuple[str, ...] = ()) -> Row:
    phase = Phase("TiO2_rutile", "oxide", RUTILE, "TiO2", 2)
    known = KnownPhase(phase, RUTILE, -8.0, -8.0, marks)
    found = Found([Minimum(best, -8.0 + difference)], [], [], [], [], structures=9, evaluations=7)
    times = Times(wall=60.0 * (seed + 1), cpu=50.0)
    return Row(phase, seed, times, known, found, judge(known, found, None))


def test_summary_counts_failures_as_misses() -> None:
    good, bad = _row(0, RUTILE, 0.0), _row(1, ANATASE, 0.02, ("falls",))
    failed = replace(good, seed=2, verdict=None, found=None, failure="a | b")
    summary = summarise([good, bad, failed])
    solved, first = list(summary["all"].values())[:2]
    assert solved == first == [1, 3]
    assert next(iter(summary["held"].values())) == [1, 2]
    by_seed = [next(iter(fractions.values())) for fractions in summary["by_seed"].values()]
    assert by_seed == [[1, 1], [0, 1], [0, 1]]
    assert (summary["median_wall"], summary["largest_wall"], summary["failed"]) == (60, 120, 1)
    assert summary["spread"]["TiO2_rutile"]["rank"] == [1, None, None]
    words = summary_in_words(summary)
    assert "1 of 3 (33 %)" in words
    assert "+0.0, +20.0, none meV/atom" in words


def test_table_is_markdown() -> None:
    failed = replace(_row(0, RUTILE, 0.0), verdict=None, found=None, failure="a | b")
    lines = table([_row(0, RUTILE, -0.004), _row(1, ANATASE, 0.02), failed]).splitlines()
    assert {line.replace("\\|", "").count("|") for line in lines} == {lines[0].count("|")}
    assert "engine prefers another" not in lines[3]
    assert "yes, -4.0" in lines[2]
    assert "engine prefers another" in lines[2]
    assert "no, +20.0" in lines[3]
    assert "not found" in lines[3]
    assert "failed: a \\| b" in lines[4]


@pytest.fixture
def campaigns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of campaigns, whose processes end with the test."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    yield tmp_path / "out"
    stop_campaigns(tmp_path / "out")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_copper(tmp_path: Path, campaigns: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A campaign that works, one that cannot, the table alone, and random search after it."""
    known = tmp_path / "known"
    known.mkdir()
    Poscar(COPPER).write_file(known / "metal_Cu_225.vasp")
    lithium = Structure.from_spacegroup("Im-3m", Lattice.cubic(3.5), ["Li"], [[0, 0, 0]])
    Poscar(lithium).write_file(known / "metal_Li_229.vasp")
    arguments = [str(known), "-o", str(campaigns), "--engine", "emt"]

    solve.main([*arguments, "--table-only"])
    assert "2 not finished and left out" in capsys.readouterr().out

    options = ["--config", str(SETTINGS), *SHORT, "--set", "candidates.n_candidates=8"]
    solve.main([*arguments, "--", *options])
    document = json.loads((campaigns / "solve.json").read_text())
    copper, lithium_row = document["rows"]
    # effective medium theory hardly tells the close packings apart
    assert copper["verdict"]["difference"] < 1.0
    assert copper["verdict"]["solved"]
    assert copper["structures_relaxed"] == 8
    assert copper["cpu"] > 1.0
    assert "emt does not know Li" in lithium_row["failure"]
    assert document["summary"]["failed"] == 1
    assert "metal_Cu_225" in (campaigns / "solve.md").read_text()
    folder = campaigns / "metal_Cu_225-0"
    assert is_finished(folder)

    times = Times.of(folder)
    solve.main([str(known / "metal_Cu_225.vasp"), *arguments[1:], "--mode", "random"])
    assert Times.of(folder) == times
    (row,) = json.loads((campaigns / "solve-random.json").read_text())["rows"]
    assert row["structures_relaxed"] == copper["structures_relaxed"]
    assert row["relaxations_by_engine"] <= copper["relaxations_by_engine"]
    summary = json.loads((campaigns / "metal_Cu_225-0-random/search/summary.json").read_text())
    assert {one["operator"] for one in summary["best"]} == {"random"}
