"""Documents of Fireworks, as FireWorks makes them, without its copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fireworks import Firework


def firework_document(firework: Firework) -> dict[str, Any]:
    """
    Return what :meth:`fireworks.Firework.to_db_dict` returns.

    FireWorks goes through a job three more times after the job itself has made plain dictionaries
    of all that it holds: here they are taken as they are. And it goes through all that the launches
    hold, to leave it out then: here their numbers alone are looked at.

    Parameters
    ----------
    firework : Firework
        New, or from the launchpad.
    """
    launches = {"launches": firework.launches, "archived_launches": firework.archived_launches}
    tasks, plain = firework.tasks, _has_plain_jobs(firework)
    try:
        firework.launches, firework.archived_launches = [], []
        if plain:
            firework.tasks = []
        document: dict[str, Any] = firework.to_db_dict()
    finally:
        firework.tasks = tasks
        for name, held in launches.items():
            setattr(firework, name, held)
    if plain:
        document["spec"]["_tasks"] = [
            {"job": task["job"].as_dict(), "store": None, "_fw_name": task.fw_name}
            for task in tasks
        ]
    for name, held in launches.items():
        document[name] = [launch.launch_id for launch in held]
    return document


def _has_plain_jobs(firework: Firework) -> bool:
    """Whether all that it does are jobs of jobflow, which make dictionaries of themselves."""
    from jobflow.managers.fireworks import JobFiretask

    return all(
        type(task) is JobFiretask and set(task) == {"job", "store"} and task["store"] is None
        for task in firework.tasks
    )
