"""
Make spawning jobs safe to run again.

Running a Firework again that had spawned jobs spawns them once more. Two things make that
harmless: spawned jobs get ids that follow from their parent (:func:`spawn`), so that the
second generation is the first; and a job that finds its output under its own id returns it
instead of computing it (:func:`once`).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from jobflow import CURRENT_JOB, Flow, Job, Response
from monty.json import MontyDecoder, MontyEncoder, jsanitize

from workflows.jobs.checkpoints import discard_checkpoint
from workflows.jobs.outputs import stored_output

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "devitrify")

Parameters = ParamSpec("Parameters")
Output = TypeVar("Output")
AnyFlow = TypeVar("AnyFlow", Job, Flow)


def content_id(*parts: Any) -> str:
    """
    Return an id that follows from what it is of, whoever asks for it.

    Parameters
    ----------
    *parts : object
        MSONable, or plain.
    """
    text = json.dumps(parts, cls=MontyEncoder, sort_keys=True)
    return str(uuid.uuid5(NAMESPACE, hashlib.sha256(text.encode()).hexdigest()))


def spawn(flow: AnyFlow, key: str = "", fixed: Collection[str] = ()) -> AnyFlow:
    """
    Return a flow whose ids follow from the job that spawns it.

    Parameters
    ----------
    flow : Job or Flow
        What the current job is about to return as replacement, addition or detour.
    key : str
        Tells flows apart where one job returns several.
    fixed : collection of str
        Ids that follow from something else and are kept.

    Returns
    -------
    Flow or Job
        The same with new uuids, a function of the uuid and index of the current job, the key and
        the order of the jobs. Outside a job nothing changes.

    Examples
    --------
    >>> @job
    ... def refine(temperatures):
    ...     runs = [MolecularDynamicsMaker().make(t) for t in temperatures]
    ...     return Response(replace=spawn(Flow(runs)))
    """
    parent = CURRENT_JOB.job
    if parent is None:
        return flow
    text = json.dumps(jsanitize(flow.as_dict(), strict=True, enum_values=True))
    for ordinal, old in enumerate(found for found in _all_uuids(flow) if found not in fixed):
        name = f"{parent.uuid}/{parent.index}/{key}/{ordinal}"
        text = text.replace(old, str(uuid.uuid5(NAMESPACE, name)))
    return MontyDecoder().process_decoded(json.loads(text))


def replace_by(runs: Sequence[Job | Flow], last: Job) -> Response:
    """
    Let the current job be replaced by runs and by a job that looks at them.

    Parameters
    ----------
    runs : sequence of Job or Flow
    last : Job
        Its output stands for that of the current job.

    Returns
    -------
    Response
        What the current job returns.
    """
    return Response(replace=spawn(Flow([*runs, last], output=last.output)))


def once(function: Callable[Parameters, Output]) -> Callable[Parameters, Output]:
    """
    Make a job's function return the stored output of the same job, if there is one.

    Goes below jobflow's decorator, on jobs that only compute::

        @job(data=Frames)
        @once
        def run(...): ...

    The job's uuid and index say what "the same" is; to compute again, remove the output from
    the job store. Jobs that return a ``Response`` must not use it: what they spawn is not stored.
    """

    @wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Output:
        found, output = stored_output()
        if not found:
            return function(*args, **kwargs)
        discard_checkpoint()  # of a launch that was killed after it had stored the output
        return output

    return run


def _all_uuids(flow: Job | Flow) -> list[str]:
    """Return the uuids of a flow and of all that is in it, in order."""
    if isinstance(flow, Job):
        return [flow.uuid]
    return [flow.uuid, *(found for part in flow.jobs for found in _all_uuids(part))]
