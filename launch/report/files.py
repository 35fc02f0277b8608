"""The files and tables that a campaign leaves for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from launch.own_files import FOLDER_MODE, file_name, require_no_links
from launch.report.crystals import RELAXED_FOLDER, write_crystal
from launch.report.hull import (
    MOST_ROWS,
    USUAL_WINDOW,
    at_each_pressure,
    hull_csv,
    hull_table,
    placed,
)
from launch.report.pressure import at_pressure
from nnp.storage.files import write_atomically

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from launch.report.campaign_results import CampaignResults
    from launch.report.known import PhaseFound
    from workflows.documents.prediction import CandidateDocument, PredictionDocument

#: Where a structure came from, by whether a known structure type was among its ancestors.
ORIGINS = {False: "nothing", True: "prototype"}
#: Of the formula units of the primitive cell, with those of the conventional one in brackets.
Z_HEADING = "Z\n(conv.)"
#: What a report writes in the campaign's folder.
WRITTEN = (
    "frames.extxyz", "potential.nnp", "ranking.txt", "hull.csv", "summary.json", "structures",
    "plots",
    "judge", "judge.json", "judge.csv", "report.html",
)  # fmt: skip


def write_report(
    results: CampaignResults,
    folder: Path,
    window: float | None = USUAL_WINDOW,
    figures: bool = True,
) -> list[Path]:
    """
    Write structures, potential, frames, figures and a summary; what there is of them.

    Parameters
    ----------
    results : CampaignResults
        Of a finished or unfinished campaign.
    folder : Path
        The campaign's folder.
    window : float or None
        Of a system: meV/atom above the hull up to which structures are written; none: all.
    figures : bool
        Whether to draw them, too.

    Returns
    -------
    list of Path
        What was written.
    """
    from launch.report.judge import write_points
    from workflows.documents.judge import JudgeDocument
    from workflows.documents.prediction import PredictionDocument
    from workflows.documents.training import TrainingDocument

    require_no_links(folder, *WRITTEN)
    known = results.known_phases()
    written = []
    if (frames := results.frames()) is not None:
        frames.write(folder / "frames.extxyz")
        written.append(folder / "frames.extxyz")
    if (training := results.newest(TrainingDocument)) is not None:
        training.potential.save(folder / "potential.nnp")
        written.append(folder / "potential.nnp")
    if (prediction := results.newest(PredictionDocument)) is not None:
        written += write_structures(prediction, folder / "structures", window)
        written.append(_write_table(prediction, known, folder / "ranking.txt"))
        if prediction.hulls:
            write_atomically(folder / "hull.csv", hull_csv(prediction))
            written.append(folder / "hull.csv")
    if (judged := results.newest(JudgeDocument)) is not None:
        written += write_points(judged, folder)
    if figures:
        # their figures are drawn, and those of judge
        from launch.report import hull_plot, phase_plot, plots, training_plots  # noqa: F401
        from launch.report.figures import write_plots

        written += write_plots(results, folder / "plots")
    summary = summarise(results, known)
    write_atomically(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    return [*written, folder / "summary.json"]


def write_structures(
    prediction: PredictionDocument, folder: Path, window: float | None = USUAL_WINDOW
) -> list[Path]:
    """
    Write two CIFs a candidate, named by rank, formula, Z of the primitive cell and space group.

    That in `folder` has the symmetry, in the conventional setting; that in its folder ``relaxed``
    is as the relaxation left it. Where there are several pressures, those of each are in a folder
    of its own, ``10GPa`` for example. Of a system they are those found and known up to so many
    meV/atom above the hull; none: all.
    """
    folder.mkdir(exist_ok=True, mode=FOLDER_MODE)
    paths = []
    shown = prediction.candidates
    if prediction.hulls:
        shown = [one.crystal for one in placed(prediction, window)]
    for candidate in shown:
        own = folder_of(folder, candidate.pressure) if prediction.pressures else folder
        own.mkdir(exist_ok=True, mode=FOLDER_MODE)
        first = f"{candidate.rank:02d}" if candidate.rank else f"known_{candidate.known}"
        parts = (first, candidate.formula, f"Z{candidate.formula_units}")
        path = own / f"{file_name(*parts, candidate.space_group)}.cif"
        paths += write_crystal(
            path, candidate.structure, candidate.relaxed, candidate.symmetry_tolerance
        )
    written = ("*.cif", f"{RELAXED_FOLDER}/*.cif")
    patterns = [*written, *(f"*GPa/{pattern}" for pattern in written)]
    for old in {file for pattern in patterns for file in folder.glob(pattern)}.difference(paths):
        old.unlink(missing_ok=True)  # another command may write the same report
    return paths


def folder_of(folder: Path, pressure: float) -> Path:
    """Folder of the structures at one of several pressures (kbar)."""
    from search.relax.pressure import in_gpa

    return folder / in_gpa(pressure).replace(" ", "")


def wide_console(file: TextIO | None = None) -> Console:
    """Console that never folds the ranking: where nobody watches there is no width to keep to."""
    from rich.console import Console

    console = Console(highlight=False, file=file)
    return console if console.is_terminal else Console(highlight=False, file=file, width=120)


def ranking_table(prediction: PredictionDocument, most: int | None = None) -> Table:
    """
    Tabulate the ranked structures.

    Parameters
    ----------
    prediction : PredictionDocument
        Ranked structures. Without a potential, as when the reference engine itself has searched,
        there is no column of its energies; at a pressure there is one of enthalpies before them.
        Where known structure types were put in, a column says what came from them; where there are
        magnetic moments, one has their magnitudes by element.
    most : int or None
        Rows at the most; none: all.
    """
    from rich.table import Table

    from workflows.stages.ranking import potential_of

    has_prototypes = any(c.of_prototype for c in prediction.candidates)
    has_moments = any(c.magnetic_moments for c in prediction.candidates)
    has_potential = any(potential_of(c) is not None for c in prediction.candidates)
    ranked_by = "enthalpy" if prediction.pressure else "energy"
    table = Table(
        title=f"{prediction.formula}: crystal structures by {prediction.engine} {ranked_by}"
        f"{at_pressure(prediction.pressure)}"
    )
    for heading, justify in (
        ("rank", "right"), ("motif", "right"), ("formula", "left"), (Z_HEADING, "right"),
        ("space group", "left"), ("within\nÅ", "right"),
        *([("enthalpy\neV/atom", "right")] if prediction.pressure else []),
        (f"{prediction.engine}\neV/atom", "right"),
        *([("NNP\neV/atom", "right")] if has_potential else []),
        ("above best\nmeV/atom", "right"), ("density\ng/cm³", "right"),
        ("volume\nÅ³/atom", "right"), *([("moments\nμB", "left")] if has_moments else []),
        *([("from", "left")] if has_prototypes else []),
    ):  # fmt: skip
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    if prediction.candidates:
        told = [motifs_in_words(prediction), *(f"{note}." for note in prediction.notes)]
        table.caption = "\n".join(filter(None, told)) or None
    for candidate in prediction.candidates[:most]:
        energies = [_or_empty(candidate.enthalpy, ".4f")] if prediction.pressure else []
        energies.append(_or_empty(candidate.energy, ".4f"))
        energies += [_or_empty(potential_of(candidate), ".4f")] if has_potential else []
        origin = [ORIGINS[candidate.of_prototype]] if has_prototypes else []
        moments = [moments_in_words(candidate.magnetic_moments)] if has_moments else []
        table.add_row(*_row(candidate, energies), *moments, *origin)
    return table


def ranking_tables(prediction: PredictionDocument, most: int | None = None) -> list[Table]:
    """
    Tabulate the ranked structures; of several pressures each, and the phases and transitions.

    Parameters
    ----------
    prediction : PredictionDocument
        Ranked structures.
    most : int or None
        Rows of a ranking at the most; none: all.
    """
    from launch.report.phases import phase_table, transition_table

    if prediction.hulls:
        return [hull_table(one, most or MOST_ROWS) for one in at_each_pressure(prediction)]
    tables = [ranking_table(one, most) for one in prediction.by_pressure()]
    if not prediction.pressures:
        return tables
    for table in tables[:-1]:  # what is said of the compound is said once
        table.caption = None
    return [*tables, phase_table(prediction), transition_table(prediction)]


def motifs_in_words(prediction: PredictionDocument) -> str | None:
    """Say how many local structures the ranking has; None if an earlier ranking does not tell."""
    motifs = {candidate.motif for candidate in prediction.candidates}
    if None in motifs:
        return None
    n = len(prediction.candidates)
    return f"{n} structure{'s' * (n > 1)} of {len(motifs)} motif{'s' * (len(motifs) > 1)}"


def moments_in_words(moments: Mapping[str, Sequence[float]] | None) -> str:
    """
    Magnitudes of magnetic moments by element, those of a tenth of a μB or more.

    Examples
    --------
    >>> moments_in_words({"Fe": [3.71, 4.12], "O": [0.02, 0.04]})
    'Fe 3.7-4.1'
    """
    spans = {
        symbol: (f"{low:.1f}", f"{high:.1f}") for symbol, (low, high) in (moments or {}).items()
    }
    return ", ".join(
        f"{symbol} {low if low == high else f'{low}-{high}'}"
        for symbol, (low, high) in spans.items()
        if high != "0.0"
    )


def units_in_words(primitive: int, conventional: int | None) -> str:
    """Formula units of the primitive cell, and in brackets of the conventional one if known."""
    return str(primitive) if conventional is None else f"{primitive} ({conventional})"


def _row(candidate: CandidateDocument, energies: list[str]) -> list[str]:
    return [
        f"{candidate.rank}{'' if candidate.converged else ' *'}",
        _or_empty(candidate.motif, "d"),
        candidate.formula,
        units_in_words(candidate.formula_units, candidate.conventional_units),
        f"{candidate.space_group} ({candidate.space_group_number})",
        _or_empty(candidate.symmetry_tolerance, "g"),
        *energies,
        _or_empty(candidate.energy_above_best, ".1f"),
        f"{candidate.density:.2f}",
        f"{candidate.volume:.2f}",
    ]


def _or_empty(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _write_table(prediction: PredictionDocument, known: Sequence[PhaseFound], path: Path) -> Path:
    """Write the ranking, and what is known beside it, as plain text."""
    from io import StringIO

    from launch.report.known import known_table

    text = StringIO()
    console = wide_console(text)
    for table in ranking_tables(prediction):
        console.print(table)
    if known:
        console.print(known_table(known, prediction))
    if any(not candidate.converged for candidate in prediction.candidates):
        console.print("* not relaxed to the thresholds within the steps allowed")
    write_atomically(path, text.getvalue())
    return path


def summarise(results: CampaignResults, known: Sequence[PhaseFound] = ()) -> dict[str, object]:
    """Sum up the campaign, and known phases beside it, in a few numbers, as JSON types."""
    summary: dict[str, object] = {"campaign": results.campaign, "warnings": results.warnings()}
    for _, document in results.documents():
        summary |= document.summary()
    if melts := results.melts():
        # else it would be left to chance which of them is told
        summary = {key: value for key, value in summary.items() if key not in melts[0]}
        summary["melts"] = melts
    if known:
        summary["known_phases"] = [
            {
                "label": one.phase.label,
                "space_group": one.phase.crystal.space_group,
                "energy": one.phase.crystal.energy,
                "above_best_meV_atom": one.above_best,
                "found_as_rank": one.rank,
            }
            for one in known
        ]
    return summary
