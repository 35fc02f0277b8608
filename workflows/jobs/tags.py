"""How jobs are labelled: the stage they belong to and the queue that runs them."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from jobflow import Flow, Job

from workflows.jobs.site import site_settings
from workflows.jobs.stage import POTENTIAL_QUEUE, Stage

JobOrFlow = TypeVar("JobOrFlow", Job, Flow)


def tag(
    work: JobOrFlow, stage: Stage, queue: str = POTENTIAL_QUEUE, name: str | None = None
) -> JobOrFlow:
    """
    Mark jobs with their stage and their queue.

    The stage goes to the metadata, so that Fireworks and output documents can be queried by it.
    Spawned jobs are tagged by those who make them: they may belong to another queue than the job
    that spawns them, so the manager configuration is not passed on.

    Parameters
    ----------
    work : Job or Flow
        A flow's jobs are all of one stage.
    stage : Stage
        A row of :data:`workflows.stages.table.STAGES`.
    queue : str
        FireWorks category, one of those of the stage.
    name : str or None
        What people see of the job; none: the name that it has.

    Returns
    -------
    Job or Flow
        The same object, tagged.

    Raises
    ------
    ValueError
        If the stage has no jobs in that queue.
    """
    if name is not None:
        work.name = name
    work.update_metadata({"stage": stage.name})
    work.update_config(
        {"manager_config": fireworks_spec(stage, queue), "pass_manager_config": False},
        attributes=["manager_config", "pass_manager_config"],
        dynamic=False,
    )
    return work


def add_to_names(work: Job | Flow, words: str) -> None:
    """Put words behind the name of a job, or behind those of all jobs in a flow."""
    if isinstance(work, Job):
        work.name += words
        return
    for part in work.jobs:  # in any order, so that the flow need not look for one
        add_to_names(part, words)


def fireworks_spec(stage: Stage, queue: str = POTENTIAL_QUEUE) -> dict[str, Any]:
    """
    Return what FireWorks and its queue adapter are told of a job.

    The later the stage, the sooner the job: of many campaigns some finish while others wait.

    Parameters
    ----------
    stage : Stage
        A row of :data:`workflows.stages.table.STAGES`.
    queue : str
        FireWorks category, one of those of the stage.

    Raises
    ------
    ValueError
        If the stage has no jobs in that queue.
    """
    if queue not in stage.queues:
        raise ValueError(
            f"the stage {stage.name} has no jobs in the queue {queue}, only in "
            f"{', '.join(stage.queues)}"
        )
    wanted = site_settings().resources_of(stage.name, queue, stage.resources.get(queue))
    return {
        "_category": queue,
        "_priority": 10 * stage.position,
        "_queueadapter": {"walltime": wanted.walltime, "nodes": wanted.nodes},
    }


def derive_seed(seed: int, *key: object) -> int:
    """
    Derive an independent random seed from the campaign's seed and a key.

    Parameters
    ----------
    seed : int
        Seed of the campaign.
    *key : object
        What the seed is for, e.g. ``("liquid", replica, segment)``.

    Returns
    -------
    int
        A seed below 2³², the same on every machine.
    """
    text = ":".join(map(str, (seed, *key)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
