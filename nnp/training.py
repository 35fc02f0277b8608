"""Training a potential on frames: from data to the best network on validation."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from nnp import network
from nnp.checkpoint import read_checkpoint, write_checkpoint
from nnp.core import calibrated_repulsion
from nnp.dataset import Environments, Preprocessing, shortest_distances
from nnp.descriptors import SymmetryFunctions
from nnp.encoding import encode_array
from nnp.frames import Frames
from nnp.loss import Errors, Loss, LossWeights
from nnp.optimizers import LBFGS, Adam
from nnp.potential import Potential
from nnp.split import block_split, random_split


def _option(default: Any, unit: str, text: str) -> Any:
    """Field of an options class with its unit and help."""
    return field(default=default, metadata={"unit": unit, "help": text})


@dataclass(frozen=True)
class TrainingOptions(MSONable):
    """Everything that can be chosen about training.

    Units and meanings are in the fields' metadata.
    """

    radial_cutoff: float = _option(6.0, "Å", "cutoff of the radial symmetry functions")
    angular_cutoff: float = _option(4.5, "Å", "cutoff of the angular symmetry functions")
    hidden: tuple[int, ...] = _option((30, 30), "", "widths of the hidden layers")
    optimizer: Literal["lbfgs", "adam"] = _option(
        "lbfgs", "", "full-batch L-BFGS, or minibatch Adam as in the paper"
    )
    max_epochs: int = _option(2000, "", "iterations (L-BFGS) or passes over the data (Adam)")
    time_limit: float | None = _option(None, "s", "stop after this much time")
    stop: Literal["thresholds", "converged"] = _option(
        "thresholds", "", "when to stop: thresholds reached, or no improvement for `patience`"
    )
    patience: int = _option(150, "", "epochs without improvement on validation that end training")
    energy_threshold: float = _option(10.0, "meV/atom", "validation energy error aimed at")
    force_threshold: float = _option(0.2, "eV/Å", "validation force error aimed at")
    stress_threshold: float = _option(10.0, "kbar", "validation stress error aimed at")
    energy_weight: float = _option(1.0, "", "of (energy error / energy_threshold)² in the loss")
    force_weight: float = _option(1.0, "", "of (force error / force_threshold)² in the loss")
    stress_weight: float = _option(1.0, "", "of (stress error / stress_threshold)² in the loss")
    l2: float = _option(1e-5, "", "of half the sum of squared weights in the loss")
    validation_fraction: float = _option(0.1, "", "share of frames that validate")
    split: Literal["blocks", "random"] = _option(
        "blocks", "", "validation in stretches of time, or at random as in the paper"
    )
    whitening: bool = _option(True, "", "scale principal components to unit variance")
    whitening_floor: float = _option(1e-3, "", "smallest variance relative to the largest")
    batch_size: int = _option(10, "frames", "minibatch of Adam")
    learning_rate: float = _option(3e-3, "", "of Adam, at the start")
    final_learning_rate: float = _option(1e-4, "", "of Adam, at the last epoch (exponential decay)")
    memory_limit: float = _option(4.0, "GB", "for derivatives of the symmetry functions")
    precision: Literal["float32", "float64"] = _option("float32", "", "of the network in training")
    repulsion: bool = _option(True, "", "add a repulsive core below the shortest distances")
    threads: int = _option(1, "", "threads")
    checkpoint_interval: float = _option(20.0, "s", "between checkpoints")

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not 0 <= self.validation_fraction < 1:
            raise ValueError("The validation fraction must be at least 0 and less than 1.")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError("At least one hidden layer is needed, each of one neuron or more.")

    @property
    def loss_weights(self) -> LossWeights:
        """Weights in the units of the thresholds."""
        return LossWeights(
            self.energy_weight,
            self.force_weight,
            self.stress_weight,
            self.energy_threshold,
            self.force_threshold,
            self.stress_threshold,
            self.l2,
        )

    def score(self, errors: Errors) -> float:
        """Largest ratio of an error to its threshold: at most one when all are met."""
        ratios = [errors.energy / self.energy_threshold, errors.force / self.force_threshold]
        if np.isfinite(errors.stress):
            ratios.append(errors.stress / self.stress_threshold)
        return max(ratios)


@dataclass(frozen=True)
class TrainingStep(MSONable):
    """Errors after one epoch.

    Parameters
    ----------
    epoch
        Counted from one.
    seconds
        Since training began, interruptions not counted.
    training, validation
        Root-mean-square errors in meV/atom, eV/Å and kbar.
    """

    epoch: int
    seconds: float
    training: Errors
    validation: Errors

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TrainingStep:
        """Undo :meth:`as_dict`."""
        return cls(d["epoch"], d["seconds"], Errors(**d["training"]), Errors(**d["validation"]))


@dataclass(frozen=True, eq=False)
class TrainingResult(MSONable):
    """What training gives.

    Parameters
    ----------
    potential
        Best on validation; its ``record`` says how it was made.
    history
        Every epoch.
    training, validation
        Errors of that potential in meV/atom, eV/Å and kbar.
    reached
        Whether all thresholds were met on validation.
    reason
        Why training stopped.
    training_frames, validation_frames
        Indices of the frames that trained and validated.
    """

    potential: Potential
    history: list[TrainingStep]
    training: Errors
    validation: Errors
    reached: bool
    reason: str
    training_frames: list[int]
    validation_frames: list[int]

    def as_dict(self) -> dict[str, Any]:
        """Document with the potential's arrays compressed."""
        return {
            "@module": type(self).__module__,
            "@class": "TrainingResult",
            "potential": self.potential.as_dict(),
            "history": [step.as_dict() for step in self.history],
            "training": asdict(self.training),
            "validation": asdict(self.validation),
            "reached": self.reached,
            "reason": self.reason,
            "training_frames": self.training_frames,
            "validation_frames": self.validation_frames,
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TrainingResult:
        """Undo :meth:`as_dict`."""
        potential = d["potential"]
        if isinstance(potential, dict):
            potential = Potential.from_dict(potential)
        return cls(
            potential,
            [TrainingStep.from_dict(step) for step in d["history"]],
            Errors(**d["training"]),
            Errors(**d["validation"]),
            d["reached"],
            d["reason"],
            d["training_frames"],
            d["validation_frames"],
        )


Progress = Callable[[TrainingStep], None]


def train(
    frames: Frames,
    options: TrainingOptions | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    elements: tuple[str, ...] | None = None,
) -> TrainingResult:
    """Train a potential.

    Parameters
    ----------
    frames
        Configurations with energies and forces; stresses where there are.
    options
        See :class:`TrainingOptions`.
    seed
        Of the split, the initial weights and the minibatches: the same seed, frames and options
        give the same potential.
    progress
        Called after each epoch.
    checkpoint
        File that is written now and then and read at the start, so that the same call continues
        after an interruption. It is ignored if frames, options or seed differ, and removed at
        the end.
    elements
        Order of the elements; by atomic number unless given.

    Returns
    -------
    TrainingResult
    """
    options = options or TrainingOptions()
    check_frames(frames)
    run = _Run(frames, options, seed, elements or frames.elements)
    if checkpoint is not None:
        run.restore(checkpoint)
    reason = run.optimize(progress, checkpoint)
    result = run.result(reason)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return result


def check_frames(frames: Frames) -> None:
    """Refuse data that cannot be learned from, naming the first offending frame."""
    if not len(frames):
        raise ValueError("There are no frames to train on.")
    bad = ~np.isfinite(frames.energies)
    if bad.any():
        raise ValueError(
            f"Frame {int(np.argmax(bad))} has no finite energy; training needs one in every frame."
        )
    for name in ("forces", "positions"):
        finite = np.isfinite(getattr(frames, name)).all(axis=1)
        if not finite.all():
            atom = int(np.argmin(finite))
            frame = int(np.searchsorted(frames.offsets, atom, side="right")) - 1
            raise ValueError(f"Frame {frame} has missing or infinite {name}.")
    if not (np.isfinite(frames.cells).all() and (frames.volumes > 0).all()):
        raise ValueError("Every frame needs a periodic cell of finite volume.")


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


class _Run:
    """One training: the problem and where the optimisation stands."""

    def __init__(
        self, frames: Frames, options: TrainingOptions, seed: int, elements: tuple[str, ...]
    ) -> None:
        self.frames, self.options, self.seed = frames, options, seed
        self.functions = SymmetryFunctions.standard(
            elements, options.radial_cutoff, options.angular_cutoff
        )
        split = block_split if options.split == "blocks" else None
        if split is None or options.validation_fraction == 0:
            chosen = random_split(len(frames), options.validation_fraction, seed)
        else:
            chosen = split(frames, options.validation_fraction, seed)
        self.training, self.validation = chosen
        if not len(self.validation):
            self.validation = self.training
        self.environments = Environments(frames, self.functions, options.memory_limit * 1e9)
        trained_atoms = self.environments.atoms(self.training)
        mask = np.zeros(len(frames.numbers), dtype=bool)
        mask[trained_atoms] = True
        types = self.environments.types
        values = [value[mask[types == e]] for e, value in enumerate(self.environments.values)]
        self.preprocessing = Preprocessing.fit(
            values, self.functions.n_functions, options.whitening_floor, options.whitening
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
        self.generator = np.random.default_rng(seed)
        nets = [network.initial_layers(self.loss.sizes, self.generator) for _ in elements]
        self.parameters = network.flatten(nets)
        self.optimizer = LBFGS() if options.optimizer == "lbfgs" else Adam(len(self.parameters))
        self.best = self.parameters
        self.best_score, self.best_epoch = np.inf, 0
        self.history: list[TrainingStep] = []

    @property
    def fingerprint(self) -> str:
        """Hash of what makes two runs the same; limits that only say when to stop are not in it."""
        options = replace(
            self.options,
            max_epochs=0,
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
        self.parameters, self.best = state["parameters"], state["best"]
        self.best_score, self.best_epoch = state["best_score"], state["best_epoch"]
        self.history = [TrainingStep.from_dict(step) for step in state["history"]]
        self.generator.bit_generator.state = state["generator"]
        self.optimizer.restore(state["optimizer"])

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        write_checkpoint(
            path,
            self.fingerprint,
            {
                "parameters": self.parameters,
                "best": self.best,
                "best_score": self.best_score,
                "best_epoch": self.best_epoch,
                "history": [step.as_dict() for step in self.history],
                "generator": self.generator.bit_generator.state,
                "optimizer": self.optimizer.state(),
            },
        )

    def optimize(self, progress: Progress | None, checkpoint: Path | None) -> str:
        """Epochs until something says stop; returns what."""
        earlier = self.history[-1].seconds if self.history else 0.0
        start = saved = time.monotonic()
        reason = self._finished()
        while reason is None:
            moved, errors = self._epoch()
            seconds = earlier + time.monotonic() - start
            validation = self.loss.errors(self.parameters, self.validation)
            step = TrainingStep(len(self.history) + 1, seconds, errors, validation)
            self.history.append(step)
            score = self.options.score(validation)
            if score < self.best_score:
                self.best, self.best_score = self.parameters.copy(), score
                self.best_epoch = step.epoch
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
        options, epoch = self.options, len(self.history)
        if options.stop == "thresholds" and self.best_score < 1.0:
            return "thresholds reached"
        if epoch - self.best_epoch >= options.patience:
            return f"no improvement on validation for {options.patience} epochs"
        if epoch >= options.max_epochs:
            return "epoch limit"
        seconds = self.history[-1].seconds if self.history else 0.0
        if options.time_limit is not None and seconds >= options.time_limit:
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
        done = len(self.history) / max(1, options.max_epochs - 1)
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

    def result(self, reason: str) -> TrainingResult:
        """Potential of the best parameters, with its record."""
        training = self.loss.errors(self.best, self.training)
        validation = self.loss.errors(self.best, self.validation)
        potential = self._potential(training, validation)
        return TrainingResult(
            potential=potential,
            history=self.history,
            training=training,
            validation=validation,
            reached=self.options.score(validation) < 1.0,
            reason=reason,
            training_frames=[int(i) for i in self.training],
            validation_frames=[int(i) for i in self.validation],
        )

    def _potential(self, training: Errors, validation: Errors) -> Potential:
        nets = network.unflatten(self.best, self.loss.sizes, len(self.functions.elements))
        n_layers = len(self.loss.sizes) - 1
        potential = Potential(
            functions=self.functions,
            shift=self.preprocessing.shift,
            scale=self.preprocessing.scale,
            projection=self.preprocessing.projection,
            weights=tuple(np.array([net[k][0] for net in nets])[:, None] for k in range(n_layers)),
            biases=tuple(np.array([net[k][1] for net in nets])[:, None] for k in range(n_layers)),
            reference_energies=self.references,
        )
        shortest = shortest_distances(self.frames, self.functions.elements)
        if self.options.repulsion:
            potential.repulsion = calibrated_repulsion(potential, self.frames, shortest)
        potential.record = {
            "elements": list(self.functions.elements),
            "n_frames": len(self.frames),
            "n_training": len(self.training),
            "n_validation": len(self.validation),
            "training": asdict(training),
            "validation": asdict(validation),
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
