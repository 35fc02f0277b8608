"""``devitrify clean``: free what finished jobs and searches have left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.options import CampaignDatabase, ConfigurationFolder, command_of
from launch.errors import CampaignError

if TYPE_CHECKING:
    from pymongo.database import Database

    from launch.database.leftovers import Leftover


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """What ``devitrify clean`` is told."""

    folder: Annotated[
        Path | None, typer.Argument(help="Campaign's folder; none: all of the cluster's database.")
    ] = None
    campaign: Annotated[str | None, typer.Option(help="Only this one of many.")] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
    db: CampaignDatabase = None
    config: ConfigurationFolder = None


@command_of(CleanOptions)
def clean(options: CleanOptions) -> None:
    """Free folders of launches, checkpoints and states of searches that nobody needs any more."""
    if options.folder is not None:
        _clean_folder(options, options.folder)
    else:
        _clean_all(options)


def _clean_folder(options: CleanOptions, folder: Path) -> None:
    from launch.database.connections import launchpad
    from launch.database.leftovers import find_leftovers
    from launch.local.campaign import Campaign

    campaign = Campaign.open(folder)
    campaign.require_named(options.campaign)
    # nobody may run it meanwhile: what is left over now might be needed then
    with campaign.lock(), campaign.database(options.db) as server:
        pad = launchpad(server.uri, campaign.document.database, patience=10.0)
        try:
            _free(find_leftovers(pad.db, campaign.id, campaign.launches), options.yes)
        finally:
            pad.connection.close()


def _clean_all(options: CleanOptions) -> None:
    from launch.cluster.configuration import Configuration
    from launch.database.tally_reading import read_tallies
    from workflows.jobs.site import SiteSettings
    from workflows.yaml_files import read_mapping

    configuration = Configuration.find(options.config)
    site = configuration.folder / "devitrify.yaml"
    settings = SiteSettings.from_dict(read_mapping(site)) if site.exists() else SiteSettings()
    with configuration.connected() as pad:
        names = [tally.campaign for tally in read_tallies(pad.db)]
        if options.campaign is not None:
            if options.campaign not in names:
                raise CampaignError(
                    f"There is no campaign {options.campaign} in the database: "
                    "see devitrify status."
                )
            names = [options.campaign]
        _free(_of_all(pad.db, names, settings.checkpoints), options.yes)


def _of_all(database: Database, names: list[str], checkpoints: Path | None) -> Iterator[Leftover]:
    from launch.database.leftovers import find_leftovers

    for name in names:
        yield from find_leftovers(database, name, checkpoints)


def _free(found: Iterator[Leftover], yes: bool) -> None:
    """Say what can be freed, ask, and free it."""
    from launch.report.sizes import in_words

    leftovers = list(found)
    if not leftovers:
        typer.echo("There is nothing to free.")
        return
    for kind in dict.fromkeys(one.kind for one in leftovers):
        sizes = [one.size for one in leftovers if one.kind == kind]
        typer.echo(f"{kind}: {len(sizes)}, {in_words(sum(sizes))}")
    total = in_words(sum(one.size for one in leftovers))
    if not yes and not typer.confirm(f"Free {total}? Results, potentials and frames stay."):
        typer.echo("Nothing was touched.")
        return
    for one in leftovers:
        one.remove()
    typer.echo(f"{total} freed.")
