"""A Firework whose launch is recorded as COMPLETED never runs again, whatever else is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fireworks import LaunchPad, Workflow

Jobs = set[tuple[str, int]]


def apply_completed(pad: LaunchPad, fw_id: int) -> bool:
    """
    Bring a Firework up to date that counts as failed though its launch has completed.

    FireWorks marks a Firework as FIZZLED if the database fails while the end of its launch is being
    written to the workflow.

    Parameters
    ----------
    pad : LaunchPad
        Launchpad.
    fw_id : int
        The Firework.

    Returns
    -------
    bool
        Whether it has such a launch.
    """
    firework = pad.fireworks.find_one({"fw_id": fw_id}, {"launches": 1})
    done = {"launch_id": {"$in": (firework or {}).get("launches", [])}, "state": "COMPLETED"}
    found = pad.launches.find_one(done, {"launch_id": 1})
    if found is None:
        return False
    launch = pad.get_launch_by_id(found["launch_id"])
    if launch.action is not None and (launch.action.detours or launch.action.additions):
        # the workflow may have been written before the database failed
        leave_out(launch.action, jobs_of_workflow(pad, fw_id))
        pad.launches.find_one_and_replace({"launch_id": launch.launch_id}, launch.to_db_dict())
    pad._refresh_wf(fw_id)
    return True


def leave_out(action: Any, present: Jobs) -> None:
    """Leave out of what an action spawns the jobs that are there."""
    action.detours = [flow for flow in action.detours if not jobs_of(flow) <= present]
    action.additions = [flow for flow in action.additions if not jobs_of(flow) <= present]


def jobs_of(workflow: Workflow) -> Jobs:
    """Jobs of a workflow, by uuid and index; what is no job is not to be left out."""
    tasks = [task for firework in workflow.fws for task in firework.tasks]
    return {
        (task["job"].uuid, task["job"].index) if "job" in task else (str(id(task)), 0)
        for task in tasks
    }


def jobs_of_workflow(pad: LaunchPad, fw_id: int) -> Jobs:
    """Jobs of the workflow of a Firework, as the database has them."""
    workflow = pad.workflows.find_one({"nodes": fw_id}, {"nodes": 1})
    nodes: Iterable[int] = [] if workflow is None else workflow["nodes"]
    fields = {"spec._tasks.job.uuid": 1, "spec._tasks.job.index": 1}
    return {
        (task["job"]["uuid"], task["job"]["index"])
        for member in pad.fireworks.find({"fw_id": {"$in": list(nodes)}}, fields)
        for task in member["spec"]["_tasks"]
        if "job" in task
    }
