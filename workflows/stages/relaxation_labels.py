"""Configurations of relaxations by the reference engine, as labels: none is thrown away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from nnp.frames import Frames
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.training import LabelDocument
from workflows.jobs.outputs import output_of, outputs_left_out

#: Stage of the frames of candidates' relaxations.
CANDIDATE = "candidate"
#: Stages whose labels a correction may leave out. Crystals of the judgement are never learnt from.
LEARNT_FROM = ("label", "improve", "candidates")


def labels_of(relaxed: Iterable[RelaxDocument]) -> Frames:
    """
    Join the configurations of candidates' relaxations.

    Parameters
    ----------
    relaxed : iterable of RelaxDocument
        Those that failed may have none.

    Returns
    -------
    Frames
        Of the stage ``"candidate"``.
    """
    frames = Frames.concatenate([one.frames for one in relaxed if one.frames is not None])
    return replace(frames, stages=np.full(len(frames), CANDIDATE))


def labels_left_out() -> list[str]:
    """
    Find the jobs whose labels a correction of the campaign's settings has left out.

    Returns
    -------
    list of str
        Jobs that labelled or relaxed for a learning that is done again, or for a ranking.
    """
    return outputs_left_out((LabelDocument.__name__, RelaxDocument.__name__), LEARNT_FROM)


def former_labels(jobs: Iterable[str], known: Frames) -> tuple[Frames, int]:
    """
    Read labels that a correction has left out.

    Parameters
    ----------
    jobs : iterable of str
        As :func:`labels_left_out` gives them.
    known : Frames
        Labelled again since, or before: not needed a second time.

    Returns
    -------
    tuple
        Frames that are not among the known ones, and evaluations of the engine that all took.
    """
    seen = {_key(frame) for frame in known}
    found, evaluations = [], 0
    for job in jobs:
        document: LabelDocument | RelaxDocument = output_of(job)
        if isinstance(document, LabelDocument):
            frames: Frames = document.frames
            evaluations += document.n_labelled
        else:
            frames = document.frames or Frames.from_atoms([])
            evaluations += document.steps + 1
            if "candidates" in frames.stages:
                frames = labels_of([document])
        found += [frame for frame in frames if _key(frame) not in seen]
        seen |= {_key(frame) for frame in frames}
    return Frames.concatenate(found), evaluations


def _key(frame: Frames) -> bytes:
    """What tells one configuration from another."""
    return b"".join(array.tobytes() for array in (frame.numbers, frame.cells, frame.positions))
