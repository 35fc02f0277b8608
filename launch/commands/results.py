"""``devitrify results``: what campaigns have found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from launch.commands.shared.campaign_results import read_store
from launch.commands.shared.options import CampaignDatabase, ConfigurationFolder, command_of
from launch.errors import CampaignError
from launch.own_files import file_name
from launch.report.hull import USUAL_WINDOW
from launch.shell import command_line, open_command

if TYPE_CHECKING:
    from jobflow import JobStore
    from rich.table import Table

    from launch.report.records import CandidateRecord
    from launch.report.results import Results

FORMATS = ("table", "json", "csv", "cif")
#: Where CIF files go, unless it is said where.
CIF_FOLDER = "structures"


@dataclass(frozen=True, kw_only=True)
class ResultsOptions:
    """What ``devitrify results`` is told."""

    folder: Annotated[
        Path | None, typer.Argument(help="Campaign's folder; none: the cluster's database.")
    ] = None
    formula: Annotated[str | None, typer.Option(help="Of one formula only.")] = None
    campaign: Annotated[str | None, typer.Option(help="Of one campaign only.")] = None
    stage: Annotated[str, typer.Option(help="Figures of another stage, e.g. train.")] = "candidates"
    above_best: Annotated[
        float | None, typer.Option(help="meV/atom above the best of its formula.", min=0)
    ] = None
    above_hull: Annotated[
        float | None,
        typer.Option(
            help="Of a system: meV/atom above its convex hull; of structures that are written, too."
            f" Default there: {USUAL_WINDOW:g}.",
            min=0,
        ),
    ] = None
    form: Annotated[str, typer.Option("--format", help="table, json, csv or cif.")] = "table"
    html: Annotated[
        bool, typer.Option("--html", help="Write a page to look at; of a search's folder, too.")
    ] = False
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of CIF files, or of pages from a database."),
    ] = None
    config: ConfigurationFolder = None
    db: CampaignDatabase = None

    @property
    def is_query(self) -> bool:
        """Whether other things are asked for than the ranking."""
        asked = (self.formula, self.campaign, self.above_best)
        usual = (self.stage, self.form) == ("candidates", "table")
        return not usual or any(value is not None for value in asked)


@command_of(ResultsOptions)
def results(options: ResultsOptions) -> None:
    """Print the ranking of the campaign in FOLDER, or of all campaigns in a shared database."""
    from workflows.stages.table import STAGES

    if options.form not in FORMATS:
        raise CampaignError(f"--format takes {', '.join(FORMATS)}, not {options.form!r}.")
    if options.above_best is not None and not math.isfinite(options.above_best):
        raise CampaignError(f"--above-best takes meV/atom, not {options.above_best}.")
    documented = [row.name for row in STAGES.values() if row.document is not None]
    if options.above_hull is not None and not math.isfinite(options.above_hull):
        raise CampaignError(f"--above-hull takes meV/atom, not {options.above_hull}.")
    if options.stage not in documented:
        known = ", ".join(documented)
        raise CampaignError(f"--stage takes {known}, not {options.stage!r}.")
    if options.form == "cif" and options.stage != "candidates":
        raise CampaignError("--format cif is for structures: leave --stage out.")
    if options.html:
        for path in _write_pages(options):
            typer.echo(f"Look at it: {open_command(path)}")
        return
    if options.folder is not None and not options.is_query:
        _report_anew(options.folder, options.db, options.above_hull)
        return
    found = _find(options)
    if options.folder is not None and options.stage != "candidates" and not found:
        raise CampaignError(
            f"The campaign in {options.folder} has no figures of {options.stage}"
            f"{_filters(options)}; see: {command_line('devitrify', 'status', options.folder)}"
        )
    _print(found, options)


def _write_pages(options: ResultsOptions) -> list[Path]:
    """Write the page of a campaign or search in a folder, or of campaigns in a database."""
    from launch.commands.shared.campaign_page import (
        write_folder_page,
        write_pages_of_database,
        write_search_page,
    )
    from launch.local.campaign import CAMPAIGN_FILE
    from launch.report.page.search_folder import is_search
    from launch.report.results import Results

    folder = options.folder
    if folder is None:
        with Results.open(options.config) as results:
            names = [options.campaign] if options.campaign else results.campaigns(options.formula)
            return write_pages_of_database(results, names, options.output or Path())
    if not (folder / CAMPAIGN_FILE).exists() and is_search(folder):
        return [write_search_page(folder)]
    return [write_folder_page(folder, options.db)]


def _report_anew(folder: Path, db: str | None, above_hull: float | None) -> None:
    """Print the ranking of one campaign and write its report anew."""
    from launch.local.campaign import Campaign
    from launch.report.campaign_results import CampaignResults
    from launch.report.files import ranking_tables, wide_console, write_report
    from workflows.documents.prediction import PredictionDocument

    campaign = Campaign.open(folder)

    def write(store: JobStore) -> tuple[list[Path], PredictionDocument | None]:
        found = CampaignResults(store, campaign.id)
        window = USUAL_WINDOW if above_hull is None else above_hull
        return write_report(found, campaign.folder, window), found.newest(PredictionDocument)

    paths, prediction = read_store(campaign, db, write)
    if prediction is None:
        raise CampaignError(
            f"The campaign in {folder} has no ranking yet; see: "
            f"{command_line('devitrify', 'status', folder)}"
        )
    for table in ranking_tables(prediction):
        wide_console().print(table)
    typer.echo(f"{len(paths)} files written in {campaign.folder}")


def _filters(options: ResultsOptions) -> str:
    """Say what is asked for besides a stage; nothing if all there is."""
    given = {"--formula": options.formula, "--campaign": options.campaign}
    named = [f"{name} {value}" for name, value in given.items() if value is not None]
    return f" for {' '.join(named)}" if named else " yet"


def _find(options: ResultsOptions) -> list[Any]:
    """Find what is asked for, in the campaign in a folder or in a cluster's database."""
    from launch.local.campaign import Campaign
    from launch.report.results import Results

    if options.folder is None:
        with Results.open(options.config) as results:
            return _query(results, options)
    campaign = Campaign.open(options.folder)
    campaign.require_named(options.campaign)
    return read_store(campaign, options.db, lambda store: _query(Results(store), options))


