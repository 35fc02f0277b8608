"""
A campaign's documents as another launchpad takes them: with numbers of its own, and at rest.

FireWorks counts Fireworks and launches from one in every launchpad, so those of a campaign get new
numbers, in the order of the old ones. Whoever ran something where it came from does not run it
here: what was paused for the journey may begin, and what names batch jobs of there is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launch.local.correction import FIRST
from launch.transfer.documents import CampaignDocuments

#: What a Firework's spec may tell FireWorks; other words of its own could have anything run.
KNOWN_WORDS = (
    *("_add_launchpad_and_fw_id", "_allow_fizzled_parents", "_category", "_exception_details"),
    *("_fizzled_parents", "_priority", "_queueadapter", "_tasks"),
)


@dataclass(frozen=True)
class Numbers:
    """
    New numbers of Fireworks and launches, by the old ones.

    Attributes
    ----------
    fireworks, launches : dict of int to int
    """

    fireworks: dict[int, int]
    launches: dict[int, int]

    @classmethod
    def following(cls, documents: CampaignDocuments, fw_id: int, launch_id: int) -> Numbers:
        """
        Number the Fireworks and launches of a campaign from given ones on.

        Parameters
        ----------
        documents : CampaignDocuments
        fw_id, launch_id : int
            The first new ones.
        """
        fireworks = sorted(one["fw_id"] for one in documents.fireworks)
        launches = sorted(one["launch_id"] for one in documents.launches)
        return cls(
            {old: fw_id + n for n, old in enumerate(fireworks)},
            {old: launch_id + n for n, old in enumerate(launches)},
        )


def renumbered(documents: CampaignDocuments, numbers: Numbers) -> CampaignDocuments:
    """
    Return a campaign with other numbers.

    Parameters
    ----------
    documents : CampaignDocuments
    numbers : Numbers
    """
    return CampaignDocuments(
        documents.name,
        [_workflow(one, numbers.fireworks) for one in documents.workflows],
        [_firework(one, numbers) for one in documents.fireworks],
        [_launch(one, numbers) for one in documents.launches],
        documents.archived,
        documents.progress,
    )


def output_renumbered(output: Mapping[str, Any], numbers: Numbers) -> dict[str, Any]:
    """Return an output document that names the new number of its Firework, if it names one."""
    metadata = dict(output.get("metadata") or {})
    if "fw_id" in metadata:
        metadata["fw_id"] = numbers.fireworks.get(metadata["fw_id"])
    return {**output, "metadata": metadata}


def release_paused(documents: CampaignDocuments) -> None:
    """Let what was paused for the journey begin once it may; in place."""
    fireworks = {one["fw_id"]: one for one in documents.fireworks}
    for workflow in documents.workflows:
        states = workflow["fw_states"]
        for fw_id in sorted(int(number) for number in states):
            if states[str(fw_id)] != "PAUSED":
                continue
            parents = workflow["parent_links"].get(str(fw_id), [])
            enough = {"COMPLETED"}
            if fireworks[fw_id]["spec"].get("_allow_fizzled_parents"):
                enough.add("FIZZLED")
            ready = all(states[str(parent)] in enough for parent in parents)
            states[str(fw_id)] = fireworks[fw_id]["state"] = "READY" if ready else "WAITING"
            if workflow["state"] == "PAUSED":
                workflow["state"] = "RUNNING"


def _workflow(workflow: Mapping[str, Any], ids: Mapping[int, int]) -> dict[str, Any]:
    metadata = dict(workflow["metadata"])
    if FIRST in metadata:
        metadata[FIRST] = [ids[one] for one in metadata[FIRST] if one in ids]
    return {
        **workflow,
        "nodes": [ids[one] for one in workflow["nodes"]],
        "links": _links(workflow["links"], ids),
        "parent_links": _links(workflow.get("parent_links") or {}, ids),
        "fw_states": {str(ids[int(one)]): s for one, s in workflow["fw_states"].items()},
        "metadata": metadata,
    }


def _links(links: Mapping[str, Any], ids: Mapping[int, int]) -> dict[str, list[int]]:
    return {str(ids[int(one)]): [ids[other] for other in others] for one, others in links.items()}


def _firework(firework: Mapping[str, Any], numbers: Numbers) -> dict[str, Any]:
    spec = {
        key: value
        for key, value in firework["spec"].items()
        if not key.startswith("_") or key in KNOWN_WORDS
    }
    new = numbers.fireworks[firework["fw_id"]]
    if "fw_id" in spec:
        spec["fw_id"] = new
    launches = {
        name: [numbers.launches[one] for one in firework.get(name) or [] if one in numbers.launches]
        for name in ("launches", "archived_launches")
    }
    return {**firework, **launches, "fw_id": new, "spec": spec}


def _launch(launch: Mapping[str, Any], numbers: Numbers) -> dict[str, Any]:
    """Give a launch its numbers; of a batch job elsewhere nothing is to be expected here."""
    fworker = launch.get("fworker")
    history = [
        {key: value for key, value in entry.items() if key != "reservation_id"}
        for entry in launch.get("state_history") or []
    ]
    return {
        **launch,
        "launch_id": numbers.launches[launch["launch_id"]],
        "fw_id": numbers.fireworks[launch["fw_id"]],
        "fworker": {**fworker, "env": {}} if isinstance(fworker, dict) else fworker,
        "state_history": history,
    }
