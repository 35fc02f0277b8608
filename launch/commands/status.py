"""``devitrify status``: where one campaign is, or all of a cluster's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.repeat import repeat
from launch.errors import CampaignError

if TYPE_CHECKING:
    from launch.report.overview import Overview


def status(
    folder: Annotated[
        Path | None, typer.Argument(help="Campaign's folder; none: all of the cluster's database.")
    ] = None,
    db: Annotated[
        str | None, typer.Option("--db", help="URI of the campaign's MongoDB, if it has moved.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=1)] = 30.0,
    campaign: Annotated[str | None, typer.Option(help="Only this one of many.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Configuration; default: ~/.config/devitrify.")
    ] = None,
) -> None:
    """Tell where the campaign in FOLDER is, or all campaigns of a cluster's database."""
    from launch.report.files import wide_console

    def show() -> None:
        if folder is not None:
            _show_folder(folder, db, as_json)
        else:
            _show_all(config, campaign, as_json)

    def show_alone() -> None:
        if console.is_terminal:
            console.clear()
        show()

    if watch:
        console = wide_console()
        repeat(show_alone, interval)
    else:
        show()


def _show_folder(folder: Path, db: str | None, as_json: bool) -> None:
    from launch.local.status import campaign_status
    from launch.report.files import wide_console
    from launch.report.status import print_status

    document = campaign_status(folder, db)
    if as_json:
        typer.echo(document.model_dump_json(indent=2))
    else:
        print_status(document, wide_console())


def _show_all(config: Path | None, campaign: str | None, as_json: bool) -> None:
    from rich.markup import escape

    from launch.report.files import wide_console
    from launch.report.overview import overview_table

    found = _read(config, campaign)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    console = wide_console()
    console.print(overview_table(found))
    for failure in found.failures:
        console.print(
            f"[red]failed[/] {escape(failure.stage)}: {escape(failure.name)} "
            f"(Firework {failure.fw_id}): {escape(failure.reason)}"
        )


def _read(config: Path | None, campaign: str | None) -> Overview:
    from pymongo.errors import PyMongoError

    from launch.cluster.configuration import Configuration
    from launch.report.overview import overview

    configuration = Configuration.find(config)
    try:
        pad = configuration.launchpad()
        try:
            return overview(pad, campaign)
        finally:
            pad.connection.close()
    except PyMongoError as error:
        raise CampaignError(
            f"The database of {configuration.folder} does not answer ({type(error).__name__}): "
            "see devitrify doctor."
        ) from None
