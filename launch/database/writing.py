"""
Write a workflow so that a process killed on the way leaves nothing that nobody puts right.

FireWorks writes the Fireworks that a step changes, and their workflow after them. If its process is
killed in between, new Fireworks belong to no workflow, though they are READY; and a Firework that
is COMPLETED, though its workflow does not know, keeps those after it waiting for ever. So what is
being written is noted in the workflow before. The workflow that is written last has no note any
more: a note that stays tells of a step that was cut short, whoever writes the workflow after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from launch.database.firework_documents import firework_document
from launch.database.retries import LOST_FIELD
from launch.database.states import HELD

if TYPE_CHECKING:
    from fireworks import LaunchPad, Workflow

#: Field of a workflow: since when what is written, and the ids of new Fireworks.
NOTES = "writing"
SINCE = f"{NOTES}.since"


def write_workflow(pad: LaunchPad, workflow: Workflow, updated: Iterable[int]) -> None:
    """
    Write some Fireworks of a workflow, and the workflow; its lock must be held.

    Parameters
    ----------
    pad : LaunchPad
        Launchpad.
    workflow : Workflow
        In the state that it is to have.
    updated : iterable of int
        Ids of the Fireworks that have changed; those that are new have negative ones, and get
        others here.

    Raises
    ------
    ValueError
        If the launchpad has no such workflow.
    """
    node = next(fw_id for fw_id in workflow.id_fw if fw_id >= 0)
    changed = sorted((workflow.id_fw[fw_id] for fw_id in set(updated)), key=lambda f: f.fw_id)
    new = [firework for firework in changed if firework.fw_id < 0]
    ids = {}
    if new:
        first = pad.get_new_fw_id(quantity=len(new))
        ids = {firework.fw_id: fw_id for fw_id, firework in enumerate(new, start=first)}
    # who is killed while it takes one leaves it to those who look for what nobody runs
    noted = any(firework.state not in HELD for firework in changed)
    cut_short = _note(pad, node, list(ids.values()), noted)
    if new:
        for firework in new:
            firework.fw_id = ids[firework.fw_id]
        pad.fireworks.insert_many([firework_document(firework) for firework in new])
        workflow._reassign_ids(ids)
    for firework in changed[len(new) :]:
        one = {"fw_id": firework.fw_id}
        pad.fireworks.replace_one(one, firework_document(firework), upsert=True)
    document = {**workflow.to_db_dict(), "locked": True}
    if cut_short:
        document[NOTES] = cut_short
    pad.workflows.replace_one({"nodes": node}, document)


def _note(pad: LaunchPad, node: int, new: list[int], noted: bool) -> list[dict[str, Any]]:
    """Note what is about to be written; return the notes that are there already."""
    asked, fields = {"nodes": node}, {"_id": 0, NOTES: 1}
    if noted:
        note = {"since": datetime.now(UTC), "new": new}
        found = pad.workflows.find_one_and_update(asked, {"$push": {NOTES: note}}, fields)
    else:
        found = pad.workflows.find_one(asked, fields)
    if found is None:
        raise ValueError(f"no workflow has a Firework {node}")
    return list(found.get(NOTES) or [])


def undo_cut_short(pad: LaunchPad, before: datetime) -> list[tuple[int, str, str]]:
    """
    Take back what was half written, and do it again.

    Parameters
    ----------
    pad : LaunchPad
        Launchpad.
    before : datetime
        What was begun after that may still be on the way.

    Returns
    -------
    list of tuple
        Number of each Firework that had another state than its workflow recorded, that state, and
        the recorded one.
    """
    from fireworks.core.launchpad import WFLock

    undone = []
    half = {SINCE: {"$lt": before}}
    for workflow in list(pad.workflows.find(half, {"nodes": {"$slice": 1}})):
        node = workflow["nodes"][0]
        with WFLock(pad, node):
            # whoever held the lock may have come to its end meanwhile
            now = pad.workflows.find_one({"nodes": node, **half})
            found = [] if now is None else _undo(pad, now)
        for fw_id, _, _ in found:
            pad._refresh_wf(fw_id)
        undone += found
    return undone


def _undo(pad: LaunchPad, workflow: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Give Fireworks the states that their workflow records; the new ones it does not know go."""
    nodes = set(workflow["nodes"])
    new = {fw_id for note in workflow[NOTES] for fw_id in note["new"]}
    pad.fireworks.delete_many({"fw_id": {"$in": sorted(new - nodes)}})
    found = match_states(pad, workflow["fw_states"])
    pad.workflows.update_one({"_id": workflow["_id"]}, {"$unset": {NOTES: ""}})
    return found


def match_states(pad: LaunchPad, recorded: dict[str, str]) -> list[tuple[int, str, str]]:
    """
    Give Fireworks the states that their workflow records.

    A state between READY and COMPLETED is set before the workflow hears of it, and is left to those
    who look for what nobody runs. One whose last launch has ended becomes RUNNING, not READY:
    nobody may take it before it is brought up to date from that launch.

    Parameters
    ----------
    pad : LaunchPad
        Launchpad.
    recorded : dict of str to str
        States by number, as a workflow has them.

    Returns
    -------
    list of tuple
        Number, state before and state now of those that had another.
    """
    differing = []
    members: Sequence[int] = [int(fw_id) for fw_id in recorded]
    fields = {"fw_id": 1, "state": 1, "launches": 1}
    for firework in list(pad.fireworks.find({"fw_id": {"$in": members}}, fields)):
        fw_id, before = firework["fw_id"], firework["state"]
        state = recorded[str(fw_id)]
        if before in (state, *HELD):
            continue
        if state == "READY" and _has_ended(pad, firework["launches"]):
            state = "RUNNING"
        pad.fireworks.update_one({"fw_id": fw_id}, {"$set": {"state": state}})
        differing.append((fw_id, before, state))
    return differing


def _has_ended(pad: LaunchPad, launches: Sequence[int]) -> bool:
    """Whether the last launch of a Firework ended by itself."""
    ended = {"state": {"$in": ["COMPLETED", "FIZZLED"]}, LOST_FIELD: {"$exists": False}}
    last = {"launch_id": {"$in": list(launches[-1:])}}
    return pad.launches.find_one({**last, **ended}, {"_id": 1}) is not None
