"""All documents of one campaign, as they are in a database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launch.database.states import HELD
from launch.errors import CampaignError
from launch.shell import command_line
from workflows.jobs.outputs import FORMER_CAMPAIGN

if TYPE_CHECKING:
    from launch.transfer.places import Place

Documents = list[dict[str, Any]]

#: How many ids go into one query.
BATCH = 500
#: Files of a campaign in an archive, by the collection that they are of.
FILES = {
    "workflows": "workflows.jsonl",
    "fireworks": "fireworks.jsonl",
    "launches": "launches.jsonl",
    "archived": "archived_fireworks.jsonl",
    "progress": "progress.jsonl",
}
OUTPUTS_FILE = "outputs.jsonl"
BLOBS_FILE = "blobs.jsonl"
BLOBS_FOLDER = "blobs"
DESCRIPTION_FILE = "campaign.json"
#: What a launch's action has when nothing is left to be done by it.
DONE_ACTION: dict[str, Any] = {
    "stored_data": {}, "exit": False, "update_spec": {}, "mod_spec": [], "additions": [],
    "detours": [], "append_wfs": [], "defuse_children": False, "defuse_workflow": False,
    "propagate": False,
}  # fmt: skip


@dataclass
class CampaignDocuments:
    """
    What a launchpad knows of a campaign; outputs and blobs are larger, and read one by one.

    Attributes
    ----------
    name : str
        Of the campaign.
    workflows, fireworks, launches, archived, progress : list of dict
        Documents without the ids that a database has given them.
    """

    name: str
    workflows: Documents = field(default_factory=list)
    fireworks: Documents = field(default_factory=list)
    launches: Documents = field(default_factory=list)
    archived: Documents = field(default_factory=list)
    progress: Documents = field(default_factory=list)

    @property
    def own_workflow(self) -> dict[str, Any]:
        """Workflow of the campaign itself, whatever was added to it."""
        return next(w for w in self.workflows if "addition" not in w["metadata"])

    @property
    def finished(self) -> int:
        """How many Fireworks are completed."""
        return sum(firework["state"] == "COMPLETED" for firework in self.fireworks)

    @property
    def is_complete(self) -> bool:
        """Whether nothing of it is left to be run."""
        return self.finished == len(self.fireworks)


def read_documents(place: Place, name: str) -> CampaignDocuments:
    """
    Read what a launchpad knows of a campaign.

    Parameters
    ----------
    place : Place
    name : str
        Of the campaign.

    Raises
    ------
    CampaignError
        If there is no such campaign.
    """
    pad = place.pad
    workflows = _without_ids(pad.workflows.find({"metadata.campaign": name}))
    if not any("addition" not in workflow["metadata"] for workflow in workflows):
        raise CampaignError(f"There is no campaign {name} in the database {pad.name}.")
    for workflow in workflows:
        workflow.pop("locked", None)
    nodes = [node for workflow in workflows for node in workflow["nodes"]]
    found = CampaignDocuments(name, workflows)
    found.fireworks = _sorted(_of_ids(pad.fireworks, "fw_id", nodes), "fw_id")
    done = {fw["fw_id"] for fw in found.fireworks if fw["state"] == "COMPLETED"}
    launches = _sorted(_of_ids(pad.launches, "fw_id", nodes), "launch_id")
    found.launches = [_light(one, done) for one in launches]
    found.archived = _without_ids(place.archive.find({"spec.campaign": name}))
    found.progress = list(place.progress.find({"campaign": name}))
    return found


def read_outputs(place: Place, name: str) -> Iterator[dict[str, Any]]:
    """Yield the output documents of a campaign, the oldest first; also those left out of it."""
    wanted = {"$or": [{"metadata.campaign": name}, {FORMER_CAMPAIGN: name}]}
    for output in place.outputs.find(wanted).sort("completed_at", 1):
        output.pop("_id")
        yield output


def find_blobs(place: Place, uuids: Iterable[str]) -> Documents:
    """
    Find what GridFS knows of blobs; of each the newest version.

    Parameters
    ----------
    place : Place
    uuids : iterable of str
        Ids by which output documents refer to them.
    """
    files = _of_ids(place.blob_files, "metadata.blob_uuid", list(dict.fromkeys(uuids)))
    files.sort(key=lambda file: file["uploadDate"])
    return list({file["metadata"]["blob_uuid"]: file for file in files}.values())


def require_at_rest(documents: CampaignDocuments) -> None:
    """
    Raise a CampaignError while jobs of a campaign run.

    Raises
    ------
    CampaignError
        It says how to stop.
    """
    held = [firework["fw_id"] for firework in documents.fireworks if firework["state"] in HELD]
    if held:
        numbers = " ".join(map(str, held[:5])) + (" ..." if len(held) > 5 else "")
        query = json.dumps({"spec.campaign": documents.name})
        raise CampaignError(
            f"{len(held)} jobs of campaign {documents.name} are running or queued (Fireworks "
            f"{numbers}), and would run twice elsewhere: wait for them, or let nothing new begin "
            f"with {command_line('lpad', 'pause_fws', '-q', query)} and wait for what runs."
        )


def _of_ids(collection: Any, name: str, ids: list[Any]) -> Documents:
    found: Documents = []
    for start in range(0, len(ids), BATCH):
        found += collection.find({name: {"$in": ids[start : start + BATCH]}})
    return found


def _sorted(documents: Documents, name: str) -> Documents:
    """Return documents by a number of theirs, without the ids that a database has given them."""

    def number(document: dict[str, Any]) -> int:
        return int(document[name])

    return sorted(_without_ids(documents), key=number)


def _without_ids(documents: Iterable[dict[str, Any]]) -> Documents:
    return [{key: value for key, value in one.items() if key != "_id"} for one in documents]


def _light(launch: dict[str, Any], done: set[int]) -> dict[str, Any]:
    """
    Leave out what concerns nobody elsewhere.

    That is the address of the machine, and what a completed Firework has started: it is in the
    workflow by now.
    """
    launch = {**launch, "ip": ""}
    action = launch.get("action")
    if launch["fw_id"] not in done or not isinstance(action, dict):
        return launch
    stored = action.get("stored_data") or {}
    return {**launch, "action": {**DONE_ACTION, "stored_data": stored}}
