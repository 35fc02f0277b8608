"""What a job leaves for another one, or for itself after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobflow import CURRENT_JOB, SETTINGS
from monty.json import MontyDecoder

from workflows.site import site_settings


def output_of(uuid: str, index: int | None = None) -> Any:
    """
    Return an output of a job, blobs included.

    Spawned jobs use it in place of a reference: jobflow lets references of spawned jobs point
    only to jobs spawned with them, and passing a large state by value would put it into the
    Firework's document.

    Parameters
    ----------
    uuid
        Of a job that has finished.
    index
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
    return MontyDecoder().process_decoded(
        store.get_output(uuid, which="last" if index is None else index, load=True)
    )


@contextmanager
def checkpoint() -> Iterator[Path | None]:
    """
    Give the path of a checkpoint that the same job finds again when it is run once more.

    Every launch has a folder of its own. On a cluster the checkpoint is in the site's folder of
    checkpoints, which all nodes see. Without one it is in the folder above the launch's, the same
    for all launches of a local campaign and of one ``rlaunch rapidfire``. The file is removed at
    the job's good end.

    Yields
    ------
    Path or None
        None outside of a job.
    """
    job = CURRENT_JOB.job
    if job is None:
        yield None
        return
    folder = site_settings().checkpoints or Path.cwd().parent
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{job.uuid}-{job.index}.checkpoint"
    yield path
    path.unlink(missing_ok=True)
