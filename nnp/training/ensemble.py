"""
All networks of an ensemble, optimised at once.

The loss is evaluated for all of them in one pass. Each network has its own line search: in every
pass stand the points that the networks wait for, whatever iteration they are in, and a network that
has come to its end leaves. It ends up the same in whichever company it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnp.metrics import Errors
from nnp.potential import Potential
from nnp.training import feed_forward
from nnp.training.batches import Batch
from nnp.training.loss import Loss
from nnp.training.members import Member, Search
from nnp.training.optimizers import LBFGS, Adam
from nnp.training.options import TrainingOptions
from nnp.training.result import TrainingStep
from nnp.training.warm_start import shrunk

Progress = Callable[[TrainingStep], None]
#: Networks that have completed an epoch, with the errors on the training frames if known.
Completed = list[tuple[Member[Any], Errors | None]]


class Ensemble:
    """
    The optimisation of all networks, and where it stands.

    Parameters
    ----------
    loss : Loss
        Of networks on the data set.
    options : TrainingOptions
        Number of networks, optimiser and when to stop.
    split : tuple of ndarray of int
        Training and validation frames.
    seed : int
        Of the initial weights and the minibatches.
    start : Potential or None
        Of the same preprocessing, to begin from instead of random weights.

    Attributes
    ----------
    members : list of Member
        The networks.
    """

    def __init__(
        self,
        loss: Loss,
        options: TrainingOptions,
        split: tuple[NDArray[np.int64], NDArray[np.int64]],
        seed: int,
        start: Potential | None = None,
    ) -> None:
        self.loss, self.options = loss, options
        self.training, self.validation = split
        self._validation_batch = loss.batch(self.validation)
        self.steps: list[TrainingStep] = []
        self._searches: dict[int, Search] = {}
        self.members: list[Member[Any]] = []
        generators = [np.random.default_rng([seed, k]) for k in range(options.members)]
        initial = [
            feed_forward.flatten(
                [feed_forward.initial_layers(loss.sizes, g) for _ in range(loss.n_elements)]
            )
            for g in generators
        ]
        for k, parameters in enumerate(initial if start is None else shrunk(start, initial)):
            optimizer = LBFGS() if options.optimizer == "lbfgs" else Adam(len(parameters))
            self.members.append(Member(k, parameters, optimizer))
        # The first network's goes on to order the minibatches, which all networks share.
        self._generator = generators[0]

    @cached_property
    def _training_batch(self) -> Batch:
        """All training frames; Adam, which takes a few at a time, can do without."""
        return self.loss.batch(self.training)

    @property
    def history(self) -> list[TrainingStep]:
        """Every epoch, network by network."""
        return sorted(self.steps, key=lambda step: (step.member, step.epoch))

    @property
    def epoch_limit(self) -> int:
        """Epochs of each network at most."""
        return self.options.epoch_limit(len(self.training))

    def state(self) -> dict[str, Any]:
        """What is kept in a checkpoint."""
        return {
            "members": [member.state() for member in self.members],
            "history": [step.as_dict() for step in self.steps],
            "generator": self._generator.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        for member, stored in zip(self.members, state["members"], strict=True):
            member.restore(stored)
        self.steps = [TrainingStep.from_dict(step) for step in state["history"]]
        self._generator.bit_generator.state = state["generator"]

    def optimize(
        self, progress: Progress | None = None, save: Callable[[], None] | None = None
    ) -> list[str]:
        """
        Train every network until something says stop.

        Parameters
        ----------
        progress : callable or None
            Called after each epoch of each network.
        save : callable or None
            Called whenever the state is one to go on from.

        Returns
        -------
        list of str
            Why each network stopped.
        """
        earlier, start = self._seconds, time.monotonic()
        advance = self._adam_epoch if self.options.optimizer == "adam" else self._lbfgs_pass
        while self._active:
            completed = advance()
            for step in self._validate(completed, earlier + time.monotonic() - start):
                self.steps.append(step)
                if progress is not None:
                    progress(step)
            if save is not None and completed:
                save()
        return [str(self._finished(member)) for member in self.members]

    @property
    def _seconds(self) -> float:
        """Time of training so far."""
        return self.steps[-1].seconds if self.steps else 0.0

    @property
    def _active(self) -> list[Member[Any]]:
        return [member for member in self.members if self._finished(member) is None]

    def _finished(self, member: Member[Any]) -> str | None:
        """Why a network is at its end, if it is."""
        options = self.options
        if member.stuck:
            return "the loss cannot be lowered further"
        if options.stop == "thresholds" and member.best_score < 1.0:
            return "thresholds reached"
        patience = options.patience_limit(len(self.training))
        if member.epoch - member.gain_epoch >= patience:
            gain = f" of {options.counted_gain:.2g}" if options.counted_gain else ""
            return f"no improvement{gain} on validation for {patience} epochs"
        if member.epoch >= self.epoch_limit:
            return "epoch limit"
        limit = options.time_limit
        if limit is not None and member.epoch and self._seconds >= limit:
            return "time limit"
        return None

    def _validate(self, completed: Completed, seconds: float) -> list[TrainingStep]:
        """Errors on validation of networks that have completed an epoch."""
        if not completed:
            return []
        parameters = np.array([member.parameters for member, _ in completed])
        found = self.loss.errors(parameters, self._validation_batch)
        steps = []
        for (member, training), validation in zip(completed, found, strict=True):
            if training is None:
                training = self.loss.errors(member.parameters[None], self._training_batch)[0]
            member.record(self.options.score(validation), self.options.counted_gain)
            steps.append(
                TrainingStep(
                    member.epoch, seconds, training, validation, member.index, self.epoch_limit
                )
            )
        return steps

    def _lbfgs_pass(self) -> Completed:
        """One pass over the training frames, for all points that networks wait for."""
        for member in self._active:
            if member.index not in self._searches:
                self._searches[member.index] = Search(member)
        waiting = [search for search in self._searches.values() if not search.complete]
        if waiting:
            points = np.array([search.point for search in waiting])
            answers = self.loss(points, self._training_batch)
            for search, value, gradient, errors in zip(waiting, *answers, strict=True):
                search.answer(float(value), gradient, errors)
        done = [search for search in self._searches.values() if search.complete]
        for search in done:
            del self._searches[search.member.index]
        return [(search.member, search.errors) for search in done]

    def _adam_epoch(self) -> Completed:
        """One pass over shuffled minibatches; errors are averages over the pass."""
        options, members = self.options, self._active
        order = self._generator.permutation(self.training)
        done = members[0].epoch / max(1, self.epoch_limit - 1)
        decay = (options.final_learning_rate / options.learning_rate) ** min(1.0, done)
        squares, counts = np.zeros((len(members), 3)), np.zeros((len(members), 3))
        for low in range(0, len(order), options.batch_size):
            batch = np.sort(order[low : low + options.batch_size])
            points = np.array([member.parameters for member in members])
            _, gradients, errors = self.loss(points, self.loss.batch(batch))
            for member, gradient in zip(members, gradients, strict=True):
                member.parameters = member.optimizer.step(
                    member.parameters, gradient, options.learning_rate * decay
                )
            found = np.array([[e.energy, e.force, e.stress] for e in errors])
            present = np.isfinite(found)
            squares[present] += len(batch) * found[present] ** 2
            counts[present] += len(batch)
        with np.errstate(invalid="ignore"):
            means = np.sqrt(squares / np.where(counts > 0, counts, np.nan))
        return [(m, Errors(*map(float, row))) for m, row in zip(members, means, strict=True)]
