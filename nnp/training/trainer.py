"""Training a potential on frames: from data to the best network on validation."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from nnp.descriptors import SymmetryFunctions
from nnp.evaluation import evaluate, force_calibration
from nnp.frames import Frames
from nnp.potential import Potential
from nnp.storage.arrays import encode_array
from nnp.storage.checkpoint import read_checkpoint, write_checkpoint
from nnp.training import feed_forward
from nnp.training.checks import check_frames
from nnp.training.dataset import Environments, Preprocessing
from nnp.training.distances import shortest_distances
from nnp.training.ensemble import Ensemble, Progress
from nnp.training.loss import Loss
from nnp.training.options import TrainingOptions
from nnp.training.repulsive_core import calibrated_repulsion
from nnp.training.result import TrainingResult, TrainingStep
from nnp.training.split import block_split, random_split
from nnp.training.warm_start import check_start, kept_preprocessing

__all__ = [
    "TrainingOptions",
    "TrainingResult",
    "TrainingStep",
    "check_frames",
    "choose_split",
    "reference_energies",
    "train",
]


def train(
    frames: Frames,
    options: TrainingOptions | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    elements: tuple[str, ...] | None = None,
    split: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    start: Potential | None = None,
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
        File that is written now and then and at the end, and read at the start, so that the same
        call continues after an interruption. It is ignored if frames, options or seed differ. Who
        has kept the result may remove it: until then a finished training is not done again.
    elements : tuple of str or None
        Order of the elements; by atomic number unless given.
    split : tuple of ndarray of int or None
        Training and validation frames, when the options' split is not wanted.
    start : Potential or None
        Potential to begin from instead of random weights: an earlier one, of the same elements and
        options, when frames have been added to those it was trained on. It is not made use of if
        the frames are far from its own.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        If the frames cannot be learned from, or `start` has networks of another kind.
    """
    options = options or TrainingOptions()
    check_frames(frames)
    chosen = split or choose_split(frames, options, seed)
    # The matrices are small: threads go over frames, and results do not depend on their number.
    with threadpool_limits(1):
        if elements is None:
            elements = frames.elements if start is None else start.elements
        run = _Training(frames, options, seed, elements, chosen, start)
        return run.result(run.optimize(progress, checkpoint))


def choose_split(
    frames: Frames, options: TrainingOptions, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split as the options say; without validation frames the training frames stand in."""
    fraction = options.validation_fraction
    if options.split == "random" or fraction == 0:
        training, validation = random_split(frames, fraction, seed)
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
        start: Potential | None = None,
    ) -> None:
        self.frames, self.options, self.seed, self.start = frames, options, seed, start
        self.functions = SymmetryFunctions.standard(
            elements, options.radial_cutoff, options.angular_cutoff
        )
        self.training, self.validation = split
        self.environments = Environments(frames, self.functions, options.memory_limit * 1e9)
        values = self.environments.values_of(self.training)
        kept = None
        if start is not None:
            check_start(start, self.functions, options)
            kept = kept_preprocessing(start, values)
        # far from its frames, random weights lead further than those of an earlier potential
        begin = None if kept is None else start
        self.began = begin is not None
        self.preprocessing = kept or Preprocessing.fit(
            values,
            self.functions.n_functions,
            options.whitening_floor,
            options.whitening,
        )
        # The networks of an earlier potential go with its reference energies.
        self.references = (
            reference_energies(frames, elements, self.training)
            if begin is None
            else begin.reference_energies
        )
        self.loss = Loss(
            frames,
            self.environments,
            self.preprocessing,
            options.hidden,
            options.loss_weights,
            self.references,
            options.threads,
            np.float32 if options.precision == "float32" else np.float64,
            options.frame_weights(frames.stages),
        )
        self.ensemble = Ensemble(self.loss, options, split, seed, begin)

    def optimize(self, progress: Progress | None, checkpoint: Path | None) -> list[str]:
        """Train all networks to their ends; returns why each stopped."""
        if checkpoint is None:
            return self.ensemble.optimize(progress)
        state = read_checkpoint(checkpoint, self.fingerprint)
        if state is not None:
            self.ensemble.restore(state)
        last = time.monotonic()

        def save() -> None:
            write_checkpoint(checkpoint, self.fingerprint, self.ensemble.state())

        def save_now_and_then() -> None:
            nonlocal last
            if time.monotonic() - last > self.options.checkpoint_interval:
                save()
                last = time.monotonic()

        reasons = self.ensemble.optimize(progress, save_now_and_then)
        save()
        return reasons

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
            patience=None,
            smallest_gain=0.0,
        )
        text = json.dumps([asdict(options), self.seed, self.functions.elements])
        digest = hashlib.sha256(text.encode())
        for array in (self.frames.positions, self.frames.energies, self.frames.forces):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update("\n".join(self.frames.stages).encode())
        if self.start is not None:
            for array in (*self.start.weights, *self.start.biases, self.start.projection):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def result(self, reasons: list[str]) -> TrainingResult:
        """Potential of the best parameters, with its record."""
        potential = self._potential()
        training = evaluate(potential, self.frames[self.training], self.options.threads).errors
        found = evaluate(potential, self.frames[self.validation], self.options.threads)
        potential.calibration = found.calibration
        potential.force_calibration = force_calibration(
            potential, self.frames[self.validation], self.options.threads
        )
        potential.record |= {"training": asdict(training), "validation": asdict(found.errors)}
        return TrainingResult(
            potential=potential,
            history=self.ensemble.history,
            training=training,
            validation=found.errors,
            reached=self.options.score(found.errors) < 1.0,
            reason="; ".join(dict.fromkeys(reasons)),
            training_frames=[int(i) for i in self.training],
            validation_frames=[int(i) for i in self.validation],
        )

    def _potential(self) -> Potential:
        n_elements, n_layers = len(self.functions.elements), len(self.loss.sizes) - 1
        best = np.array([member.best for member in self.ensemble.members])
        nets = feed_forward.unflatten(best, self.loss.sizes, n_elements)

        def stack(layer: int, part: int) -> NDArray[np.float64]:
            """One array (n_elements, n_members, ...) for a layer's weights or biases."""
            return np.array([net[layer][part] for net in nets])

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
            "n_stresses": int(self.loss.data.has_stress[self.training].sum()),
            "shortest_distances": [
                [float(x) if np.isfinite(x) else None for x in row] for row in shortest
            ],
            "lowest": encode_array(self.preprocessing.lowest),
            "highest": encode_array(self.preprocessing.highest),
            "options": self.options.as_dict(),
            "seed": self.seed,
            "began_from_another": self.began,
            "epochs": len(self.ensemble.history),
            "version": _version(),
        }
        return potential


def _version() -> str:
    try:
        return version("devitrify")
    except PackageNotFoundError:
        return "unknown"
