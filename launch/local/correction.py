"""
Other settings for what has not begun.

A job carries the numbers it is made with, so a campaign is rebuilt with the new ones and compared
with its Fireworks: where one that has begun would be another job, the settings come too late; the
others are given their new numbers and keep their places and names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launch.errors import CampaignError

if TYPE_CHECKING:
    from fireworks import LaunchPad, Workflow

#: States of Fireworks of which there is no result yet, and that nobody runs.
NOT_BEGUN = ("WAITING", "READY", "PAUSED", "DEFUSED", "FIZZLED")


def correct(pad: LaunchPad, fw_ids: Sequence[int], wanted: Workflow) -> list[str]:
    """
    Give the Fireworks that have not begun the numbers of another workflow.

    Parameters
    ----------
    pad : LaunchPad
        Of the campaign alone.
    fw_ids : sequence of int
        Fireworks that were first added.
    wanted : Workflow
        The same campaign with other settings, not added.

    Returns
    -------
    list of str
        Names of the Fireworks that were changed.

    Raises
    ------
    CampaignError
        If one that has begun would be another, or there would be more or fewer of them; then
        nothing is changed.
    """
    fields = {"fw_id": 1, "name": 1, "state": 1, "spec._tasks": 1}
    found = {fw["fw_id"]: fw for fw in pad.fireworks.find({"fw_id": {"$in": list(fw_ids)}}, fields)}
    present = [found[fw_id] for fw_id in sorted(found)]
    new = [firework.to_dict() for firework in sorted(wanted.fws, key=lambda fw: fw.fw_id)]
    if [fw["name"] for fw in present] != [fw["name"] for fw in new]:
        raise CampaignError(
            "Other jobs would be needed than those of the campaign: only numbers of stages that "
            "have not begun can be changed."
        )
    tasks = _with_names_of(present, new)
    changed = [
        (fw, task)
        for fw, task in zip(present, tasks, strict=True)
        if _plain(fw["spec"]["_tasks"]) != task
    ]
    late = [fw["name"] for fw, _ in changed if fw["state"] not in NOT_BEGUN]
    if late:
        raise CampaignError(f"It has begun already: {', '.join(late[:5])}.")
    for fw, task in changed:
        query = {"fw_id": fw["fw_id"], "state": {"$in": list(NOT_BEGUN)}}
        pad.fireworks.update_one(query, {"$set": {"spec._tasks": json.loads(task)}})
    return [fw["name"] for fw, _ in changed]


def _with_names_of(
    present: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Spell out the tasks of new Fireworks with the uuids of those that are there."""
    names: dict[str, str] = {}
    for there, here in zip(present, new, strict=True):
        old_job, new_job = _job(there), _job(here)
        names[new_job["uuid"]] = old_job["uuid"]
        names |= dict(zip(new_job["hosts"], old_job["hosts"], strict=False))
    spelt = [_plain(fw["spec"]["_tasks"]) for fw in new]
    for new_name, old_name in names.items():  # uuids: in a text nothing else is like them
        spelt = [text.replace(new_name, old_name) for text in spelt]
    return [_plain(json.loads(text)) for text in spelt]


def _job(firework: Mapping[str, Any]) -> dict[str, Any]:
    """Job of a Firework, in plain types."""
    job: dict[str, Any] = json.loads(_plain(firework["spec"]["_tasks"]))[0]["job"]
    return job


def _plain(tasks: Any) -> str:
    """Spell tasks out, whatever the order of their keys."""
    from monty.json import MontyEncoder

    return json.dumps(tasks, cls=MontyEncoder, sort_keys=True)
