"""What a job leaves for itself, to go on after a kill."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobflow import CURRENT_JOB, SETTINGS

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
