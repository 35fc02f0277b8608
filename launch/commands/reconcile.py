"""``devitrify reconcile``: repair Fireworks whose SLURM job is gone."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.repeat import repeat
from launch.errors import CampaignError

if TYPE_CHECKING:
    from launch.cluster.configuration import Configuration


def reconcile(
    folder: Annotated[
        Path | None, typer.Option("--config", help="Configuration; default: ~/.config/devitrify.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until interrupted.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=1)] = 60.0,
) -> None:
    """Compare RUNNING and RESERVED Fireworks with squeue and repair those whose job is gone."""
    from launch.cluster.configuration import Configuration

    configuration = Configuration.find(folder)
    if watch:
        repeat(lambda: _repair(configuration, quiet=True), interval)
    else:
        _repair(configuration)


def _repair(configuration: Configuration, quiet: bool = False) -> None:
    from pymongo.errors import PyMongoError

    from launch.cluster.reconcile import reconcile as compare

    try:
        pad = configuration.launchpad()
        try:
            repairs = compare(pad, configuration.worker_names())
        finally:
            pad.connection.close()
    except PyMongoError as error:
        raise CampaignError(
            f"The database of {configuration.folder} does not answer ({type(error).__name__}); "
            "nothing was changed: see devitrify doctor."
        ) from None
    for repair in repairs:
        _say(f"Firework {repair.fw_id}: {repair.before} -> {repair.after}, {repair.reason}")
    if not quiet:
        typer.echo(f"{len(repairs)} Fireworks repaired")


def _say(text: str) -> None:
    typer.echo(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}")
