"""
Put a launchpad in order after processes were killed.

FireWorks writes several documents for one step: a kill can leave a Firework RUNNING or RESERVED
for ever, a workflow locked, new Fireworks that belong to no workflow, and Fireworks whose state
differs from the workflow's record of it. The workflow document is always written last, so it is
what counts: whatever it does not know of yet is taken back or done again. A Firework whose
launch is recorded as COMPLETED never runs again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from launch.database.states import HELD
from launch.database.writing import NOTES, match_states, undo_cut_short

if TYPE_CHECKING:
    from fireworks import LaunchPad

logger = logging.getLogger(__name__)

RESERVED_SECONDS = 15.0  # a live worker leaves RESERVED much sooner


@dataclass(frozen=True)
class Lost:
    """A Firework that was running in a process that ended."""

    fw_id: int
    name: str
    worker: str


def recover(
    pad: LaunchPad,
    reason: str,
    alive: Collection[str] = (),
    give_up: Callable[[Lost], bool] | None = None,
) -> list[Lost]:
    """
    Free what dead workers held.

    Parameters
    ----------
    pad : LaunchPad
        The launchpad.
    reason : str
        Why the launches ended, recorded with each.
    alive : collection of str
        Names of the workers that still run; what they hold is left alone.
    give_up : callable or None
        Decides whether a lost Firework becomes FIZZLED, with the reason, rather than READY.

    Returns
    -------
    list[Lost]
        The Fireworks that were running.
    """
    from fireworks.core.launchpad import WFLock

    if not alive:
        pad.workflows.update_many({"locked": {"$exists": True}}, {"$unset": {"locked": ""}})
    reset: list[int] = []
    for workflow in list(pad.workflows.find({}, {"nodes": {"$slice": 1}})):
        asked = {"nodes": workflow["nodes"][0]}
        with WFLock(pad, asked["nodes"]):
            states = pad.workflows.find_one(asked, {"fw_states": 1})["fw_states"]
            reset += [fw_id for fw_id, _, _ in match_states(pad, states)]
    if not alive:
        _discard_strangers(pad)
        pad.workflows.update_many({NOTES: {"$exists": True}}, {"$unset": {NOTES: ""}})
    undo_cut_short(pad, datetime.now(UTC) - timedelta(seconds=RESERVED_SECONDS))
    for fw_id in [*reset, *_unapplied(pad)]:
        try:
            pad._refresh_wf(fw_id)
        except RuntimeError:
            # FireWorks has marked it FIZZLED; the others can go on.
            logger.warning("Firework %d cannot be brought up to date", fw_id, exc_info=True)
    lost = _free_running(pad, reason, alive, give_up)
    _end_launches(pad, reason, alive)
    return lost


def _discard_strangers(pad: LaunchPad) -> None:
    """Delete Fireworks of no workflow: the rest of an insertion that was cut short."""
    known = [
        node for workflow in pad.workflows.find({}, {"nodes": 1}) for node in workflow["nodes"]
    ]
    pad.fireworks.delete_many({"fw_id": {"$nin": known}})


def _unapplied(pad: LaunchPad) -> list[int]:
    """Return the RUNNING Fireworks whose launch ended, but whose workflow was not told."""
    waiting = []
    for firework in pad.fireworks.find({"state": "RUNNING"}, {"fw_id": 1, "launches": 1}):
        ended = {"launch_id": {"$in": firework["launches"]}}
        ended["state"] = {"$in": ["COMPLETED", "FIZZLED"]}
        if pad.launches.find_one(ended, {"launch_id": 1}):
            waiting.append(firework["fw_id"])
    return waiting


def _free_running(
    pad: LaunchPad,
    reason: str,
    alive: Collection[str],
    give_up: Callable[[Lost], bool] | None,
) -> list[Lost]:
    """Make the RUNNING and RESERVED Fireworks of dead workers READY again."""
    lost = []
    held = {"state": {"$in": HELD}}
    for firework in list(pad.fireworks.find(held, {"spec": 0})):
        launches = list(
            pad.launches.find({"launch_id": {"$in": firework["launches"]}}, {"action": 0})
        )
        workers = {launch["fworker"]["name"] for launch in launches if launch["state"] == "RUNNING"}
        if workers & set(alive) or (alive and not workers and _is_recent(firework)):
            continue
        item = Lost(firework["fw_id"], firework["name"], next(iter(workers), ""))
        if firework["state"] == "RUNNING":
            lost.append(item)
        running = [launch["launch_id"] for launch in launches if launch["state"] == "RUNNING"]
        if running and give_up is not None and give_up(item):
            pad.complete_launch(running[-1], ended_action(reason), "FIZZLED")
            continue
        for launch_id in running:
            _end_launch(pad, launch_id, reason)
        pad.rerun_fw(item.fw_id)
    return lost


def _is_recent(firework: dict[str, Any]) -> bool:
    updated = firework.get("updated_on")
    if isinstance(updated, str):
        updated = datetime.fromisoformat(updated)
    if updated is None:
        return False
    updated = updated if updated.tzinfo else updated.replace(tzinfo=UTC)
    return bool(datetime.now(UTC) - updated < timedelta(seconds=RESERVED_SECONDS))


def _end_launches(pad: LaunchPad, reason: str, alive: Collection[str]) -> None:
    """End launches that no Firework refers to: their worker died between two writes."""
    open_launches = {"state": {"$in": HELD}}
    for launch in list(pad.launches.find(open_launches, {"launch_id": 1, "fworker.name": 1})):
        if launch["fworker"]["name"] not in alive:
            _end_launch(pad, launch["launch_id"], reason)


def _end_launch(pad: LaunchPad, launch_id: int, reason: str) -> None:
    """Record the end of a launch without touching its Firework."""
    launch = pad.get_launch_by_id(launch_id)
    launch.state = "FIZZLED"
    launch.action = ended_action(reason)
    pad.launches.replace_one({"launch_id": launch_id}, launch.to_db_dict())


def ended_action(reason: str, kind: str = "") -> Any:
    """
    Return what is recorded with a launch whose process ended.

    Parameters
    ----------
    reason : str
        For people.
    kind : str
        Of end; one of :data:`launch.database.retries.LIMITS`.
    """
    from fireworks import FWAction

    stored = {
        "_message": reason,
        "_lost": True,
        "_kind": kind,
        "_exception": {"_stacktrace": reason, "_details": None},
    }
    return FWAction(stored_data=stored, exit=True)
