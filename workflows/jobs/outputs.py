"""Outputs of jobs, as other jobs find them in the job store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobflow import CURRENT_JOB, SETTINGS

from workflows.documents.decoding import decode

if TYPE_CHECKING:
    from jobflow import JobStore


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
