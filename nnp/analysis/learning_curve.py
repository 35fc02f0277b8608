"""Whether more frames would help: errors against the size of the training set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nnp.frames import Frames
from nnp.metrics import Errors
from nnp.training.options import TrainingOptions
from nnp.training.trainer import choose_split, train

#: Shares of the training frames at which the paper-like curve is taken.
FRACTIONS = (0.1, 0.2, 0.4, 0.8, 1.0)


@dataclass(frozen=True)
class LearningPoint:
    """Errors reached with part of the training frames.

    Parameters
    ----------
    fraction
        Share of the training frames used.
    n_frames
        Their number.
    training, validation
        Errors in meV/atom, eV/Å, kbar; validation frames are the same for all points.
    """

    fraction: float
    n_frames: int
    training: Errors
    validation: Errors


def learning_curve(
    frames: Frames,
    options: TrainingOptions | None = None,
    fractions: Sequence[float] = FRACTIONS,
    *,
    seed: int = 0,
    progress: Callable[[LearningPoint], None] | None = None,
) -> list[LearningPoint]:
    """Train on growing parts of the data, validating on the same frames.

    The parts are spread evenly over the trajectory.

    Parameters
    ----------
    frames, options, seed
        As for :func:`nnp.training.trainer.train`; every point is trained until the options say
        stop.
    fractions
        Of the training frames.
    progress
        Called with each point.
    """
    options = options or TrainingOptions()
    training, validation = choose_split(frames, options, seed)
    points = []
    for fraction in fractions:
        n = max(1, round(fraction * len(training)))
        part = training[np.unique(np.linspace(0, len(training) - 1, n).round().astype(int))]
        result = train(frames, options, seed=seed, split=(part, validation))
        points.append(LearningPoint(fraction, len(part), result.training, result.validation))
        if progress is not None:
            progress(points[-1])
    return points
