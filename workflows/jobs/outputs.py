"""What a job leaves for another one, or for itself after a kill."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import CURRENT_JOB, SETTINGS
from monty.json import MontyDecoder

from workflows.jobs.site import site_settings

if TYPE_CHECKING:
    from jobflow import Job, JobStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Finished:
    """A checkpoint that is needed until its job's output is stored."""

    path: Path
    uuid: str
    index: int
    store: JobStore


_finished: list[_Finished] = []
"""Of jobs of this process."""


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
    for all launches of a local campaign and of one ``rlaunch rapidfire``. jobflow stores the output
    after the job's good end, and may fail to; so :func:`remove_checkpoints` removes the file later.

    Yields
    ------
    Path or None
        None outside of a job.
    """
    job = CURRENT_JOB.job
    if job is None:
        yield None
        return
    path = _checkpoint_of(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    store: JobStore = CURRENT_JOB.store or SETTINGS.JOB_STORE
    yield path
    _finished.append(_Finished(path, job.uuid, job.index, store))


def discard_checkpoint() -> None:
    """Remove what a launch before has left of the current job, whose output is stored."""
    if CURRENT_JOB.job is not None:
        _checkpoint_of(CURRENT_JOB.job).unlink(missing_ok=True)


def remove_checkpoints() -> None:
    """
    Remove the checkpoints of this process's finished jobs whose outputs are in the job store.

    Called after each launch, and when the process ends. Where the store does not answer they stay:
    the job runs again then, and goes on from them.
    """
    while _finished:
        job = _finished.pop()
        try:
            job.store.connect()
            stored = job.store.query_one({"uuid": job.uuid, "index": job.index}, ["uuid"])
        except Exception as error:  # of whatever store it is; tidying up must not fail a job
            logger.warning("The checkpoint %s stays: %s", job.path, error)
            continue
        if stored is not None:
            job.path.unlink(missing_ok=True)


atexit.register(remove_checkpoints)


def _checkpoint_of(job: Job) -> Path:
    folder = site_settings().checkpoints or Path.cwd().parent
    return folder / f"{job.uuid}-{job.index}.checkpoint"
