"""Training a potential on frames: from data to the best network on validation."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nnp.descriptors import SymmetryFunctions
from nnp.evaluation import evaluate
from nnp.frames import Frames
from nnp.metrics import Errors
from nnp.potential import Potential
from nnp.storage.arrays import encode_array
from nnp.storage.checkpoint import read_checkpoint, write_checkpoint
from nnp.training import feed_forward
from nnp.training.checks import check_frames
from nnp.training.dataset import Environments, Preprocessing
from nnp.training.distances import shortest_distances
from nnp.training.loss import Loss
from nnp.training.optimizers import LBFGS, Adam
from nnp.training.options import TrainingOptions
from nnp.training.repulsive_core import calibrated_repulsion
from nnp.training.result import TrainingResult, TrainingStep
from nnp.training.split import block_split, random_split

__all__ = [
    "TrainingOptions",
    "TrainingResult",
    "TrainingStep",
    "check_frames",
    "choose_split",
    "reference_energies",
    "train",
]

Progress = Callable[[TrainingStep], None]


def train(
    frames: Frames,
    options: TrainingOptions | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    elements: tuple[str, ...] | None = None,
    split: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> TrainingResult:
    """
    Train a potential.

    Parameters
    ----------
    frames : Frames
        Configurations with energies and forces; stresses where there are.
    options : TrainingOptions or None
        See :class:`TrainingOptions`.
    seed : int
        Of the split, the initial weights and the minibatches: the same seed, frames and options
        give the same potential.
    progress : callable or None
        Called after each epoch.
    checkpoint : Path or None
        File that is written now and then and read at the start, so that the same call continues
        after an interruption. It is ignored if frames, options or seed differ, and removed at
        the end.
    elements : tuple of str or None
        Order of the elements; by atomic number unless given.
    split : tuple of ndarray of int or None
        Training and validation frames, when the options' split is not wanted.

    Returns
    -------
    TrainingResult
    """
    options = options or TrainingOptions()
    check_frames(frames)
    chosen = split or choose_split(frames, options, seed)
    # The matrices are small: threads go over frames, and results do not depend on their number.
    with threadpool_limits(1):
        run = _Training(frames, options, seed, elements or frames.elements, chosen)
        if checkpoint is not None:
            run.restore(checkpoint)
        reasons = run.optimize_members(progress, checkpoint)
        result = run.result(reasons)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return result


def choose_split(
    frames: Frames, options: TrainingOptions, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split as the options say; without validation frames the training frames stand in."""
    fraction = options.validation_fraction
    if options.split == "random" or fraction == 0:
        training, validation = random_split(len(frames), fraction, seed)
    else:
        training, validation = block_split(frames, fraction, seed)
    return training, validation if len(validation) else training


