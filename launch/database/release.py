"""
Give a Firework back that was being run by a job that ended.

Several may notice the end of a job: the job itself, and any number of reconciliations. Whoever
changes the state of the launch first, in one atomic operation, puts the Firework right; to the
others it is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from launch.database.recovery import ended_action
from launch.database.retries import LOST_FIELD, count_ends, is_granted, retry_launch
from launch.database.states import HELD

if TYPE_CHECKING:
    from fireworks import LaunchPad

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: SLURM's number of a job: in its environment, and with the worker in its launches.
JOB_VARIABLE = "SLURM_JOB_ID"


def release(pad: LaunchPad, launch_id: int, kind: str, reason: str) -> str | None:
    """
    End a launch and make its Firework READY, or FIZZLED if that has happened too often.

    Parameters
    ----------
    pad : LaunchPad
        Launchpad.
    launch_id : int
        Launch of a job that ended.
    kind : str
        One of :data:`launch.database.retries.LIMITS`.
    reason : str
        Recorded with the launch.

    Returns
    -------
    str or None
        State of the Firework now; none if somebody else has dealt with it.
    """
    launch = pad.get_launch_by_id(launch_id)
    before = launch.state
    if before not in HELD:
        return None
    launch.state = "FIZZLED"
    launch.action = ended_action(reason, kind)
    claimed = pad.launches.find_one_and_replace(
        {"launch_id": launch_id, "state": before}, launch.to_db_dict(), {"_id": 1}
    )
    if claimed is None:
        return None
    return conclude(pad, launch.fw_id, launch_id, kind, reason)


def guarded(fw_id: int, action: Callable[[], T]) -> T | None:
    """
    Do something with one Firework; if its workflow is broken, say so and let others have theirs.

    Raises
    ------
    PyMongoError
        If the database fails: that concerns all of them.
    """
    from pymongo.errors import PyMongoError

    try:
        return action()
    except PyMongoError:
        raise
    except Exception as error:  # FireWorks raises whatever it likes
        logger.error("Firework %d cannot be put right: %s: %s", fw_id, type(error).__name__, error)
        return None


def retry_guarded(pad: LaunchPad, fw_id: int, launch_id: int) -> None:
    """Try a Firework again whose launch raised an error, if it may be; say so in the job's log."""
    if guarded(fw_id, partial(retry_launch, pad, fw_id, launch_id)):
        print(f"Firework {fw_id} raised an error and is tried again", flush=True)


def conclude(pad: LaunchPad, fw_id: int, launch_id: int, kind: str, reason: str) -> str | None:
    """Bring the Firework of an ended launch to READY or FIZZLED."""
    firework = pad.fireworks.find_one(
        {"fw_id": fw_id, "launches": launch_id, "state": {"$in": HELD}}, {"fw_id": 1}
    )
    if firework is None:
        return None
    if not is_granted(kind, count_ends(pad, fw_id, kind)):
        logger.warning("Firework %d has failed: %s", fw_id, reason)
        pad.complete_launch(launch_id, ended_action(reason, kind), "FIZZLED")
        return "FIZZLED"
    pad.rerun_fw(fw_id)
    return "READY"


def job_of(launch: Mapping[str, Any]) -> str | None:
    """SLURM's number of the job that a launch belongs to, or is reserved for; none if unknown."""
    environment = (launch.get("fworker") or {}).get("env") or {}
    reserved = [e["reservation_id"] for e in launch["state_history"] if "reservation_id" in e]
    found = [environment.get(JOB_VARIABLE), *reserved]
    return next((str(job) for job in found if job), None)


def launches_of(job: str) -> dict[str, Any]:
    """Query that finds the launches of a SLURM job."""
    return {"$or": [{"state_history.reservation_id": job}, {f"fworker.env.{JOB_VARIABLE}": job}]}


def unfinished(pad: LaunchPad, before: datetime) -> list[dict[str, Any]]:
    """
    Launches that were ended before some time but whose Firework was not told.

    Whoever claimed them died on the way.
    """
    limit = before.astimezone(UTC).isoformat()
    active = pad.fireworks.find({"state": {"$in": HELD}}, {"fw_id": 1, "launches": 1})
    held = {firework["fw_id"]: firework["launches"] for firework in active}
    ended = pad.launches.find(
        {"fw_id": {"$in": list(held)}, "state": "FIZZLED", LOST_FIELD: {"$exists": True}},
        {"_id": 0, "fw_id": 1, "launch_id": 1, "time_end": 1, "action.stored_data": 1},
    )
    return [
        launch
        for launch in ended
        # the newest launch only: an older one has been replaced by a job that runs
        if held[launch["fw_id"]][-1:] == [launch["launch_id"]]
        and str(launch.get("time_end") or "") < limit
    ]
