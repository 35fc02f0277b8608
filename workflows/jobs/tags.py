"""How jobs are labelled: the stage they belong to and the queue that runs them."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from jobflow import Flow, Job

from workflows.jobs.progress import STAGES
from workflows.jobs.site import site_settings

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
        One of :data:`workflows.jobs.progress.STAGES`.
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
        {"manager_config": fireworks_spec(stage, queue), "pass_manager_config": False},
        attributes=["manager_config", "pass_manager_config"],
        dynamic=False,
    )
    return work


def fireworks_spec(stage: str, queue: str = POTENTIAL_QUEUE) -> dict[str, Any]:
    """
    Return what FireWorks and its queue adapter are told of a job.

    The later the stage, the sooner the job: of many campaigns some finish while others wait.

    Parameters
    ----------
    stage
        One of :data:`workflows.jobs.progress.STAGES`.
    queue
        FireWorks category.
    """
    wanted = site_settings().resources_of(stage, queue)
    return {
        "_category": queue,
        "_priority": 10 * STAGES.index(stage),
        "_queueadapter": {"walltime": wanted.walltime, "nodes": wanted.nodes},
    }


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
