"""Whether an archive holds campaigns as devitrify exports them; nothing is written before."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from launch.errors import CampaignError
from launch.local.campaign_document import DESCRIPTION, CampaignDocument
from launch.transfer.archive import LARGEST_BLOB
from launch.transfer.documents import (
    BLOBS_FILE,
    BLOBS_FOLDER,
    DESCRIPTION_FILE,
    FILES,
    OUTPUTS_FILE,
    CampaignDocuments,
)
from launch.transfer.programs import foreign_objects, foreign_programs
from launch.versions import CAMPAIGN_VERSION, refusal

if TYPE_CHECKING:
    from launch.transfer.archive import ArchiveReader, CampaignEntry


@dataclass(frozen=True)
class Checked:
    """
    A campaign of an archive that has been looked through.

    Attributes
    ----------
    archive : ArchiveReader
    entry : CampaignEntry
        What the manifest says of it.
    documents : CampaignDocuments
        Its workflows, Fireworks and launches.
    description : CampaignDocument or None
        What it began with, if that is known.
    """

    archive: ArchiveReader
    entry: CampaignEntry
    documents: CampaignDocuments
    description: CampaignDocument | None

    def outputs(self) -> Iterator[dict[str, Any]]:
        """Yield its output documents."""
        return self.archive.lines(self.entry.path(OUTPUTS_FILE))

    def blobs(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Yield its blobs, and before each what GridFS knows of it."""
        for known in self.archive.lines(self.entry.path(BLOBS_FILE)):
            metadata = known["metadata"]
            yield (
                metadata,
                self.archive.read(self.entry.path(f"{BLOBS_FOLDER}/{metadata['blob_uuid']}")),
            )

    def require_runnable(self) -> None:
        """
        Refuse what is unfinished and of another version, where workers would take it at once.

        Raises
        ------
        CampaignError
            It says which devitrify runs it.
        """
        found = self.entry.campaign_version
        if found != CAMPAIGN_VERSION and not self.documents.is_complete:
            whose = f"The campaign {self.entry.name}"
            raise CampaignError(
                f"{refusal(whose, found, self.entry.begun_by)}, or import it into a folder, where "
                "it can be looked at."
            )


def check(archive: ArchiveReader, trusted: bool = False) -> list[Checked]:
    """
    Look through an archive, all of it.

    Parameters
    ----------
    archive : ArchiveReader
    trusted : bool
        Whether its jobs may run programs that are not devitrify's own.

    Returns
    -------
    list of Checked
        Its campaigns.

    Raises
    ------
    ArchiveError
        If it is damaged, or no export has made it.
    CampaignError
        If its jobs would run programs of others and it is not trusted.
    """
    archive.verify()
    names = [entry.name for entry in archive.manifest.campaigns]
    folders = {entry.folder for entry in archive.manifest.campaigns}
    if len(set(names)) != len(names) or len(folders) != len(names):
        raise archive.foreign("it has a campaign twice")
    return [_checked(archive, entry, trusted) for entry in archive.manifest.campaigns]


def _checked(archive: ArchiveReader, entry: CampaignEntry, trusted: bool) -> Checked:
    documents = CampaignDocuments(entry.name)
    for name, file in FILES.items():
        setattr(documents, name, list(archive.lines(entry.path(file))))
    found = Checked(archive, entry, documents, _description(archive, entry))
    try:
        _require_whole(found)
        _require_outputs(found)
        _require_blobs(found)
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration) as error:
        raise archive.foreign(
            f"a document of {entry.name!r:.60} lacks {str(error)!r:.60}"
        ) from None
    if not trusted:
        _require_ours(found)
    return found


def _description(archive: ArchiveReader, entry: CampaignEntry) -> CampaignDocument | None:
    path = entry.path(DESCRIPTION_FILE)
    if not archive.has(path):
        return None
    try:
        document = CampaignDocument.model_validate_json(archive.read(path))
    except ValidationError:
        raise archive.foreign(f"{path!r} describes no campaign") from None
    if document.id != entry.name:
        raise archive.foreign(f"{path!r} is of another campaign")
    return document


