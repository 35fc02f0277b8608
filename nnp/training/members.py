"""The networks of an ensemble while they are trained."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from nnp.metrics import Errors
from nnp.training.optimizers import LBFGS, Adam, Iteration

Optimizer = TypeVar("Optimizer", LBFGS, Adam)

_STATE = (
    "parameters", "best", "best_score", "epoch", "gain_score", "gain_epoch", "stuck",
)  # fmt: skip


class Member(Generic[Optimizer]):
    """
    One network: where its optimisation stands.

    Parameters
    ----------
    index : int
        Which of the ensemble.
    parameters : ndarray
        To begin with, shape (n_parameters,).
    optimizer : LBFGS or Adam
        Of its own.

    Attributes
    ----------
    best : ndarray
        Parameters with the smallest score on validation.
    best_score : float
        The score.
    epoch : int
        Epochs done.
    gain_score : float
        Score at the last improvement large enough to count.
    gain_epoch : int
        Epoch of this improvement.
    stuck : bool
        Whether the optimiser cannot go on.
    """

    def __init__(self, index: int, parameters: NDArray[np.float64], optimizer: Optimizer) -> None:
        self.index, self.parameters = index, parameters
        self.optimizer: Optimizer = optimizer
        self.best, self.best_score = parameters, np.inf
        self.gain_score, self.gain_epoch = np.inf, 0
        self.epoch, self.stuck = 0, False

    def record(self, score: float, smallest_gain: float) -> None:
        """
        Count an epoch.

        Parameters
        ----------
        score : float
            On validation, at its end.
        smallest_gain : float
            Relative improvement that counts.
        """
        self.epoch += 1
        if score < self.best_score:
            self.best, self.best_score = self.parameters.copy(), score
        if score < self.gain_score * (1.0 - smallest_gain):
            self.gain_score, self.gain_epoch = score, self.epoch

    def state(self) -> dict[str, Any]:
        """What is kept in a checkpoint."""
        return {
            **{name: getattr(self, name) for name in _STATE},
            "optimizer": self.optimizer.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        for name in _STATE:
            setattr(self, name, state[name])
        self.optimizer.restore(state["optimizer"])


class Search:
    """
    One iteration of L-BFGS of a member, which waits for values and gradients.

    Parameters
    ----------
    member : Member
        Its parameters change when the iteration is complete, and not before: an iteration that is
        interrupted begins again.

    Attributes
    ----------
    point : ndarray
        Where the loss is wanted next.
    errors : Errors or None
        On the training frames at the end of the iteration, if they are known.
    """

    def __init__(self, member: Member[LBFGS]) -> None:
        self.member = member
        self.errors: Errors | None = None
        self._iteration: Iteration = member.optimizer.iterate(member.parameters)
        self._seen: list[tuple[NDArray[np.float64], Errors]] = []
        self.point = self.member.parameters
        self.complete = self._go_on(None)

    def answer(self, value: float, gradient: NDArray[np.float64], errors: Errors) -> None:
        """Tell loss, gradient and errors at the point."""
        self._seen.append((self.point, errors))
        self.complete = self._go_on((value, gradient))

    def _go_on(self, found: tuple[float, NDArray[np.float64]] | None) -> bool:
        """Resume the iteration; whether it came to its end."""
        try:
            self.point = self._iteration.send(found)  # type: ignore[arg-type]
        except StopIteration as end:
            self.member.parameters, moved = end.value
            self.member.stuck = not moved
            for point, errors in reversed(self._seen):
                if np.array_equal(point, self.member.parameters):
                    self.errors = errors
                    break
            return True
        return False
