"""The paper's figures, the page's headline figures computed anew, and the whole path at once."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from tests.benchmarks.paper import main
from tests.benchmarks.paper_numbers import COMPOUNDS, RETRAINING, SECONDS_PER_GENERATION
from tests.benchmarks.paper_page import DATA, read_headlines, set_name
from tests.benchmarks.paper_sections import section
from tests.benchmarks.paper_steps import Reproduction, Step, StepFailedError, perform
from tests.benchmarks.paper_tables import NAMES, Kept

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reproduction.md"
REFERENCE = ROOT.parent / "shared" / "reference" / "paper.json"
HEADLINES = read_headlines(PAGE.read_text())


def test_the_papers_figures() -> None:
    """They agree with another reading of the paper."""
    if not REFERENCE.exists():
        pytest.skip("another reading of the paper is not beside this checkout")
    other = json.loads(REFERENCE.read_text())
    for formula, theirs in other["compounds"].items():
        ours = COMPOUNDS[formula]
        assert (ours.pearson, ours.rmse) == (theirs["pearson_below_200meV"],
                                             theirs["rmse_meV_per_atom"])  # fmt: skip
        assert ours.lowest_by_reference == theirs["lowest_dE_DFT_uspex_meV"]
        assert ours.lowest_by_potential == theirs["lowest_dE_NNP_uspex_meV"]
        assert (ours.space_group, ours.z, ours.cutoff) == (
            theirs["space_group"], theirs["Z"], theirs["cutoff_eV"])  # fmt: skip
        assert ours.melting_temperature == theirs["T_m_K"]
        assert ours.experimental_melting_temperature == theirs["T_m_exp_K"]
    assert RETRAINING["candidates"] == other["retraining_Ba2AgSi3"]["candidates_added"]
    assert RETRAINING["pearson_after"] == other["retraining_Ba2AgSi3"]["pearson_after"]
    for formula, seconds in other["cost"]["seconds_per_generation"].items():
        assert SECONDS_PER_GENERATION[formula] == (seconds["NNP"], seconds["DFT"])


@pytest.mark.parametrize("row", HEADLINES, ids=lambda row: f"{row['compound']}-{row['scale']}")
def test_headline_figures(row: dict[str, str]) -> None:
    """The page's figures follow from the energies that are stored, by other code than made them."""
    (step,) = [step for step, name in NAMES.items() if name == row["potential"]]
    scale, engine = row["scale"].split(", ")
    path = DATA / f"judging_{set_name(row['compound'], engine, scale, step)}.csv"
    with path.open() as file:
        points = list(csv.DictReader(file))
    lowest = min(float(p["reference_energy"]) for p in points if p["in_training"] == "False")
    judged = [p for p in points if p["in_training"] == "False"]
    reference = 1e3 * (np.array([float(p["reference_energy"]) for p in judged]) - lowest)
    potential = 1e3 * (np.array([float(p["potential_energy"]) for p in judged]) - lowest)
    near = reference <= 200.0
    assert int(row["n"]) == near.sum()
    error = potential[near] - reference[near]
    assert float(row["RMSE"]) == pytest.approx(np.sqrt(np.mean(error**2)), abs=0.051)
    for heading, correlation in (("r", pearsonr), ("rank correlation", spearmanr)):
        found = correlation(reference[near], potential[near]).statistic
        assert float(row[heading]) == pytest.approx(found, abs=5.1e-4)
    paper = COMPOUNDS[row["compound"]]
    assert (float(row["r (paper)"]), float(row["RMSE (paper)"])) == (paper.pearson, paper.rmse)


def test_the_page_has_headline_figures() -> None:
    assert HEADLINES


def test_a_section_of_nothing() -> None:
    text = section(Kept(COMPOUNDS["InTe2O5F"], {}, command="the command"))
    assert "C222_1" in text
    assert "Nothing has been computed yet." in text


def test_steps_of_the_paper() -> None:
    """The first potential is judged before it learns on, and copied before that."""
    work = Reproduction("Ba2AgSi3", "chgnet", "paper", Path("out"), (Path("Ba2AgSi3_Fddd.vasp"),))
    names = [step.name for step in work.steps()]
    assert names.index("judge first") < names.index("copy for the melt") < names.index("learnt")
    assert [name for name in names if name.startswith("z")] == ["z1", "z2", "z4", "z8"]
    words = next(step.words for step in work.steps() if step.name == "learnt")
    assert "--protocol" in words
    assert "--set=improve.relaxations=22" in words
    judge = next(step.words for step in work.steps() if step.name == "judge learnt")
    assert judge == next(step.words for step in work.steps() if step.name == "judge first")


@pytest.mark.slow
def test_steps_go_on(tmp_path: Path) -> None:
    """A command that fails is told and tried again; what has ended is not run again."""
    ended: list[str] = []
    good = Step("good", tmp_path / "good", ("protocol", "paper"))
    bad = Step("bad", tmp_path / "bad", ("protocol", "nothing"))
    for _ in range(2):
        with pytest.raises(StepFailedError, match=r"bad ended with status .*bad\.log"):
            perform([good, bad], tmp_path / "done", lambda step: ended.append(step.name))
    assert ended == ["good"]
    assert "quench.rate" in (tmp_path / "good.log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # six commands, minutes even where nothing else runs
def test_the_whole_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All steps by a pair potential: every section has figures; a second call runs nothing."""
    words = ["LiAlCl4", "--engine", "pair", "--scale", "tiny", "-o", str(tmp_path)]
    main(words)
    capsys.readouterr()
    main(words)
    text = capsys.readouterr().out
    assert "judge" not in text.splitlines()[0]  # no step is announced
    # but for what this scale leaves out
    for left_out in ("There is no learning curve yet.", "| protocol `quick` | – | not yet |"):
        text = text.replace(left_out, "")
    assert not re.search(r"\b(yet|nan)\b", text)
    for heading in ("II.A", "II.B", "III.B", "III.C", "III.D"):
        assert f"### {heading}" in text
    assert "`pack.n_atoms` 12 (paper's 100)" in text
    judged = json.loads((tmp_path / "LiAlCl4-pair-tiny/facts/judge-learnt.json").read_text())
    # the same crystals by both potentials: nothing is relaxed again by the engine
    first = json.loads((tmp_path / "LiAlCl4-pair-tiny/facts/judge-first.json").read_text())
    energies = [{p["label"]: p["reference_energy"] for p in one["judge"]["points"]}
                for one in (first, judged)]  # fmt: skip
    assert energies[0] == energies[1]
    assert judged["judge"]["earlier"]  # the potential of before the round, and those of any between