def _query(results: Results, options: ResultsOptions) -> list[Any]:
    """Return candidates, or rows of the figures of another stage."""
    if options.stage != "candidates":
        return results.stages(options.stage, options.formula, options.campaign)
    whole = options.form in ("json", "cif")
    found = results.candidates(
        options.formula, options.campaign, options.above_best, structures=whole
    )
    if options.above_hull is None:
        return found
    limit = options.above_hull + 1e-9
    return [one for one in found if one.above_hull is not None and one.above_hull <= limit]


def _print(found: list[Any], options: ResultsOptions) -> None:
    """Print what was found, in the format that is asked for."""
    if options.stage != "candidates":
        _print_rows(found, options.form, options.stage)
    else:
        _print_candidates(found, options)


def _print_candidates(found: Sequence[CandidateRecord], options: ResultsOptions) -> None:
    """Print candidates, or write them where the format is CIF."""
    if options.form == "cif":
        for path in write_cif(found, options.output or Path(CIF_FOLDER)):
            typer.echo(path)
    elif options.form == "table":
        from launch.report.files import wide_console

        wide_console().print(candidate_table(found))
    else:
        from launch.report.records import OF_SYSTEMS, STRUCTURES

        exclude = set(STRUCTURES) if options.form == "csv" else set()
        if not any(record.above_hull is not None for record in found):
            exclude |= OF_SYSTEMS
        rows = [record.model_dump(exclude=exclude) for record in found]
        _print_rows(rows, options.form, options.stage)


def write_cif(records: Sequence[CandidateRecord], folder: Path) -> list[Path]:
    """Write two CIFs a structure, named by campaign, rank and space group."""
    from launch.report.crystals import write_crystal

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for record in records:
        compound = [record.formula] if record.above_hull is not None else []
        parts = (record.campaign, f"{record.rank:02d}", *compound, f"Z{record.formula_units}")
        path = folder / f"{file_name(*parts, record.space_group)}.cif"
        structure, relaxed = record.to_structure(), record.to_relaxed()
        paths += write_crystal(path, structure, relaxed, record.symmetry_tolerance)
    return paths


def candidate_table(records: Sequence[CandidateRecord]) -> Table:
    """Tabulate candidates of several campaigns."""
    from rich.table import Table

    from launch.report.files import Z_HEADING, units_in_words
    from search.relax.pressure import GPA

    table = Table()
    for heading in ("campaign", "rank", "motif", "formula", Z_HEADING, "space group", "engine"):
        numeric = heading in ("rank", "motif", Z_HEADING)
        table.add_column(heading, justify="right" if numeric else "left")
    pressed = any(record.pressure for record in records)
    of_system = any(record.above_hull is not None for record in records)
    under_pressure = ("GPa", "enthalpy\neV/atom") if pressed else ()
    on_hull = ("above hull\nmeV/atom",) if of_system else ()
    for heading in (*under_pressure, "eV/atom", "above best\nmeV/atom", *on_hull, "g/cm³"):
        table.add_column(heading, justify="right")
    for record in records:
        table.add_row(
            record.campaign,
            f"{record.rank}{'' if record.converged else ' *'}",
            "" if record.motif is None else str(record.motif),
            record.formula,
            units_in_words(record.formula_units, record.conventional_units),
            f"{record.space_group} ({record.space_group_number})",
            record.engine,
            *([f"{record.pressure / GPA:g}", _enthalpy(record)] if pressed else []),
            f"{record.energy:.4f}",
            f"{record.energy_above_best:.1f}",
            *([_above_hull(record)] if of_system else []),
            f"{record.density:.2f}",
        )
    return table


def _above_hull(record: CandidateRecord) -> str:
    return "" if record.above_hull is None else f"{record.above_hull:.1f}"


def _enthalpy(record: CandidateRecord) -> str:
    """Enthalpy as a table has it; without a pressure it is the energy."""
    return f"{record.energy if record.enthalpy is None else record.enthalpy:.4f}"


def _print_rows(rows: list[dict[str, Any]], form: str, stage: str) -> None:
    """Print rows of plain values in a format."""
    if form == "json":
        import json

        typer.echo(json.dumps(rows, indent=1))
    elif form == "csv":
        import csv
        import io

        text = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        typer.echo(text.getvalue(), nl=False)
    else:
        from rich.markup import escape
        from rich.table import Table

        from launch.report.files import wide_console

        names = list(dict.fromkeys(name for row in rows for name in row))
        table = Table(title=stage)
        for name in names:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(escape(_short(row.get(name))) for name in names))
        wide_console().print(table)


def _short(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
