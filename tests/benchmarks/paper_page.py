"""The page of all compounds: introduction, headline figures, sections; and what the test needs."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from nnp.storage.files import write_atomically
from tests.benchmarks.paper_facts import PLOTS, Facts, kept
from tests.benchmarks.paper_numbers import COMPOUNDS
from tests.benchmarks.paper_tables import NAMES, number, table, window_row

#: Where judging sets are kept for the test that computes the headline figures anew.
DATA = Path(__file__).with_name("data")
#: Columns of such a set.
COLUMNS = ("label", "origin", "reference_energy", "potential_energy", "relaxed_energy",
           "in_training")  # fmt: skip
HEADINGS = (
    "compound", "potential", "scale", "n", "r (paper)", "r", "rank correlation", "RMSE (paper)",
    "RMSE", "judged by", "known phase lowest: before, after", "commit",
)  # fmt: skip
#: Bytes; a larger figure is left out of the page.
LARGEST_FIGURE = 200_000
CAPTIONS = {
    "judge": "NNP against engine, before and after relaxing (the paper's Fig. 2)",
    "judge_coverage": "environments by element (Fig. 3)",
    "judge_rounds": "first and last potential on the same crystals (Fig. 5)",
    "learning_curve": "learning curve",
    "melting_temperature": "mean-square displacements",
}
#: What of the page is written by hand stands beside it.
INTRODUCTION = Path(__file__).with_name("paper_introduction.md")


def write_page(folders: Sequence[Path], out: Path) -> None:
    """
    Write the page, its figures and the judging sets of the test.

    Parameters
    ----------
    folders : sequence of Path
        Of compounds, as ``python -m tests.benchmarks.paper COMPOUND`` leaves them.
    out : Path
        The page, in the folder of the documentation.
    """
    rows, sections = [], []
    for folder in folders:
        facts = kept(list(NAMES), folder / "facts")
        for name, found in facts.items():
            if found["judge"]:
                rows.append(headline(found, name, folder.name))
                own = _own_name(found, name, folder)
                write_set(found["judge"], DATA / f"judging_{own}.csv")
        text = (folder / "section.md").read_text().rstrip()
        sections.append("\n\n".join([text, *_figures(folder, facts, out.parent)]))
    head = table(HEADINGS, rows) if rows else "Nothing has been judged yet."
    begun = {folder.name.split("-")[0] for folder in folders}
    missing = [formula for formula in COMPOUNDS if formula not in begun]
    left = f"Not computed yet: {', '.join(missing)}." if missing else ""
    introduction = INTRODUCTION.read_text().rstrip().replace("HEADLINE", head)
    page = "\n\n".join([introduction.replace("MISSING", left), *sections])
    write_atomically(out, page + "\n")


def scale_of(facts: Facts, step: str, folder: str) -> str:
    """Scale of a campaign, the last word of its compound's folder; of the default its protocol."""
    return str(facts["protocol"]) if step == "judge-default" else folder.rsplit("-", 1)[1]


def set_name(formula: str, engine: str, scale: str, step: str) -> str:
    """Name of a judging set."""
    return f"{formula}-{engine}-{scale}-{step.removeprefix('judge-')}"


def _own_name(facts: Facts, step: str, folder: Path) -> str:
    scale = scale_of(facts, step, folder.name)
    return set_name(facts["formula"], facts["engine"], scale, step)


def headline(facts: Facts, step: str, folder: str) -> tuple[str, ...]:
    """
    Return the headline figures of a judgement.

    Parameters
    ----------
    facts : dict
    step : str
        After which they were kept.
    folder : str
        Name of the compound's folder, which ends with the scale.
    """
    judge, paper = facts["judge"], COMPOUNDS[facts["formula"]]
    row, lowest = window_row(judge["single_points"]), judge["lowest"]
    phase = lowest["known_phase"]
    is_lowest = (
        "–" if phase is None or lowest[key] is None else "yes" if lowest[key] == phase else "no"
        for key in ("potential", "potential_relaxed")
    )
    scale = scale_of(facts, step, folder)
    return (
        paper.formula, NAMES[step], f"{scale}, {facts['engine']}", f"{row['n']:.0f}",
        number(paper.pearson, ".3f"), number(row["pearson"], ".3f"),
        number(row["spearman"], ".3f"), number(paper.rmse), number(row["rmse"]),
        judged_by(judge), ", ".join(is_lowest), ", ".join(facts["commits"]),
    )  # fmt: skip


def judged_by(judge: Facts) -> str:
    """Say where the crystals of a judging set come from."""
    origins = {point["origin"] for point in judge["points"] if not point["in_training"]}
    words = {
        "search": "search by the engine", "candidate": "own candidates",
        "known": "known phases", "random": "random crystals",
    }  # fmt: skip
    return ", ".join(what for origin, what in words.items() if origin in origins)


def write_set(judge: Facts, path: Path) -> None:
    """Keep the energies of a judging set as CSV, eV/atom."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for point in judge["points"]:
        writer.writerow(
            {name: f"{value:.7f}" if isinstance(value, float) else value
             for name, value in point.items()}
        )  # fmt: skip
    write_atomically(path, text.getvalue())


def _figures(folder: Path, facts: dict[str, Facts], docs: Path) -> list[str]:
    """Copy the figures of a compound beside the page, and show them in it."""
    shown = []
    for step in facts:
        for plot in PLOTS:
            source = folder / "facts" / f"{step}-{plot}.png"
            if not source.exists() or source.stat().st_size >= LARGEST_FIGURE:
                continue
            own = _own_name(facts[step], step, folder)
            name = f"paper-{own}-{plot.replace('_', '-')}.png"
            (docs / "images").mkdir(exist_ok=True)
            shutil.copyfile(source, docs / "images" / name)
            commits = ", ".join(facts[step]["commits"])
            shown.append(
                f"![{CAPTIONS[plot]}](images/{name})\n\n"
                f"{NAMES[step]}: {CAPTIONS[plot]}; commit {commits}."
            )
    return shown


def read_headlines(page: str) -> list[dict[str, str]]:
    """
    Read the table of headline figures of a page.

    Parameters
    ----------
    page : str
        Its text.

    Returns
    -------
    list of dict
        Rows by their headings.
    """
    lines = page.splitlines()
    start = next((k for k, line in enumerate(lines) if line.startswith("| compound |")), None)
    if start is None:
        return []
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(HEADINGS, (c.strip() for c in line.strip("|").split("|")),
                             strict=True)))  # fmt: skip
    return rows
