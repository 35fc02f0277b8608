"""
What campaigns leave behind that nobody needs any more, and how it is taken away.

Results, potentials and frames are never among it. Of a campaign that is not complete only what its
finished jobs have left beside their outputs is: it goes on as if nothing had been done. What refers
to something is taken away before that, so that all of this can be cut short anywhere.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.database.blobs import blobs_in
from launch.database.connections import OUTPUTS
from launch.errors import CampaignError
from launch.own_files import require_own

if TYPE_CHECKING:
    from pymongo.database import Database

#: Documents of blocks of a search, and where their states are.
BLOCK, STATES = "IslandDocument", ("evolution", "changes")
FILES, CHUNKS = f"{OUTPUTS}_blobs.files", f"{OUTPUTS}_blobs.chunks"
CHECKPOINT = re.compile(r"([0-9a-f-]{36})-(\d+)\.checkpoint")
#: What FireWorks, batch jobs and workers call the folders of launches.
LAUNCH_FOLDER = re.compile(r"(launcher|next)_[\w-]+|\d{8}-\d{6}-\d{6}-\d+", re.ASCII)


@dataclass(frozen=True)
class Leftover:
    """
    Something that can be taken away.

    Attributes
    ----------
    kind : str
        What it is, for people.
    size : int
        Bytes.
    remove : callable
        Takes it away; a second time it does nothing.
    """

    kind: str
    size: int
    remove: Callable[[], object]


def find_leftovers(
    database: Database, campaign: str, checkpoints: Path | None = None
) -> Iterator[Leftover]:
    """
    Find what a campaign has left behind.

    Parameters
    ----------
    database : Database
        Of its launchpad and job store.
    campaign : str
        Its name.
    checkpoints : Path or None
        Folder of the checkpoints.
    """
    states = _states_of_jobs(database, campaign)
    outputs = list(database[OUTPUTS].find({"metadata.campaign": campaign}))
    if states and set(states.values()) == {"COMPLETED"}:
        yield from _launch_folders(database, campaign)
        yield from _search_states(database, outputs)
    yield from _blobs_of_nobody(database, outputs, states)
    if checkpoints is not None:
        yield from _checkpoints(checkpoints, {(o["uuid"], o["index"]) for o in outputs})


def _states_of_jobs(database: Database, campaign: str) -> dict[str, str]:
    """States of the Fireworks of a campaign, by their jobs; the least finished of each job."""
    states: dict[str, str] = {}
    fields = {"state": 1, "spec._tasks.job.uuid": 1}
    for firework in database.fireworks.find({"spec.campaign": campaign}, fields):
        for task in firework["spec"]["_tasks"]:
            uuid = (task.get("job") or {}).get("uuid", "")
            if states.get(uuid, "COMPLETED") == "COMPLETED":
                states[uuid] = firework["state"]
    return states


def _launch_folders(database: Database, campaign: str) -> Iterator[Leftover]:
    """Folders in which jobs of a complete campaign ran, where they are on this machine."""
    members = [
        f["fw_id"] for f in database.fireworks.find({"spec.campaign": campaign}, {"fw_id": 1})
    ]
    launches = database.launches.find({"fw_id": {"$in": members}}, {"launch_dir": 1})
    for folder in sorted({str(launch.get("launch_dir") or "") for launch in launches}):
        path = Path(folder)
        if is_launch_folder(path):
            size = folder_size(path)
            remove = partial(shutil.rmtree, path, ignore_errors=True)
            yield Leftover("launch folders", size, remove)


def is_launch_folder(path: Path) -> bool:
    """
    Whether a path is a folder of a launch that may be removed.

    What a database says is not believed: the folder must have the name of one and be the user's.
    """
    if not path.is_absolute() or not LAUNCH_FOLDER.fullmatch(path.name):
        return False
    if path.is_symlink() or not path.is_dir() or path != path.resolve():
        return False
    try:
        require_own(path)
    except CampaignError:
        return False
    return True


def folder_size(path: Path) -> int:
    """Bytes of the files in a folder."""
    total = 0
    for file in path.rglob("*"):
        with suppress(OSError):
            total += file.lstat().st_size
    return total


def _search_states(database: Database, outputs: list[dict[str, Any]]) -> Iterator[Leftover]:
    """States of searches that have ended, but for the last one of each island."""
    for document in outputs:
        output = document.get("output")
        if not isinstance(output, dict) or output.get("@class") != BLOCK or output.get("finished"):
            continue
        blobs = [output[n]["blob_uuid"] for n in STATES
                 if isinstance(output.get(n), dict) and "blob_uuid" in output[n]]  # fmt: skip
        if blobs:
            size = _length(database, blobs)
            remove = partial(_drop_state, database, document["_id"], blobs)
            yield Leftover("states of ended searches", size, remove)


def _drop_state(database: Database, document: Any, blobs: list[str]) -> None:
    unset = {f"output.{name}": None for name in STATES}
    database[OUTPUTS].update_one({"_id": document}, {"$set": unset})
    _remove_blobs(database, blobs)


def _blobs_of_nobody(
    database: Database, outputs: list[dict[str, Any]], states: dict[str, str]
) -> Iterator[Leftover]:
    """Blobs of finished jobs that their documents do not refer to: of launches before, or kills."""
    known = {(o["uuid"], o["index"]): set(blobs_in(o.get("output"))) for o in outputs}
    finished = sorted({uuid for uuid, _ in known if states.get(uuid) == "COMPLETED"})
    for file in database[FILES].find({"metadata.job_uuid": {"$in": finished}}):
        metadata = file["metadata"]
        referred = known.get((metadata["job_uuid"], metadata.get("job_index")))
        blob = metadata["blob_uuid"]
        if referred is not None and blob not in referred:
            remove = partial(_remove_blobs, database, [blob])
            yield Leftover("blobs of no document", int(file["length"]), remove)


def _length(database: Database, blobs: list[str]) -> int:
    files = database[FILES].find({"metadata.blob_uuid": {"$in": blobs}}, {"length": 1})
    return sum(int(file["length"]) for file in files)


def _remove_blobs(database: Database, blobs: list[str]) -> None:
    """Remove blobs: the chunks before the file, by which a next time finds what is left."""
    for file in list(database[FILES].find({"metadata.blob_uuid": {"$in": blobs}}, {"_id": 1})):
        database[CHUNKS].delete_many({"files_id": file["_id"]})
        database[FILES].delete_one({"_id": file["_id"]})


def _checkpoints(folder: Path, stored: set[tuple[str, int]]) -> Iterator[Leftover]:
    """Checkpoints of jobs whose output is stored; those of others are needed."""
    for path in sorted(folder.glob("*.checkpoint")):
        found = CHECKPOINT.fullmatch(path.name)
        if found and (found[1], int(found[2])) in stored and not path.is_symlink():
            size = path.stat().st_size
            yield Leftover("checkpoints", size, partial(path.unlink, missing_ok=True))
