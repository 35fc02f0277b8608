"""How jobs are labelled: the stage they belong to and the queue that runs them."""

from __future__ import annotations

import hashlib
import os
from typing import TypeVar

from jobflow import Flow, Job

from workflows.progress import STAGES

#: Queue of the jobs that call the reference engine, and of all the others.
REFERENCE_QUEUE = "dft"
POTENTIAL_QUEUE = "nnp"

JobOrFlow = TypeVar("JobOrFlow", Job, Flow)


def label(work: JobOrFlow, stage: str, queue: str = POTENTIAL_QUEUE) -> JobOrFlow:
    """
    Mark jobs with their stage and their queue.

    The stage goes to the metadata, so that Fireworks and output documents can be queried by it.
    Spawned jobs label themselves: they may belong to another queue than the job that spawns them,
    so the manager configuration is not passed on.

    Parameters
    ----------
    work
        A job, or a flow whose jobs are all of one stage.
    stage
        One of :data:`workflows.progress.STAGES`.
    queue
        FireWorks category.

    Returns
    -------
    Job or Flow
        The same object, labelled.
    """
    if stage not in STAGES:
        raise ValueError(f"{stage!r} is not a stage; the stages are {', '.join(STAGES)}")
    work.update_metadata({"stage": stage})
    work.update_config(
        {"manager_config": {"_category": queue}, "pass_manager_config": False},
        attributes=["manager_config", "pass_manager_config"],
    )
    return work


def derive_seed(seed: int, *key: object) -> int:
    """
    Derive an independent random seed from the campaign's seed and a key.

    Parameters
    ----------
    seed
        Seed of the campaign.
    key
        What the seed is for, e.g. ``("liquid", replica, segment)``.

    Returns
    -------
    int
        A seed below 2³², the same on every machine.
    """
    text = ":".join(map(str, (seed, *key)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