def _require_whole(found: Checked) -> None:
    """Refuse workflows, Fireworks and launches that do not belong together."""
    documents, foreign = found.documents, found.archive.foreign
    nodes = [int(node) for workflow in documents.workflows for node in workflow["nodes"]]
    known = {int(one["fw_id"]) for one in documents.fireworks}
    if len(nodes) != len(set(nodes)) or set(nodes) != known:
        raise foreign("its workflows have other Fireworks than it has")
    if len(documents.fireworks) != len(known):
        raise foreign("it has a Firework twice")
    for workflow in documents.workflows:
        own = set(workflow["nodes"])
        for links in (workflow["links"], workflow["parent_links"]):
            ends = {int(one) for one in links} | set(chain.from_iterable(links.values()))
            if not ends <= own:
                raise foreign("a workflow has links to Fireworks of others")
        if {int(one) for one in workflow["fw_states"]} != own:
            raise foreign("a workflow does not know the states of its Fireworks")
        workflow["metadata"].pop(DESCRIPTION, None)  # its own file has it
    named = [workflow["metadata"]["campaign"] for workflow in documents.workflows]
    named += [one["spec"]["campaign"] for one in documents.fireworks]
    named += [one["spec"]["campaign"] for one in documents.archived]
    named += [one["campaign"] for one in documents.progress]
    if set(named) != {found.entry.name}:
        raise foreign("it has documents of other campaigns")
    launches = {int(one["launch_id"]) for one in documents.launches}
    if len(launches) != len(documents.launches):
        raise foreign("it has a launch twice")
    if not {one["fw_id"] for one in documents.launches} <= known:
        raise foreign("it has launches of other Fireworks")
    if not isinstance(documents.own_workflow["state"], str):
        raise foreign("a workflow has no state")


def _require_outputs(found: Checked) -> None:
    """Refuse outputs that are not a campaign's own."""
    seen: set[tuple[str, int]] = set()
    for output in found.outputs():
        metadata = output["metadata"]
        owner = metadata.get("campaign", metadata.get("former_campaign"))
        key = (str(output["uuid"]), int(output["index"]))
        if owner != found.entry.name or key in seen:
            raise found.archive.foreign("it has an output twice, or of another campaign")
        seen.add(key)
        _require_known(found, output)


def _require_blobs(found: Checked) -> None:
    """Refuse blobs that are no documents of ours."""
    names = set()
    for metadata, content in found.blobs():
        names.add(found.entry.path(f"{BLOBS_FOLDER}/{metadata['blob_uuid']}"))
        try:
            document = json.loads(_unpacked(content, metadata))
        except (ValueError, RecursionError, zlib.error):
            raise found.archive.foreign("one of its blobs is no document") from None
        _require_known(found, document)
    if names != set(found.archive.below(found.entry.path(BLOBS_FOLDER))):
        raise found.archive.foreign("it has blobs that it does not know of")


def _unpacked(content: bytes, metadata: Mapping[str, Any]) -> bytes:
    """Return a blob as it was before GridFS compressed it; a small one may stand for any size."""
    if metadata.get("compression") != "zlib":
        return content
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(content, LARGEST_BLOB)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("it is too large, or has been cut")
    return text


def _require_known(found: Checked, document: Any) -> None:
    for name in foreign_objects(document):
        raise found.archive.foreign(f"it holds {name!r}, which no job stores")


def _require_ours(found: Checked) -> None:
    """Refuse jobs that would run programs of others."""
    documents = found.documents
    foreign: dict[str, None] = {}
    for firework in (*documents.fireworks, *documents.archived):
        foreign |= dict.fromkeys(foreign_programs(firework))
    if foreign:
        listed = ", ".join(list(foreign)[:3]) + (", ..." if len(foreign) > 3 else "")
        raise CampaignError(
            f"Jobs of campaign {found.entry.name} run programs that are not devitrify's own "
            f"({listed}), in your name: if you know who has made {found.archive.path}, import it "
            "with --trust; nothing was imported."
        )
