"""Campaigns into an archive: documents, blobs, and beside them what people look for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launch.database.blobs import blobs_in
from launch.errors import CampaignError
from launch.local.campaign_document import DESCRIPTION, N_FIRST, CampaignDocument
from launch.transfer.archive import CampaignEntry, Manifest, write_archive
from launch.transfer.documents import (
    BLOBS_FILE,
    BLOBS_FOLDER,
    DESCRIPTION_FILE,
    FILES,
    OUTPUTS_FILE,
    CampaignDocuments,
    find_blobs,
    read_documents,
    read_outputs,
    require_at_rest,
)
from launch.versions import CAMPAIGN_VERSION

if TYPE_CHECKING:
    from launch.cluster.configuration import Configuration
    from launch.local.campaign import Campaign
    from launch.transfer.archive import ArchiveWriter
    from launch.transfer.places import Place

README_FILE = "README.txt"
README = """\
Campaigns of devitrify, crystal structure prediction from a composition.

campaign-*/results/     ranking, structures, frames with energies, forces and stresses, potential
campaign-*/campaign.json    formula, engine, every number of the protocol, versions of programs
campaign-*/*.jsonl, blobs   all documents of the database, in MongoDB's extended JSON
manifest.json           each file with its SHA-256, and the checksum of all

devitrify import FILE.zip FOLDER puts the campaigns into a folder, where they can be looked at and
go on; without FOLDER into the database of a cluster.
"""


@dataclass(frozen=True)
class Source:
    """
    A campaign where it can be read.

    Attributes
    ----------
    place : Place
        The database that it is in.
    name : str
        Of the campaign.
    description : CampaignDocument or None
        What it began with; None where no one has kept that.
    is_held : bool
        Whether nobody can run it now, whatever states its Fireworks were left in.
    """

    place: Place
    name: str
    description: CampaignDocument | None
    is_held: bool = False


@contextmanager
def source_in_folder(campaign: Campaign, uri: str | None) -> Iterator[Source]:
    """
    Open the campaign in a folder for its export; nobody can run it meanwhile.

    Parameters
    ----------
    campaign : Campaign
    uri : str or None
        The MongoDB it was run with, if not the embedded database.
    """
    from launch.database.recovery import recover
    from launch.local.processes import end_orphans
    from launch.transfer.places import opened

    with campaign.lock():
        end_orphans(campaign.folder)
        with campaign.database(uri) as database:
            document = campaign.document
            with opened(database.uri, document.database) as place:
                if document.version == CAMPAIGN_VERSION:  # as its next run would begin
                    recover(place.pad, "the campaign was interrupted")
                yield Source(place, campaign.id, document, is_held=True)


@contextmanager
def sources_in_database(configuration: Configuration, names: list[str]) -> Iterator[list[Source]]:
    """Open campaigns in the database of a cluster for their export."""
    from launch.transfer.places import opened_shared

    with opened_shared(configuration) as place:
        yield [Source(place, name, described(place, name)) for name in names]


def described(place: Place, name: str) -> CampaignDocument | None:
    """Return what a campaign in a shared database began with, if its workflow tells."""
    fields = {f"metadata.{DESCRIPTION}": 1, f"metadata.{N_FIRST}": 1, "nodes": 1}
    own = {"metadata.campaign": name, f"metadata.{DESCRIPTION}": {"$exists": True}}
    workflow = place.pad.workflows.find_one(own, fields)
    if workflow is None:
        return None
    metadata = workflow["metadata"]
    document = CampaignDocument.model_validate_json(metadata[DESCRIPTION])
    document.fw_ids = sorted(workflow["nodes"])[: metadata[N_FIRST]]
    return document


def export_archive(sources: list[Source], path: Path) -> Manifest:
    """
    Write campaigns into an archive.

    Parameters
    ----------
    sources : list of Source
    path : Path
        Of the zip file; replaced once it is whole.

    Raises
    ------
    CampaignError
        If there is no such campaign, its jobs run, or two sources are copies of one campaign.
    """
    names = [source.name for source in sources]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:  # no import takes it
        raise CampaignError(f"The campaign {twice[0]} is named twice, by copies of it.")
    with write_archive(path) as archive:
        archive.add(README_FILE, [README.encode()])
        entries = [
            _add_campaign(archive, source, f"campaign-{number}")
            for number, source in enumerate(sources, start=1)
        ]
        return archive.finish(entries)


def _add_campaign(archive: ArchiveWriter, source: Source, folder: str) -> CampaignEntry:
    documents = read_documents(source.place, source.name)
    if not source.is_held:
        require_at_rest(documents)
    for name, file in FILES.items():
        archive.add_lines(f"{folder}/{file}", getattr(documents, name))
    blobs: dict[str, None] = {}

    def outputs() -> Iterator[dict[str, object]]:
        for output in read_outputs(source.place, source.name):
            blobs.update(dict.fromkeys(blobs_in(output)))
            yield output

    n_outputs = archive.add_lines(f"{folder}/{OUTPUTS_FILE}", outputs())
    n_blobs = _add_blobs(archive, source.place, list(blobs), folder)
    if source.description is not None:
        text = source.description.model_dump_json(indent=1) + "\n"
        archive.add(f"{folder}/{DESCRIPTION_FILE}", [text.encode()])
    _add_results(archive, source, f"{folder}/results")
    own = documents.own_workflow
    return CampaignEntry(
        name=source.name,
        formula=str(own["metadata"].get("formula", "")),
        folder=folder,
        campaign_version=_version(source, documents),
        begun_by=_begun_by(source, documents),
        state=own["state"],
        fireworks=len(documents.fireworks),
        finished=documents.finished,
        launches=len(documents.launches),
        outputs=n_outputs,
        blobs=n_blobs,
    )


def _version(source: Source, documents: CampaignDocuments) -> int | None:
    """Version of a campaign; its own description knows best."""
    if source.description is not None:
        return source.description.version
    found: int | None = documents.own_workflow["metadata"].get("campaign_version")
    return found


def _begun_by(source: Source, documents: CampaignDocuments) -> str | None:
    if source.description is not None:
        return source.description.versions.get("devitrify")
    found: str | None = documents.own_workflow["metadata"].get("begun_by")
    return found


def _add_blobs(archive: ArchiveWriter, place: Place, uuids: list[str], folder: str) -> int:
    """Add the blobs that outputs refer to, as they are, and what GridFS knows of them."""
    files = find_blobs(place, uuids)
    for file in files:
        path = f"{folder}/{BLOBS_FOLDER}/{file['metadata']['blob_uuid']}"
        archive.add(path, iter(place.blobs.get(file["_id"])))
    known = ({"metadata": file["metadata"]} for file in files)
    return archive.add_lines(f"{folder}/{BLOBS_FILE}", known)


def _add_results(archive: ArchiveWriter, source: Source, folder: str) -> None:
    """Add what a report would have, for people; documents of other versions tell nothing here."""
    from launch.report.campaign_results import CampaignResults
    from launch.report.files import write_report
    from workflows.documents.base import DocumentVersionError

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        try:
            write_report(CampaignResults(source.place.store, source.name), place, figures=False)
        except DocumentVersionError:
            return
        for file in sorted(path for path in place.rglob("*") if path.is_file()):
            archive.add_file(f"{folder}/{file.relative_to(place)}", file)


def require_zip(path: Path) -> None:
    """Raise a CampaignError unless a path ends as those of archives do."""
    if path.suffix != ".zip":
        raise CampaignError(f"{path} must end in .zip, as the format zip does.")
