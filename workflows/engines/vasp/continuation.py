"""Jobs that run out of time leave what they have and are continued by a job of their own name.

The continuation replaces the job: it has the same id and the next index, so whoever waits for the
job gets the output of the last part, and running a part again neither repeats its work nor makes
a second continuation.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from jobflow import CURRENT_JOB, Job

from workflows.jobs.outputs import output_of


def carry_on(rest: Job) -> Job:
    """
    Make a job the continuation of the current one.

    Parameters
    ----------
    rest
        What is left to do.

    Returns
    -------
    Job
        The same with the name, the queue and the metadata of the current job.
    """
    current = CURRENT_JOB.job
    if current is not None:
        rest.name = current.name
        rest.metadata = deepcopy(current.metadata)
        rest.config = deepcopy(current.config)
    return rest


def part_before() -> Any:
    """
    Return what the part before this one left.

    Raises
    ------
    RuntimeError
        If this is no continuation.
    """
    current = CURRENT_JOB.job
    if current is None or current.index < 2:
        raise RuntimeError("a job can only continue a part that ran before it")
    return output_of(current.uuid, current.index - 1)
