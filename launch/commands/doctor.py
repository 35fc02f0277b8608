"""``devitrify doctor``: whether a cluster's configuration is fit to run campaigns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.options import command_of
from launch.errors import CampaignError

if TYPE_CHECKING:
    from launch.cluster.configuration import Configuration


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """What ``devitrify doctor`` is told."""

    folder: Annotated[
        Path | None, typer.Option("--folder", "-f", help="Default: ~/.config/devitrify.")
    ] = None
    formula: Annotated[str | None, typer.Option(help="Look for the POTCARs of its elements.")] = (
        None
    )
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Create the database's counters and indexes.")
    ] = False


@command_of(DoctorOptions)
def doctor(options: DoctorOptions) -> None:
    """Check a cluster's configuration and say how to mend what is amiss."""
    from rich.markup import escape
    from rich.table import Table

    from launch.cluster.configuration import Configuration
    from launch.cluster.doctor import examine
    from launch.report.files import wide_console
    from workflows.composition import parse_target

    if options.formula is not None:
        parse_target(options.formula, None, "")  # raises if it is no formula
    configuration = Configuration.find(options.folder)
    if options.prepare:
        _prepare(configuration)
    checks = examine(configuration, options.formula)
    table = Table(title=str(configuration.folder), title_justify="left")
    for heading in ("", "state", "found", "to mend it"):
        table.add_column(heading, overflow="fold")
    colours = {"ok": "green", "warning": "yellow", "failed": "red"}
    for check in checks:
        state = f"[{colours[check.state]}]{check.state}[/]"
        table.add_row(check.name, state, escape(check.finding), escape(check.mend))
    wide_console().print(table)
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


def _prepare(configuration: Configuration) -> None:
    """Prepare the database; if it does not answer, the checks say so."""
    from contextlib import suppress

    from pymongo.errors import ConnectionFailure, OperationFailure

    from launch.database.indexes import prepare as prepare_launchpad

    try:
        with suppress(ConnectionFailure), configuration.connected() as pad:
            prepare_launchpad(pad)
    except OperationFailure as error:
        raise CampaignError(
            f"The database of {configuration.folder} cannot be prepared (error {error.code}): "
            "its user needs the role readWrite on it."
        ) from None
