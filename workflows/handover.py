"""Fetch the output of a finished job by its id."""

from __future__ import annotations

from typing import Any

from jobflow import CURRENT_JOB, SETTINGS
from monty.json import MontyDecoder


def output_of(uuid: str) -> Any:
    """
    Return the newest output of a job, blobs included.

    Spawned jobs use it in place of a reference: jobflow lets references of spawned jobs point
    only to jobs spawned with them, and passing a large state by value would put it into the
    Firework's document.

    Parameters
    ----------
    uuid
        Of a job that has finished.

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
    return MontyDecoder().process_decoded(store.get_output(uuid, which="last", load=True))
