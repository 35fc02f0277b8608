"""``devitrify status``: where one campaign is, or all of a cluster's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from launch.commands.shared.options import CampaignDatabase, ConfigurationFolder, command_of
from launch.commands.shared.repeat import repeat


@dataclass(frozen=True, kw_only=True)
class StatusOptions:
    """What ``devitrify status`` is told."""

    folder: Annotated[
        Path | None, typer.Argument(help="Campaign's folder; none: all of the cluster's database.")
    ] = None
    db: CampaignDatabase = None
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False
    again: Annotated[bool, typer.Option("--watch", help="Again and again.")] = False
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=1)] = 30.0
    campaign: Annotated[str | None, typer.Option(help="Only this one of many.")] = None
    size: Annotated[bool, typer.Option("--size", help="How many bytes, and of what.")] = False
    config: ConfigurationFolder = None


@command_of(StatusOptions)
def status(options: StatusOptions) -> None:
    """Tell where the campaign in FOLDER is, or all campaigns of a cluster's database."""
    if options.again:
        repeat(lambda: _show(options, clear=True), options.interval)
    else:
        _show(options)


def _show(options: StatusOptions, clear: bool = False) -> None:
    """Print once, on a terminal in place of what was printed before."""
    from launch.report.files import wide_console

    if options.folder is not None and options.campaign is not None:
        from launch.local.campaign import Campaign

        Campaign.open(options.folder).require_named(options.campaign)
    console = wide_console()
    if clear and console.is_terminal:
        console.clear()
    if options.size:
        _show_size(options)
    elif options.folder is not None:
        _show_folder(options.folder, options.db, options.as_json)
    else:
        _show_all(options)


def _show_size(options: StatusOptions) -> None:
    """Print how many bytes a campaign's folder and its database take, or a cluster's database."""
    import json

    from launch.report.files import wide_console
    from launch.report.sizes import Size, database_sizes, folder_sizes, size_table

    found: dict[str, list[Size]] = {}
    if options.folder is not None:
        from launch.database.connections import launchpad
        from launch.local.campaign import Campaign
        from launch.local.status import read_database

        campaign = Campaign.open(options.folder)

        def look(address: str, running: bool) -> list[Size]:  # noqa: ARG001 (as it is called)
            pad = launchpad(address, campaign.document.database, patience=5.0)
            try:
                return database_sizes(pad.db)
            finally:
                pad.connection.close()

        found["in the database"] = read_database(campaign, options.db, look)
        found[f"in {campaign.folder}"] = folder_sizes(campaign.folder)
    else:
        from launch.cluster.configuration import Configuration

        with Configuration.find(options.config).connected() as pad:
            found["in the database"] = database_sizes(pad.db)
    if options.as_json:
        rows = {title: [size.model_dump() for size in sizes] for title, sizes in found.items()}
        typer.echo(json.dumps(rows, indent=2))
        return
    for title, sizes in found.items():
        wide_console().print(size_table(title, sizes))


def _show_folder(folder: Path, db: str | None, as_json: bool) -> None:
    from launch.local.status import campaign_status
    from launch.report.files import wide_console
    from launch.report.outlook import outlook
    from launch.report.status import print_status

    document = campaign_status(folder, db)
    if as_json:
        typer.echo(document.model_dump_json(indent=2))
    else:
        console = wide_console()
        print_status(document, console)
        for line in outlook(document):
            console.print(line, markup=False)


def _show_all(options: StatusOptions) -> None:
    from rich.markup import escape

    from launch.cluster.configuration import Configuration
    from launch.report.files import wide_console
    from launch.report.overview import overview, overview_table

    with Configuration.find(options.config).connected() as pad:
        found = overview(pad, options.campaign)
    if options.as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    console = wide_console()
    console.print(overview_table(found))
    for failure in found.failures:
        console.print(
            f"[red]failed[/] {escape(failure.stage)}: {escape(failure.name)} "
            f"(Firework {failure.fw_id}): {escape(failure.reason)}"
        )
