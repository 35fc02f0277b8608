"""Documents of new Fireworks, as FireWorks makes them, without its copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fireworks import Firework


def firework_document(firework: Firework) -> dict[str, Any]:
    """
    Return what :meth:`fireworks.Firework.to_db_dict` returns for a new Firework.

    FireWorks goes through a job three more times after the job itself has made plain dictionaries
    of all that it holds: here they are taken as they are.

    Parameters
    ----------
    firework : Firework
        That has not been launched.
    """
    from jobflow.managers.fireworks import JobFiretask

    tasks = firework.tasks
    if firework.launches or firework.archived_launches or any(
        type(task) is not JobFiretask or set(task) != {"job", "store"} or task["store"] is not None
        for task in tasks
    ):  # fmt: skip
        whole: dict[str, Any] = firework.to_db_dict()
        return whole
    firework.tasks = []
    try:
        document: dict[str, Any] = firework.to_db_dict()
    finally:
        firework.tasks = tasks
    document["spec"]["_tasks"] = [
        {"job": task["job"].as_dict(), "store": None, "_fw_name": task.fw_name} for task in tasks
    ]
    return document
