"""Outputs of jobs, as other jobs find them in the job store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jobflow import CURRENT_JOB, SETTINGS

from workflows.documents.decoding import decode

if TYPE_CHECKING:
    from jobflow import JobStore

#: Of outputs that a correction has left out: their campaign, in place of ``metadata.campaign``.
FORMER_CAMPAIGN = "metadata.former_campaign"


def output_of(uuid: str, index: int | None = None) -> Any:
    """
    Return an output of a job, blobs included.

    Spawned jobs use it in place of a reference: jobflow lets references of spawned jobs point
    only to jobs spawned with them, and passing a large state by value would put it into the
    Firework's document.

    Parameters
    ----------
    uuid : str
        Of a job that has finished.
    index : int or None
        Of the output that is wanted, where a job left one and was then replaced; none: the last.

    Raises
    ------
    ValueError
        If the job store has no output of that job.
    """
    job = CURRENT_JOB.job
    store = (CURRENT_JOB.store if job is not None and job.config.expose_store else None) or (
        SETTINGS.JOB_STORE
    )
    store.connect()
    return decode(store.get_output(uuid, which="last" if index is None else index, load=True))


def outputs_left_out(kinds: Sequence[str], stages: Sequence[str]) -> list[str]:
    """
    Find what a correction of the current job's campaign has left out.

    Parameters
    ----------
    kinds : sequence of str
        Classes of the output documents.
    stages : sequence of str
        To which their jobs belonged.

    Returns
    -------
    list of str
        Jobs, the oldest first.
    """
    job = CURRENT_JOB.job
    campaign = None if job is None else job.metadata.get("campaign")
    if campaign is None:
        return []
    store: JobStore = CURRENT_JOB.store or SETTINGS.JOB_STORE
    store.connect()
    criteria = {
        FORMER_CAMPAIGN: campaign,
        "output.@class": {"$in": list(kinds)},
        "metadata.stage": {"$in": list(stages)},
    }
    found = store.query(criteria, ["uuid", "completed_at"], sort={"completed_at": 1})
    return list(dict.fromkeys(document["uuid"] for document in found))


def stored_output() -> tuple[bool, Any]:
    """Return whether the current job's output is in the job store, whole, and that output."""
    job = CURRENT_JOB.job
    if job is None:
        return False, None
    store: JobStore = CURRENT_JOB.store or SETTINGS.JOB_STORE
    store.connect()
    try:
        document = store.query_one({"uuid": job.uuid, "index": job.index}, load=True)
    except KeyError:
        # A kill between document and blobs has left a reference to a blob that is not there.
        return False, None
    if document is None:
        return False, None
    return True, decode(document["output"])
