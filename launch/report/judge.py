"""What is told of a potential that was judged: table, figures, and a file of the points."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from launch.report.figures import figure_of
from launch.report.pressure import at_pressure
from launch.report.style import COLOURS
from nnp.storage.files import write_atomically
from workflows.documents.judge import JudgeDocument
from workflows.documents.training import SampleDocument, TrainingDocument

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

#: Marker and colour by origin; known phases as the paper has them.
STYLES = {"random": ("^", COLOURS[2]), "search": ("o", COLOURS[0]), "known": ("s", COLOURS[1])}
#: meV/atom above the lowest that figures show, and the window whose figures are in their titles.
SHOWN, TITLED = 500.0, 200.0


def write_points(document: JudgeDocument, folder: Path) -> list[Path]:
    """
    Write the document without its geometries as JSON, and its points as CSV.

    Parameters
    ----------
    document : JudgeDocument
    folder : Path
        The campaign's.

    Returns
    -------
    list of Path
    """
    content = document.model_dump(mode="json", exclude={"frames", "version"})
    for point in content["points"]:
        point.pop("version")
    write_atomically(folder / "judge.json", json.dumps(content, indent=1) + "\n")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(content["points"][0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(content["points"])
    write_atomically(folder / "judge.csv", text.getvalue())
    return [folder / "judge.json", folder / "judge.csv"]


def errors_table(document: JudgeDocument) -> Table:
    """
    Tabulate correlations and errors by window.

    Parameters
    ----------
    document : JudgeDocument
    """
    from rich.table import Table

    table = Table(
        title=f"{document.formula}: NNP against {document.engine}{_enthalpies(document)}, "
        f"{document.n_tested} crystals that training has not seen",
        title_justify="left",
    )
    table.add_column("geometry")
    for heading in (
        "within\nmeV/atom", "n", "Pearson r", "Spearman", "mean error\nmeV/atom",
        "RMSE\nmeV/atom", "MAE\nmeV/atom",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    kinds = [
        (f"{document.engine}, potential of round {number}", earlier.single_points)
        for number, earlier in enumerate(document.earlier, start=1)
    ]
    kinds += [(document.engine, document.single_points), ("relaxed by NNP", document.relaxed)]
    for name, rows in kinds:
        for row in rows:
            table.add_row(
                name, *(_number(row[key], ".0f") for key in ("window", "n")),
                *(_number(row[key], "+.3f") for key in ("pearson", "spearman")),
                _number(row["mean_error"], "+.1f"),
                *(_number(row[key], ".1f") for key in ("rmse", "mae")),
            )  # fmt: skip
        table.add_section()
    return table


def sentences(document: JudgeDocument) -> list[str]:
    """
    Say what the table does not: which structure is the lowest, what stays, what is covered.

    Parameters
    ----------
    document : JudgeDocument
    """
    lowest = document.lowest
    said = [
        f"Lowest by {document.engine}: {lowest['reference']}; by NNP at the same geometries: "
        f"{lowest['potential']}; relaxed by NNP: {lowest['potential_relaxed']}."
    ]
    if lowest["known_phase"] is not None:
        before, after = (
            "is" if lowest[key] == lowest["known_phase"] else "is not"
            for key in ("potential", "potential_relaxed")
        )
        said.append(
            f"The lowest known phase, {lowest['known_phase']}, {before} the lowest of all by NNP "
            f"before relaxation, and {after} after it."
        )
    if document.stays is not None:
        said.append(f"{document.stays:.0%} stay in their minimum when relaxed by NNP.")
    for origin, elements in document.coverage.items():
        listed = ", ".join(f"{element} {share:.0%}" for element, share in elements.items())
        said.append(f"Atoms of {origin} crystals within the training set: {listed}.")
    if document.n_in_training:
        said.append(
            f"{document.n_in_training} more are in the training set and count in no figure."
        )
    return said + [f"Left out or not converged: {failure}." for failure in document.failures]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


@figure_of("judge", JudgeDocument)
def plot_judge(document: JudgeDocument) -> Figure:
    """Energies by the potential against the reference's, before and after relaxing (Fig. 2)."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
    _draw(axes[0], document, [p.potential_energy for p in document.points])
    _title(axes[0], f"at {document.engine} geometries", document.single_points)
    relaxed = [np.nan if p.relaxed_energy is None else p.relaxed_energy for p in document.points]
    _draw(axes[1], document, relaxed)
    _title(axes[1], "relaxed by NNP", document.relaxed)
    axes[0].legend(fontsize=8)
    return figure


