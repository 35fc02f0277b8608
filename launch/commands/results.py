"""``devitrify results``: what campaigns have found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from launch.errors import CampaignError

if TYPE_CHECKING:
    from rich.table import Table

    from launch.local.campaign import Campaign
    from launch.report.results import CampaignResults, CandidateRecord

FORMATS = ("table", "json", "csv", "cif")


def results(
    folder: Annotated[
        Path | None, typer.Argument(help="Campaign's folder; none: the cluster's database.")
    ] = None,
    formula: Annotated[str | None, typer.Option(help="Of one formula only.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Of one campaign only.")] = None,
    stage: Annotated[str, typer.Option(help="Figures of another stage, e.g. train.")] = (
        "candidates"
    ),
    above_best: Annotated[
        float | None, typer.Option(help="meV/atom above the best of its formula.", min=0)
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table, json, csv or cif.")] = "table",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the CIF files.")] = Path(
        "structures"
    ),
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration; default: ~/.config/devitrify.")
    ] = None,
    db: Annotated[
        str | None, typer.Option("--db", help="URI of the campaign's MongoDB, if it has moved.")
    ] = None,
) -> None:
    """Print the ranking of the campaign in FOLDER, or of all campaigns in a shared database."""
    if form not in FORMATS:
        raise CampaignError(f"--format takes {', '.join(FORMATS)}, not {form!r}.")
    if folder is not None:
        _of_folder(folder, db)
        return
    _of_database(config, formula, campaign, stage, above_best, form, output)


@contextmanager
def open_results(campaign: Campaign, uri: str | None) -> Iterator[CampaignResults]:
    """Open the results of a campaign in a folder; starts its database if nobody has."""
    from launch.database.connections import job_store
    from launch.report.results import CampaignResults
    from launch.report.status import open_database

    with open_database(campaign, uri) as (address, _):
        store = job_store(address, campaign.document.database)
        try:
            yield CampaignResults(store, campaign.id)
        finally:
            store.close()


def _of_folder(folder: Path, db: str | None) -> None:
    """Print the ranking of one campaign and write its report anew."""
    from launch.local.campaign import Campaign
    from launch.report.files import ranking_table, wide_console, write_report

    campaign = Campaign.open(folder)
    with open_results(campaign, db) as found:
        paths = write_report(found, campaign.folder)
        if found.prediction is None:
            raise CampaignError(
                f"The campaign in {folder} has no ranking yet; see devitrify status {folder}."
            )
        wide_console().print(ranking_table(found.prediction))
    typer.echo(f"{len(paths)} files written in {campaign.folder}")


def _of_database(
    config: Path | None,
    formula: str | None,
    campaign: str | None,
    stage: str,
    above_best: float | None,
    form: str,
    output: Path,
) -> None:
    from pymongo.errors import PyMongoError

    from launch.report.results import STAGE_DOCUMENTS, Results

    if stage not in STAGE_DOCUMENTS:
        raise CampaignError(f"--stage takes {', '.join(STAGE_DOCUMENTS)}, not {stage!r}.")
    if form == "cif" and stage != "candidates":
        raise CampaignError("--format cif is for structures: leave --stage out.")
    try:
        with Results.open(config) as database:
            if stage != "candidates":
                _print_rows(database.stages(stage, formula, campaign), form, stage)
                return
            whole = form in ("json", "cif")
            found = database.candidates(formula, campaign, above_best, structures=whole)
    except PyMongoError as error:
        raise CampaignError(
            f"The database does not answer ({type(error).__name__}): see devitrify doctor."
        ) from None
    if form == "cif":
        for path in write_cif(found, output):
            typer.echo(path)
    elif form == "table":
        from launch.report.files import wide_console

        wide_console().print(candidate_table(found))
    else:
        exclude = {"structure"} if form == "csv" else set()
        rows = [record.model_dump(exclude=exclude) for record in found]
        _print_rows(rows, form, stage)


def write_cif(records: Sequence[CandidateRecord], folder: Path) -> list[Path]:
    """Write one CIF a structure, named by campaign, rank and space group."""
    from pymatgen.io.cif import CifWriter

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for record in records:
        symbol = record.space_group.replace("/", "")
        path = folder / f"{record.campaign}_{record.rank:02d}_Z{record.formula_units}_{symbol}.cif"
        CifWriter(record.to_structure()).write_file(path)
        paths.append(path)
    return paths


def candidate_table(records: Sequence[CandidateRecord]) -> Table:
    """Tabulate candidates of several campaigns."""
    from rich.table import Table

    table = Table()
    for heading in ("campaign", "rank", "formula", "Z", "space group", "engine"):
        table.add_column(heading, justify="right" if heading in ("rank", "Z") else "left")
    for heading in ("eV/atom", "above best\nmeV/atom", "g/cm³"):
        table.add_column(heading, justify="right")
    for record in records:
        table.add_row(
            record.campaign,
            f"{record.rank}{'' if record.converged else ' *'}",
            record.formula,
            str(record.formula_units),
            f"{record.space_group} ({record.space_group_number})",
            record.engine,
            f"{record.energy:.4f}",
            f"{record.energy_above_best:.1f}",
            f"{record.density:.2f}",
        )
    return table


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
