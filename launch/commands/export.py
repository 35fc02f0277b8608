"""``devitrify export``: campaigns as a file, to share, to publish or to go on with elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.campaign_results import read_store
from launch.commands.shared.options import CampaignDatabase, ConfigurationFolder, command_of
from launch.commands.shared.output_files import require_writable
from launch.errors import CampaignError

if TYPE_CHECKING:
    from launch.cluster.configuration import Configuration
    from launch.report.shared_rankings import SharedRanking
    from launch.transfer.exporting import Source

#: The whole campaign; all other formats are of its ranking.
ARCHIVE = "zip"
FORMATS = ("ase-db", "optimade-jsonl", "json", "csv", ARCHIVE)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What ``devitrify export`` is told."""

    campaigns: Annotated[
        list[str],
        typer.Argument(help="Folders, or names of campaigns in the cluster's database."),
    ]
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")]
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = ARCHIVE
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if there is one.")
    ] = False
    db: CampaignDatabase = None
    config: ConfigurationFolder = None

    @property
    def names(self) -> list[str]:
        """Those of the campaigns that are in the cluster's database."""
        return [typed for typed in self.campaigns if not _is_folder(typed)]


@command_of(ExportOptions)
def export(options: ExportOptions) -> None:
    """Write CAMPAIGNS to a file: all there is (zip), or their rankings."""
    if options.form not in FORMATS:
        raise CampaignError(f"--format takes {', '.join(FORMATS)}, not {options.form!r}.")
    if len(set(options.campaigns)) != len(options.campaigns):
        raise CampaignError("A campaign is named twice.")
    if options.output.exists() and not options.overwrite:
        raise CampaignError(
            f"{options.output} is there already: name another file with -o, or replace it with "
            "--overwrite."
        )
    if options.form == ARCHIVE:
        _export_all(options)
    else:
        _export_rankings(options)


def _export_all(options: ExportOptions) -> None:
    """Write an archive, and say what is in it."""
    from launch.transfer.exporting import export_archive, require_zip

    require_zip(options.output)
    require_writable(options.output)
    with ExitStack() as stack:
        manifest = export_archive(_sources(options, stack), options.output)
    for entry in manifest.campaigns:
        typer.echo(
            f"{entry.name}: {entry.finished} of {entry.fireworks} jobs finished, "
            f"{entry.outputs} outputs, {entry.blobs} blobs"
        )
    typer.echo(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")
    typer.echo(f"checksum {manifest.checksum}")


def _export_rankings(options: ExportOptions) -> None:
    """Write rankings, and say how many structures there are."""
    from launch.report.shared_rankings import write_rankings

    require_writable(options.output)
    rankings = list(_rankings(options))
    write_rankings(rankings, options.form, options.output)
    number = sum(len(ranking.records) for ranking in rankings)
    typer.echo(f"{options.output}: {number} structures of {len(rankings)} campaigns")
    typer.echo(f"SHA-256 {_digest(options.output)}")


def _sources(options: ExportOptions, stack: ExitStack) -> list[Source]:
    """Open what is to be exported, in the order in which it was named."""
    from launch.local.campaign import Campaign
    from launch.transfer.exporting import source_in_folder, sources_in_database

    found: dict[str, Source] = {}
    if options.names:
        configuration = _configuration(options)
        opened = stack.enter_context(sources_in_database(configuration, options.names))
        found |= zip(options.names, opened, strict=True)
    for typed in options.campaigns:
        if typed not in found:
            campaign = Campaign.open(typed)
            found[typed] = stack.enter_context(source_in_folder(campaign, options.db))
    return [found[typed] for typed in options.campaigns]


def _rankings(options: ExportOptions) -> Iterator[SharedRanking]:
    """Read the rankings, in the order in which the campaigns were named."""
    from launch.local.campaign import Campaign
    from launch.report.results import Results
    from launch.report.shared_rankings import read_ranking

    with ExitStack() as stack:
        shared = None
        if options.names:
            shared = stack.enter_context(Results.open(_configuration(options).folder))
        for typed in options.campaigns:
            if _is_folder(typed):
                campaign = Campaign.open(typed)
                read = partial(read_ranking, campaign=campaign.id)
                yield read_store(campaign, options.db, read)
            elif shared is not None:
                yield read_ranking(shared.store, typed)


def _configuration(options: ExportOptions) -> Configuration:
    """
    Find the configuration of the cluster whose database has the campaigns that are no folders.

    Raises
    ------
    CampaignError
        If there is none: then it is more likely that a folder was meant.
    """
    from launch.cluster.configuration import Configuration

    try:
        return Configuration.find(options.config)
    except CampaignError as error:
        raise CampaignError(
            f"There is no campaign in a folder {options.names[0]}, and no database to look for "
            f"one of that name: {str(error)[:1].lower()}{str(error)[1:]}"
        ) from None


def _is_folder(typed: str) -> bool:
    """Whether a folder is meant; a name that is no folder is a campaign of a database."""
    from launch.local.campaign import CAMPAIGN_FILE

    return (Path(typed) / CAMPAIGN_FILE).exists() or "/" in typed


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
