"""
Compare what the launchpad believes with the jobs that SLURM has, and put it right.

A job that dies with its node, or by SIGKILL, tells nobody: its Firework would stay RUNNING, or
RESERVED, for ever. Everything here may run at any time, from several places at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from launch.cluster.slurm import LIVE
from launch.database.release import conclude, guarded, job_of, release, unfinished
from launch.database.retries import LOST_FIELD
from launch.database.states import HELD
from launch.database.writing import undo_cut_short

if TYPE_CHECKING:
    from fireworks import LaunchPad

logger = logging.getLogger(__name__)

#: A reservation without a job is given up after this long: qlaunch is submitting it.
SUBMISSION_SECONDS = 600.0
#: Half-done bookkeeping is left alone that long: whoever does it may be slow.
GRACE_SECONDS = 120.0
#: A launch that no job is known of is given up when it has given no sign of life for that long;
#: FireWorks gives one an hour, or more often.
SILENT_SECONDS = 4 * 3600.0
#: How a job ended, by SLURM's name for it.
KINDS = {
    "TIMEOUT": "time",
    "DEADLINE": "time",
    "PREEMPTED": "node",
    "NODE_FAIL": "node",
    "BOOT_FAIL": "node",
    "CANCELLED": "cancelled",
    "OUT_OF_MEMORY": "crash",
    "FAILED": "crash",
    "COMPLETED": "crash",
}


@dataclass(frozen=True)
class Repair:
    """
    One Firework that was put right.

    Attributes
    ----------
    fw_id : int
        The Firework.
    before, after : str
        Its states.
    reason : str
        What had happened.
    """

    fw_id: int
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class Deadlines:
    """
    When something counts as left behind.

    Attributes
    ----------
    submission_seconds : float
        Age of a reservation without a job.
    grace_seconds : float
        Age of half-done bookkeeping.
    silent_seconds : float
        Age of the last sign of life of a launch that runs in no known job.
    """

    submission_seconds: float = SUBMISSION_SECONDS
    grace_seconds: float = GRACE_SECONDS
    silent_seconds: float = SILENT_SECONDS


def reconcile(
    pad: LaunchPad, workers: Iterable[str], deadlines: Deadlines | None = None
) -> list[Repair]:
    """
    Free Fireworks whose SLURM job has ended.

    Parameters
    ----------
    pad : LaunchPad
        Launchpad.
    workers : iterable of str
        Names of the FireWorks workers whose jobs this SLURM runs; launches of other clusters on
        the same launchpad are not touched.
    deadlines : Deadlines or None
        When something counts as left behind.

    Raises
    ------
    CampaignError
        If SLURM does not answer; then nothing is changed.
    """
    from launch.cluster import slurm

    deadlines = deadlines or Deadlines()
    # in this order: a job that is submitted in between must not be missed
    fields = dict.fromkeys(("launch_id", "fw_id", "state", "state_history", "fworker.env"), 1)
    held = {"state": {"$in": HELD}, "fworker.name": {"$in": sorted(workers)}}
    launches = list(pad.launches.find(held, fields))
    jobs = slurm.jobs()
    repairs = []
    for launch in launches:
        ended = how_it_ended(launch, jobs, deadlines)
        if ended is None:
            continue
        after = guarded(launch["fw_id"], partial(release, pad, launch["launch_id"], *ended))
        if after is not None:
            repairs.append(Repair(launch["fw_id"], launch["state"], after, ended[1]))
    return repairs + _finish(pad, deadlines.grace_seconds)


def how_it_ended(
    launch: Mapping[str, Any], jobs: Mapping[str, str] | None, deadlines: Deadlines
) -> tuple[str, str] | None:
    """
    Kind and description of the end of a launch's job; none while it may live.

    Parameters
    ----------
    launch : mapping
        Its document.
    jobs : mapping or None
        States by number, as squeue gives them; none: it is another cluster's job.
    deadlines : Deadlines
        When a launch without a known job counts as given up.
    """
    job = job_of(launch)
    if job is None or jobs is None:
        age = _age(launch["state_history"][-1])
        if launch["state"] == "RESERVED":
            given_up = age > deadlines.submission_seconds
            return ("node", "it was reserved but never submitted") if given_up else None
        # started by hand, or by an rlaunch: it lives as long as FireWorks says so
        given_up = age > deadlines.silent_seconds
        return ("node", f"no sign of life for {age / 3600:.1f} h") if given_up else None
    state = jobs.get(job, "GONE")
    if state in LIVE:
        return None
    kind = KINDS.get(state, "node")
    if launch["state"] == "RESERVED" and kind == "crash":
        kind = "node"  # its batch script failed before any of our code ran
    return kind, f"SLURM job {job} ended ({state})"


def _finish(pad: LaunchPad, grace_seconds: float) -> list[Repair]:
    """Do what others began with and did not live to finish."""
    repairs = []
    before = datetime.now(UTC) - timedelta(seconds=grace_seconds)
    for launch in unfinished(pad, before):
        stored = launch["action"]["stored_data"]
        reason, kind = stored["_message"], stored.get("_kind") or "node"
        fw_id = launch["fw_id"]
        after = guarded(fw_id, partial(conclude, pad, fw_id, launch["launch_id"], kind, reason))
        if after is not None:
            repairs.append(Repair(fw_id, "RUNNING", after, reason))
    return [
        *repairs,
        *_undo_cut_short(pad, before),
        *_apply_ended(pad, before),
        *_free_orphans(pad, before),
    ]


def _undo_cut_short(pad: LaunchPad, before: datetime) -> list[Repair]:
    """Do again what a process had half written when it ended."""
    reason = "its workflow was being written by a process that ended"
    return [Repair(*undone, reason) for undone in undo_cut_short(pad, before)]


def _free_orphans(pad: LaunchPad, before: datetime) -> list[Repair]:
    """Free Fireworks that were taken by a process that died before it recorded a launch."""
    repairs = []
    # only then the time is a date; FireWorks replaces it by text when it records the launch
    taken = {"state": "RESERVED", "updated_on": {"$lt": before}}
    for firework in pad.fireworks.find(taken, {"fw_id": 1, "launches": 1, "updated_on": 1}):
        active = {"launch_id": {"$in": firework["launches"]}, "state": {"$in": HELD}}
        if pad.launches.find_one(active, {"_id": 1}) is not None:
            continue
        same = {**taken, "fw_id": firework["fw_id"], "updated_on": firework["updated_on"]}
        if pad.fireworks.find_one_and_update(same, {"$set": {"state": "READY"}}, {"_id": 1}):
            reason = "it was taken by a process that ended"
            repairs.append(Repair(firework["fw_id"], "RESERVED", "READY", reason))
    return repairs


def _apply_ended(pad: LaunchPad, before: datetime) -> list[Repair]:
    """Bring Fireworks up to date whose launch completed, but whose workflow was not told."""
    repairs = []
    for firework in pad.fireworks.find({"state": "RUNNING"}, {"fw_id": 1, "launches": 1}):
        ended = pad.launches.find_one(
            {
                "launch_id": {"$in": firework["launches"][-1:]},
                "state": {"$in": ["COMPLETED", "FIZZLED"]},
                LOST_FIELD: {"$exists": False},
                "time_end": {"$lt": before.isoformat()},
            },
            {"state": 1},
        )
        fw_id = firework["fw_id"]
        if ended is not None and guarded(fw_id, partial(_refresh, pad, fw_id)):
            reason = "its job ended while it was being recorded"
            repairs.append(Repair(fw_id, "RUNNING", ended["state"], reason))
    return repairs


def _refresh(pad: LaunchPad, fw_id: int) -> bool:
    pad._refresh_wf(fw_id)
    return True


def _age(entry: Mapping[str, Any]) -> float:
    """Seconds since an entry of a launch's history was written."""
    written = entry.get("updated_on") or entry["created_on"]
    if isinstance(written, str):
        written = datetime.fromisoformat(written)
    written = written if written.tzinfo else written.replace(tzinfo=UTC)
    return (datetime.now(UTC) - written).total_seconds()
