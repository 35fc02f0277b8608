"""
Jobs that run out of time leave what they have and are continued by a job of their own name.

The continuation replaces the job: it has the same id and the next index, so whoever waits for the
job gets the output of the last part, and running a part again neither repeats its work nor makes
a second continuation.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobflow import CURRENT_JOB, Job, Maker, Response

from workflows.documents.base import Document
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.vasp.level import Level
from workflows.jobs.checkpoints import discard_checkpoint
from workflows.jobs.interruption import external_program
from workflows.jobs.outputs import output_of, stored_output

if TYPE_CHECKING:
    from jobflow import OutputReference


class PartialDocument(Document):
    """What a part leaves that ran out of time."""


@dataclass
class VaspMaker(Maker):
    """
    Base of the makers of VASP's jobs.

    Parameters
    ----------
    level : Level
        How well.
    plane_waves : PlaneWaves, OutputReference or None
        What the convergence test found, or the reference to it. jobflow waits for references in
        the arguments of a job, not in its maker, so ``make`` moves it there.
    """

    level: Level = field(default_factory=Level)
    plane_waves: PlaneWaves | OutputReference | None = None


def compute_in_parts(compute: Callable[[], Any], rest: Callable[[], Job]) -> Any:
    """
    Compute a part, unless its output is stored; if time ran out, let another job do the rest.

    Parameters
    ----------
    compute : callable
        Gives the document of the whole, or a :class:`PartialDocument`.
    rest : callable
        Makes the job that does what is left.

    Returns
    -------
    Any
        The document of the whole, or the response that leaves the part.
    """
    with external_program():
        found, result = stored_output()
        if found:
            discard_checkpoint()
        else:
            result = compute()
        if not isinstance(result, PartialDocument):
            return result
        return Response(output=result, replace=like_current(rest()))


def like_current(rest: Job) -> Job:
    """
    Give a job the name, the queue and the metadata of the current one.

    Parameters
    ----------
    rest : Job
        What is left to do.
    """
    current = CURRENT_JOB.job
    if current is not None:
        rest.name = current.name
        rest.metadata = deepcopy(current.metadata)
        rest.config = deepcopy(current.config)
    return rest


def previous_part() -> Any:
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
