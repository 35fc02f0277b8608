"""
Write a campaign into a database so that nobody ever meets half of it.

What can be run is written last: outputs and blobs, launches, the workflow, Fireworks that wait or
have ended, and then those that are READY. A note in the collection :data:`NOTES` says how far it
has come. An insertion that was cut short is undone by the next one, as long as nothing of it could
have been run; else it is completed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import psutil

from launch.errors import CampaignError
from launch.transfer.documents import BATCH, BLOBS_FILE, CampaignDocuments, Documents
from launch.transfer.numbering import Numbers, output_renumbered, release_paused, renumbered
from workflows.jobs.outputs import FORMER_CAMPAIGN

if TYPE_CHECKING:
    from launch.transfer.checking import Checked
    from launch.transfer.places import Place

#: Collection of the insertions that are under way.
NOTES = "imports"
#: What can be run at once.
RUNNABLE = "READY"


def require_absent(place: Place, name: str) -> None:
    """
    Refuse a campaign that a database has already.

    What an import that was cut short has left does not count.

    Raises
    ------
    CampaignError
        If there is any document of it.
    """
    if place.pad.db[NOTES].find_one({"_id": name}) is not None:
        return
    has_workflow = place.pad.workflows.find_one({"metadata.campaign": name}, {"_id": 1})
    has_output = place.outputs.find_one({"metadata.campaign": name}, {"_id": 1})
    if has_workflow is not None or has_output is not None:
        raise CampaignError(
            f"The database {place.pad.name} has a campaign {name} already: nothing was imported."
        )


def insert(place: Place, checked: Checked) -> CampaignDocuments:
    """
    Insert a campaign that is not there.

    Parameters
    ----------
    place : Place
        With its indexes and counters.
    checked : Checked

    Returns
    -------
    CampaignDocuments
        With the numbers that they have now.
    """
    notes, name = place.pad.db[NOTES], checked.entry.name
    checksum = checked.archive.manifest.checksum
    note = notes.find_one({"_id": name})
    if note is not None:
        _require_left(note, name)
    if note is not None and not note["can_run"]:
        _remove(place, checked, note["fw_ids"])
        note = None
    if note is not None and note["checksum"] != checksum:
        raise CampaignError(
            f"An import of campaign {name} was cut short when the first of its jobs could be "
            f"run; it was from another file (checksum {note['checksum']}): import that one again."
        )
    if note is None:
        first = place.pad.get_new_fw_id(quantity=len(checked.documents.fireworks))
        launch = place.pad.get_new_launch_ids(len(checked.documents.launches))
    else:
        first, launch = note["first"], note["launch"]
    numbers = Numbers.following(checked.documents, first, launch)
    documents = renumbered(checked.documents, numbers)
    release_paused(documents)
    runnable = [one for one in documents.fireworks if one["state"] == RUNNABLE]
    if note is None:
        fw_ids = sorted(numbers.fireworks.values())
        told = {"first": first, "launch": launch, "fw_ids": fw_ids, "checksum": checksum}
        told |= {"host": platform.node(), "process": os.getpid()}
        notes.insert_one({"_id": name, "can_run": False, **told})
        _insert_stored(place, checked, numbers)
        _insert_many(place.pad.launches, documents.launches)
        _insert_many(place.progress, documents.progress)
        _insert_many(place.archive, documents.archived)
        _insert_many(place.pad.workflows, documents.workflows)
        waiting = [one for one in documents.fireworks if one["state"] != RUNNABLE]
        _insert_many(place.pad.fireworks, waiting)
        notes.update_one({"_id": name}, {"$set": {"can_run": True}})
    present = set(_present(place, [one["fw_id"] for one in runnable]))
    _insert_many(place.pad.fireworks, [one for one in runnable if one["fw_id"] not in present])
    # whoever has counted it meanwhile is to count it again
    changed = {"$set": {"updated_on": datetime.now(UTC)}}
    place.pad.workflows.update_many({"metadata.campaign": name}, changed)
    notes.delete_one({"_id": name})
    return documents


def _require_left(note: dict[str, Any], name: str) -> None:
    """Refuse what another process of this machine is importing now."""
    process = note["process"]
    is_here = note["host"] == platform.node() and process != os.getpid()
    if is_here and psutil.pid_exists(process):
        raise CampaignError(f"Process {process} is importing campaign {name} now: wait for it.")


def _insert_stored(place: Place, checked: Checked, numbers: Numbers) -> None:
    """Insert blobs, then the outputs that refer to them."""
    for metadata, content in checked.blobs():
        place.blobs.put(content, metadata=metadata)
    outputs = (output_renumbered(output, numbers) for output in checked.outputs())
    for some in _batches(outputs):
        place.outputs.insert_many(some)


def _remove(place: Place, checked: Checked, fw_ids: list[int]) -> None:
    """Remove what an import has left that was cut short before anything of it could be run."""
    pad, name = place.pad, checked.entry.name
    pad.workflows.delete_many({"metadata.campaign": name})
    for some in _batches(fw_ids):
        pad.fireworks.delete_many({"fw_id": {"$in": some}})
        pad.launches.delete_many({"fw_id": {"$in": some}})
    of_it = {"$or": [{"metadata.campaign": name}, {FORMER_CAMPAIGN: name}]}
    known = checked.archive.lines(checked.entry.path(BLOBS_FILE))
    for some in _batches(one["metadata"]["blob_uuid"] for one in known):
        for file in place.blob_files.find({"metadata.blob_uuid": {"$in": some}}, {"_id": 1}):
            place.blobs.delete(file["_id"])
    place.outputs.delete_many(of_it)
    place.progress.delete_many({"campaign": name})
    place.archive.delete_many({"spec.campaign": name})
    pad.db[NOTES].delete_one({"_id": name})


def _present(place: Place, fw_ids: list[int]) -> Iterator[int]:
    for some in _batches(fw_ids):
        for firework in place.pad.fireworks.find({"fw_id": {"$in": some}}, {"fw_id": 1}):
            yield firework["fw_id"]


def _insert_many(collection: Any, documents: Documents) -> None:
    for some in _batches(documents):
        collection.insert_many([dict(one) for one in some])


def _batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    values = iter(values)
    while some := list(islice(values, BATCH)):
        yield some
