"""
Which Fireworks are tried again, and how often: one policy, here as on a cluster.

A Firework may end in two ways that are not its success. Its process may end without a word (the
time limit, scancel, a node that dies, lack of memory): :data:`LIMITS` says how often each kind of
end is granted. Or its job may raise an error: then :class:`Allowance` says how often that is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launch.database.completed import apply_completed

if TYPE_CHECKING:
    from fireworks import LaunchPad

#: How a process ended, and how many such ends a Firework is granted before it counts as failed.
#: Time limits are no failures: a long training takes several jobs.
LIMITS = {"time": 50, "cancelled": 50, "node": 20, "database": 20, "crash": 3}

#: In the trace of a launch whose job stopped in time and left the rest to another launch.
TIME_OVER = "TimeOverError"
#: In the trace of a launch whose job could not reach its database.
DATABASE_AWAY = "pymongo.errors"
#: Marks launches that ended with their process, and says how.
LOST_FIELD = "action.stored_data._lost"
KIND_FIELD = "action.stored_data._kind"


@dataclass(frozen=True)
class Allowance:
    """
    How often a Firework runs again after its job raised an error.

    Attributes
    ----------
    errors : int
        After an error of its own.
    database : int
        After one of the database's, which may be gone for a while.
    time : int
        After it stopped in time and left the rest to the next launch.
    """

    errors: int = 1
    database: int = 5
    time: int = LIMITS["time"]

    def covers(self, raised: Counter[str]) -> bool:
        """Whether a Firework may run again that has raised so many errors of each kind."""
        return (
            raised["errors"] <= self.errors
            and raised["database"] <= self.database
            and raised["time"] <= self.time
        )


def is_granted(kind: str, count: int) -> bool:
    """Whether a Firework may run again whose processes ended that way so often."""
    return count <= LIMITS[kind]


def count_ends(pad: LaunchPad, fw_id: int, kind: str) -> int:
    """Count the launches of a Firework whose process ended that way."""
    return int(pad.launches.count_documents({"fw_id": fw_id, KIND_FIELD: kind}))


def count_errors(pad: LaunchPad, fw_id: int, since: str = "") -> Counter[str]:
    """
    Count the errors that a Firework's jobs have raised, by kind.

    Parameters
    ----------
    pad : LaunchPad
    fw_id : int
    since : str
        Start of what counts (ISO 8601); empty: everything.

    Returns
    -------
    Counter of str
        By the names of :class:`Allowance`'s fields.
    """
    own: dict[str, Any] = {"fw_id": fw_id, "state": "FIZZLED", LOST_FIELD: {"$exists": False}}
    if since:
        own["time_start"] = {"$gte": since}
    raised: Counter[str] = Counter()
    for launch in pad.launches.find(own, {"action.stored_data._exception": 1}):
        stored = (launch.get("action") or {}).get("stored_data") or {}
        trace = str(stored.get("_exception"))
        if TIME_OVER in trace:
            raised["time"] += 1
        else:
            raised["database" if DATABASE_AWAY in trace else "errors"] += 1
    return raised


def retry_launch(
    pad: LaunchPad,
    fw_id: int,
    launch_id: int,
    allowance: Allowance | None = None,
    since: str = "",
) -> bool:
    """
    Make a Firework READY again whose last launch raised an error, if it may be tried again.

    Parameters
    ----------
    pad : LaunchPad
    fw_id : int
    launch_id : int
        The launch that ended; if the Firework has gone on since, nothing is done.
    allowance : Allowance, optional
        Default: the usual one.
    since : str
        Start of what counts (ISO 8601); empty: everything.

    Returns
    -------
    bool
        Whether it is READY now.
    """
    failed_now = {"fw_id": fw_id, "launches": launch_id, "state": "FIZZLED"}
    if pad.fireworks.find_one(failed_now, {"fw_id": 1}) is None:
        return False
    covered = (allowance or Allowance()).covers(count_errors(pad, fw_id, since))
    return covered and retry(pad, fw_id)


def retry(pad: LaunchPad, fw_id: int) -> bool:
    """
    Make a FIZZLED Firework READY again unless a child of it has run, or no workflow has it.

    One whose launch has completed is COMPLETED then, and does not run again.
    """
    workflow = pad.workflows.find_one({"nodes": fw_id}, {"links": 1})
    if workflow is None or apply_completed(pad, fw_id):
        return False
    children = workflow["links"].get(str(fw_id), [])
    gone_on = {"fw_id": {"$in": children}, "state": {"$nin": ["WAITING", "READY"]}}
    if pad.fireworks.find_one(gone_on, {"fw_id": 1}):
        return False
    pad.rerun_fw(fw_id)
    return True


def retry_all(pad: LaunchPad) -> list[int]:
    """
    Make FIZZLED Fireworks READY again, except where a child has gone on without them.

    Returns
    -------
    list of int
        Their ids.
    """
    failed = [d["fw_id"] for d in pad.fireworks.find({"state": "FIZZLED"}, {"fw_id": 1})]
    return [fw_id for fw_id in failed if retry(pad, fw_id)]