def reference_energies(
    frames: Frames, elements: tuple[str, ...], chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Energies of the elements in eV that leave the least to be learned (least squares)."""
    from ase.data import atomic_numbers

    offsets = frames.offsets
    numbers = [atomic_numbers[symbol] for symbol in elements]
    composition = np.array(
        [
            [(frames.numbers[offsets[i] : offsets[i + 1]] == z).sum() for z in numbers]
            for i in chosen
        ],
        dtype=float,
    )
    return np.linalg.lstsq(composition, frames.energies[chosen], rcond=None)[0]


class _Training:
    """One training: the problem and where the optimisation stands."""

    def __init__(
        self,
        frames: Frames,
        options: TrainingOptions,
        seed: int,
        elements: tuple[str, ...],
        split: tuple[NDArray[np.int64], NDArray[np.int64]],
    ) -> None:
        self.frames, self.options, self.seed = frames, options, seed
        self.functions = SymmetryFunctions.standard(
            elements, options.radial_cutoff, options.angular_cutoff
        )
        self.training, self.validation = split
        self.environments = Environments(frames, self.functions, options.memory_limit * 1e9)
        self.preprocessing = Preprocessing.fit(
            self.environments.values_of(self.training),
            self.functions.n_functions,
            options.whitening_floor,
            options.whitening,
        )
        self.references = reference_energies(frames, elements, self.training)
        self.loss = Loss(
            frames,
            self.environments,
            self.preprocessing,
            options.hidden,
            options.loss_weights,
            self.references,
            options.threads,
            np.float32 if options.precision == "float32" else np.float64,
        )
        self.history: list[TrainingStep] = []
        self.members: list[NDArray[np.float64]] = []
        self.start_member()

    @property
    def epoch_limit(self) -> int:
        """Epochs of each network at most."""
        return self.options.epoch_limit(len(self.training))

    def start_member(self) -> None:
        """Begin the next network from fresh weights."""
        self.generator = np.random.default_rng([self.seed, len(self.members)])
        nets = [
            feed_forward.initial_layers(self.loss.sizes, self.generator)
            for _ in self.functions.elements
        ]
        self.parameters = feed_forward.flatten(nets)
        self.optimizer = (
            LBFGS() if self.options.optimizer == "lbfgs" else Adam(len(self.parameters))
        )
        self.best = self.parameters
        self.best_score, self.best_epoch, self.epoch = np.inf, 0, 0

    @property
    def fingerprint(self) -> str:
        """Hash of what makes two runs the same; limits that only say when to stop are not in it."""
        options = replace(
            self.options,
            max_epochs=None,
            time_limit=None,
            threads=1,
            checkpoint_interval=0.0,
            stop="converged",
            patience=0,
        )
        text = json.dumps([asdict(options), self.seed, self.functions.elements])
        digest = hashlib.sha256(text.encode())
        for array in (self.frames.positions, self.frames.energies, self.frames.forces):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint of the same run."""
        state = read_checkpoint(path, self.fingerprint)
        if state is None:
            return
        self.members = state["members"]
        self.start_member()
        for name in ("parameters", "best", "best_score", "best_epoch", "epoch"):
            setattr(self, name, state[name])
        self.history = [TrainingStep.from_dict(step) for step in state["history"]]
        self.generator.bit_generator.state = state["generator"]
        self.optimizer.restore(state["optimizer"])

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        names = ("members", "parameters", "best", "best_score", "best_epoch", "epoch")
        state = {name: getattr(self, name) for name in names}
        state["history"] = [step.as_dict() for step in self.history]
        state["generator"] = self.generator.bit_generator.state
        state["optimizer"] = self.optimizer.state()
        write_checkpoint(path, self.fingerprint, state)

    def optimize_members(self, progress: Progress | None, checkpoint: Path | None) -> list[str]:
        """Train every member that is not finished; returns why each stopped."""
        reasons = []
        while True:
            reasons.append(self.optimize(progress, checkpoint))
            self.members.append(self.best)
            if len(self.members) == self.options.members:
                return reasons
            self.start_member()

    def optimize(self, progress: Progress | None, checkpoint: Path | None) -> str:
        """Epochs until something says stop; returns what."""
        earlier = self.history[-1].seconds if self.history else 0.0
        start = saved = time.monotonic()
        reason = self._finished()
        while reason is None:
            moved, errors = self._epoch()
            self.epoch += 1
            seconds = earlier + time.monotonic() - start
            validation = self.loss.errors(self.parameters, self.validation)
            step = TrainingStep(
                self.epoch, seconds, errors, validation, len(self.members), self.epoch_limit
            )
            self.history.append(step)
            score = self.options.score(validation)
            if score < self.best_score:
                self.best, self.best_score = self.parameters.copy(), score
                self.best_epoch = self.epoch
            if progress is not None:
                progress(step)
            reason = self._finished() if moved else "the loss cannot be lowered further"
            if checkpoint is not None and (
                time.monotonic() - saved > self.options.checkpoint_interval
            ):
                self.save(checkpoint)
                saved = time.monotonic()
        return reason

    def _finished(self) -> str | None:
        options = self.options
        if options.stop == "thresholds" and self.best_score < 1.0:
            return "thresholds reached"
        patience = options.patience_limit(len(self.training))
        if self.epoch - self.best_epoch >= patience:
            return f"no improvement on validation for {patience} epochs"
        if self.epoch >= self.epoch_limit:
            return "epoch limit"
        seconds = self.history[-1].seconds if self.history else 0.0
        # Every member has its share of the time, at least one epoch.
        share = (len(self.members) + 1) / options.members
        if options.time_limit is not None and self.epoch and seconds >= options.time_limit * share:
            return "time limit"
        return None

    def _epoch(self) -> tuple[bool, Errors]:
        """One iteration or pass; returns whether it moved, and the training errors."""
        if isinstance(self.optimizer, Adam):
            return True, self._adam_epoch(self.optimizer)
        errors: list[tuple[NDArray[np.float64], Errors]] = []

        def objective(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            value, gradient, error = self.loss(x, self.training)
            errors.append((x, error))
            return value, gradient

        self.parameters, moved = self.optimizer.step(self.parameters, objective)
        for x, error in reversed(errors):
            if np.array_equal(x, self.parameters):
                return moved, error
        return moved, self.loss.errors(self.parameters, self.training)

    def _adam_epoch(self, optimizer: Adam) -> Errors:
        """One pass over shuffled minibatches; errors are averages over the pass."""
        options = self.options
        order = self.generator.permutation(self.training)
        done = self.epoch / max(1, self.epoch_limit - 1)
        decay = (options.final_learning_rate / options.learning_rate) ** min(1.0, done)
        squares, counts = np.zeros(3), np.zeros(3)
        for low in range(0, len(order), options.batch_size):
            batch = np.sort(order[low : low + options.batch_size])
            _, gradient, errors = self.loss(self.parameters, batch)
            self.parameters = optimizer.step(
                self.parameters, gradient, options.learning_rate * decay
            )
            found = np.array([errors.energy, errors.force, errors.stress])
            present = np.isfinite(found)
            squares[present] += len(batch) * found[present] ** 2
            counts[present] += len(batch)
        means = [np.sqrt(s / n) if n else np.nan for s, n in zip(squares, counts, strict=True)]
        return Errors(*map(float, means))

    def result(self, reasons: list[str]) -> TrainingResult:
        """Potential of the best parameters, with its record."""
        potential = self._potential()
        training = evaluate(potential, self.frames[self.training], self.options.threads).errors
        found = evaluate(potential, self.frames[self.validation], self.options.threads)
        potential.calibration = found.calibration
        potential.record |= {"training": asdict(training), "validation": asdict(found.errors)}
        return TrainingResult(
            potential=potential,
            history=self.history,
            training=training,
            validation=found.errors,
            reached=self.options.score(found.errors) < 1.0,
            reason="; ".join(dict.fromkeys(reasons)),
            training_frames=[int(i) for i in self.training],
            validation_frames=[int(i) for i in self.validation],
        )

    def _potential(self) -> Potential:
        n_elements, n_layers = len(self.functions.elements), len(self.loss.sizes) - 1
        nets = [feed_forward.unflatten(best, self.loss.sizes, n_elements) for best in self.members]

        def stack(layer: int, part: int) -> NDArray[np.float64]:
            """One array (n_elements, n_members, ...) for a layer's weights or biases."""
            return np.array([[net[e][layer][part] for net in nets] for e in range(n_elements)])

        potential = Potential(
            functions=self.functions,
            shift=self.preprocessing.shift,
            scale=self.preprocessing.scale,
            projection=self.preprocessing.projection,
            weights=tuple(stack(k, 0) for k in range(n_layers)),
            biases=tuple(stack(k, 1) for k in range(n_layers)),
            reference_energies=self.references,
        )
        shortest = shortest_distances(self.frames, self.functions.elements).min(axis=0)
        if self.options.repulsion:
            potential.repulsion = calibrated_repulsion(potential, self.frames, shortest)
        potential.record = {
            "elements": list(self.functions.elements),
            "n_frames": len(self.frames),
            "n_training": len(self.training),
            "n_validation": len(self.validation),
            "n_stresses": int(self.loss.has_stress[self.training].sum()),
            "shortest_distances": [
                [float(x) if np.isfinite(x) else None for x in row] for row in shortest
            ],
            "lowest": encode_array(self.preprocessing.lowest),
            "highest": encode_array(self.preprocessing.highest),
            "options": self.options.as_dict(),
            "seed": self.seed,
            "epochs": len(self.history),
            "version": _version(),
        }
        return potential


def _version() -> str:
    try:
        return version("devitrify")
    except PackageNotFoundError:
        return "unknown"