@figure_of("judge_rounds", JudgeDocument)
def plot_rounds(document: JudgeDocument) -> Figure | None:
    """The same crystals by the first potential and by the last one (Fig. 5); none if it is one."""
    if not document.earlier:
        return None
    first = document.earlier[0]
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
    _draw(axes[0], document, first.energies)
    _title(axes[0], "first potential", first.single_points)
    _draw(axes[1], document, [p.potential_energy for p in document.points])
    _title(axes[1], "last potential", document.single_points)
    axes[0].legend(fontsize=8)
    return figure


@figure_of("judge_coverage", SampleDocument, TrainingDocument, JudgeDocument)
def plot_test_coverage(
    sample: SampleDocument, training: TrainingDocument, document: JudgeDocument
) -> Figure | None:
    """Environments of the test set among those of the training set, by element (Fig. 3)."""
    from nnp.analysis.coverage import Coverage

    coverage = Coverage.fit(training.potential.functions, sample.frames)
    sets = {
        origin: [
            index
            for index, point in enumerate(document.points)
            if point.origin == origin and not point.in_training
        ]
        for origin in STYLES
    }
    chosen = {origin: document.frames[found] for origin, found in sets.items() if found}
    return coverage.plot(chosen) if chosen else None


def _draw(axis: Axes, document: JudgeDocument, energies: Sequence[float]) -> None:
    """One panel; both energies count from the lowest reference energy, as in the paper."""
    zero = min(point.reference_energy for point in document.points)
    axis.plot([0, SHOWN], [0, SHOWN], color="0.55", linewidth=0.8)
    reaches = [SHOWN / 10]
    for origin, (marker, colour) in STYLES.items():
        found = [
            (1000 * (point.reference_energy - zero), 1000 * (energy - zero))
            for point, energy in zip(document.points, energies, strict=True)
            if point.origin == origin and not point.in_training
        ]
        shown = [pair for pair in found if pair[0] <= SHOWN]
        if shown:
            x, y = np.array(shown).T
            axis.scatter(x, y, s=18, marker=marker, color=colour, alpha=0.7, label=origin,
                         linewidths=0)  # fmt: skip
            reaches += [pair[0] for pair in shown]
    limit = 1.05 * max(reaches)
    axis.set_xlim(-0.03 * limit, limit)
    symbol = "ΔH" if document.pressure else "ΔE"
    axis.set(
        xlabel=f"{symbol} by {document.engine} (meV/atom)", ylabel=f"{symbol} by NNP (meV/atom)",
    )  # fmt: skip


def _enthalpies(document: JudgeDocument) -> str:
    """Say that the energies are enthalpies, and at which pressure, if they are."""
    return f", enthalpies{at_pressure(document.pressure)}" if document.pressure else ""


def _title(axis: Axes, what: str, errors: Sequence[dict[str, float | None]]) -> None:
    """Say which energies they are, and how they agree within the window."""
    row = next((row for row in errors if row["window"] == TITLED), None)
    if row is None or row["rmse"] is None:
        axis.set_title(what)
        return
    r = "" if row["pearson"] is None else f"r {row['pearson']:.3f}, "
    axis.set_title(f"{what}\n< {TITLED:.0f} meV/atom: {r}RMSE {row['rmse']:.1f} meV/atom", size=10)
