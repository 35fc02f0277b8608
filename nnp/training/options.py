"""What can be chosen about training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from nnp.metrics import Errors
from nnp.training.loss import LossWeights

MINIBATCHES = 15_000
"""Steps of Adam, unless epochs are given."""
ITERATIONS = 2000
"""Of L-BFGS, unless they are given."""
ADAM_PATIENCE, LBFGS_PATIENCE = 150, 40
"""Epochs without improvement, unless they are given."""
CRYSTAL_STAGES = ("relaxation", "candidate", "minimum", "strain", "unknown")
"""Stages whose frames are of crystals, or of what a search takes for them."""
MOST_LAYERS = 8
"""Of a network; an atom's energy needs two or three."""


def _option(default: Any, unit: str, text: str, **more: Any) -> Any:
    """Field of an options class with its unit and help, and what else is said of it."""
    return field(default=default, metadata={"unit": unit, "help": text, **more})


@dataclass(frozen=True)
class TrainingOptions(MSONable):
    """
    Everything that can be chosen about training.

    Units and meanings are in the fields' metadata.
    """

    radial_cutoff: float = _option(
        6.0, "Å", "cutoff of the radial symmetry functions", range=(1.0, 15.0)
    )
    angular_cutoff: float = _option(
        4.5, "Å", "cutoff of the angular symmetry functions", range=(1.0, 15.0)
    )
    hidden: tuple[int, ...] = _option((30, 30), "", "widths of the hidden layers", range=(1, 1024))
    members: int = _option(
        1, "", "networks of the ensemble; more than one gives uncertainties", range=(1, 64)
    )
    optimizer: Literal["lbfgs", "adam"] = _option(
        "adam", "", "minibatch Adam as in the paper, or full-batch L-BFGS"
    )
    max_epochs: int | None = _option(
        None,
        "",
        "passes over the data (Adam; none: 15,000 minibatches) or iterations (L-BFGS; none: 2000)",
        range=(1, 10_000_000),
    )
    time_limit: float | None = _option(None, "s", "stop after this much time", range=(1.0, 1e8))
    stop: Literal["thresholds", "converged"] = _option(
        "thresholds", "", "when to stop: thresholds reached, or no improvement for `patience`"
    )
    patience: int | None = _option(
        None,
        "",
        "epochs without improvement on validation that end training (none: 150, L-BFGS 40)",
        range=(1, 10_000_000),
    )
    smallest_gain: float = _option(
        0.005, "", "relative improvement below which L-BFGS has not improved", range=(0.0, 0.5)
    )
    energy_threshold: float = _option(
        10.0, "meV/atom", "validation energy error aimed at", range=(1e-6, 10_000.0)
    )
    force_threshold: float = _option(
        0.2, "eV/Å", "validation force error aimed at", range=(1e-6, 100.0)
    )
    stress_threshold: float = _option(
        10.0, "kbar", "validation stress error aimed at", range=(1e-6, 10_000.0)
    )
    energy_weight: float = _option(
        1.0, "", "of (energy error / energy_threshold)² in the loss", range=(0.0, 1e6)
    )
    force_weight: float = _option(
        10.0, "", "of (force error / force_threshold)² in the loss", range=(0.0, 1e6)
    )
    stress_weight: float = _option(
        1.0, "", "of (stress error / stress_threshold)² in the loss", range=(0.0, 1e6)
    )
    crystal_weight: float = _option(
        1.0,
        "",
        "how often frames of crystals count in the loss (stages relaxation, candidate, minimum, "
        "strain, unknown), beside once for all others",
        range=(0.01, 1e4),
    )
    l2: float = _option(
        1e-5, "", "of half the sum of squared weights in the loss", range=(0.0, 1.0)
    )
    validation_fraction: float = _option(0.1, "", "share of frames that validate", range=(0.0, 0.9))
    split: Literal["blocks", "random"] = _option(
        "blocks", "", "validation in stretches of time, or at random as in the paper"
    )
    whitening: bool = _option(True, "", "scale principal components to unit variance")
    whitening_floor: float = _option(
        1e-2, "", "smallest variance relative to the largest", range=(0.0, 1.0)
    )
    batch_size: int = _option(10, "frames", "minibatch of Adam", range=(1, 100_000))
    learning_rate: float = _option(3e-3, "", "of Adam, at the start", range=(1e-8, 1.0))
    final_learning_rate: float = _option(
        1e-4, "", "of Adam, at the last epoch (exponential decay)", range=(1e-10, 1.0)
    )
    memory_limit: float = _option(
        4.0, "GB", "for derivatives of the symmetry functions", range=(0.01, 1e5)
    )
    precision: Literal["float32", "float64"] = _option("float32", "", "of the network in training")
    repulsion: bool = _option(True, "", "add a repulsive core below the shortest distances")
    threads: int = _option(1, "", "threads", hidden=True)
    checkpoint_interval: float = _option(20.0, "s", "between checkpoints", range=(0.0, 86_400.0))

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not 0 <= self.validation_fraction < 1:
            raise ValueError("The validation fraction must be at least 0 and less than 1.")
        if self.members < 1:
            raise ValueError("An ensemble needs at least one member.")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError("At least one hidden layer is needed, each of one neuron or more.")

    def validate(self) -> None:
        """Raise a ValueError if numbers do not fit together."""
        if len(self.hidden) > MOST_LAYERS:
            raise ValueError(f"hidden has {len(self.hidden)} layers; {MOST_LAYERS} are the most")
        if not self.energy_weight + self.force_weight + self.stress_weight:
            raise ValueError("energy_weight, force_weight and stress_weight are all zero")
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"final_learning_rate {self.final_learning_rate:g} is above learning_rate "
                f"{self.learning_rate:g}, from which it decays"
            )

    def epoch_limit(self, n_training: int) -> int:
        """
        Epochs at most, with `n_training` frames to train on.

        What Adam needs is a number of steps, whatever the number of frames.
        """
        if self.max_epochs is not None:
            return self.max_epochs
        if self.optimizer == "lbfgs":
            return ITERATIONS
        return math.ceil(MINIBATCHES / math.ceil(max(n_training, 1) / self.batch_size))

    def patience_limit(self, n_training: int) -> int:
        """
        Epochs without improvement that end training, with `n_training` frames to train on.

        Few frames make short epochs of Adam: a fifth of the way is waited for, at least.
        """
        if self.optimizer == "lbfgs":
            return LBFGS_PATIENCE if self.patience is None else self.patience
        patience = ADAM_PATIENCE if self.patience is None else self.patience
        if self.max_epochs is not None:
            return patience
        return max(patience, self.epoch_limit(n_training) // 5)

    @property
    def counted_gain(self) -> float:
        """Relative improvement that counts; every one with Adam, whose rate is still to fall."""
        return self.smallest_gain if self.optimizer == "lbfgs" else 0.0

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

    def frame_weights(self, stages: NDArray[np.str_]) -> NDArray[np.float64]:
        """How often frames of these stages count in the loss."""
        return np.where(np.isin(stages, CRYSTAL_STAGES), self.crystal_weight, 1.0)

    def score(self, errors: Errors) -> float:
        """Largest ratio of an error to its threshold: at most one when all are met."""
        ratios = [errors.energy / self.energy_threshold, errors.force / self.force_threshold]
        if np.isfinite(errors.stress):
            ratios.append(errors.stress / self.stress_threshold)
        return max(ratios)
