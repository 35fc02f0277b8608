"""``devitrify import``: campaigns of an archive into a folder, or into a cluster's database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from launch.commands.shared.options import ConfigurationFolder, command_of
from launch.errors import CampaignError
from launch.shell import command_line

if TYPE_CHECKING:
    from launch.transfer.importing import Imported


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What ``devitrify import`` is told."""

    file: Annotated[Path, typer.Argument(help="Archive that devitrify export has written.")]
    folder: Annotated[
        Path | None, typer.Argument(help="New folder; none: into the cluster's database.")
    ] = None
    db: Annotated[
        str | None,
        typer.Option("--db", help="URI of a MongoDB, in place of the folder's own database."),
    ] = None
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Its jobs may run programs that are not devitrify's own."),
    ] = False
    config: ConfigurationFolder = None


@command_of(ImportOptions)
def import_(options: ImportOptions) -> None:
    """Put the campaigns of FILE into FOLDER, or into a cluster's database."""
    from launch.cluster.configuration import Configuration
    from launch.transfer.archive import ArchiveReader
    from launch.transfer.checking import check
    from launch.transfer.importing import import_into_database, import_into_folder

    if options.folder is None and options.db is not None:
        raise CampaignError("--db is for a campaign in a folder: name the folder, too.")
    with ArchiveReader(options.file) as archive:
        found = check(archive, trusted=options.trust)
        if options.folder is not None:
            imported = import_into_folder(found, options.folder, options.db)
        else:
            imported = import_into_database(found, Configuration.find(options.config))
        checksum = archive.manifest.checksum
    for one in imported:
        _tell(one)
    typer.echo(f"checksum {checksum}, verified")


def _tell(imported: Imported) -> None:
    """Say where a campaign is now, and how it goes on."""
    from launch.versions import CAMPAIGN_VERSION

    documents, folder = imported.documents, imported.folder
    where = "in the cluster's database" if folder is None else f"in {folder}"
    numbers = f"{documents.finished} of {len(documents.fireworks)} jobs finished"
    typer.echo(f"{imported.name}: {where}, {numbers}")
    description = imported.description
    if folder is None or description is None or documents.is_complete:
        return
    if description.version == CAMPAIGN_VERSION and description.command:
        command = command_line("devitrify", "run", *description.command, "--folder", folder)
        typer.echo(f"Go on with: {command}")
