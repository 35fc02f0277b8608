"""Figures of how well a potential has learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from launch.report.figures import figure_of, plain_logarithms
from launch.report.style import GREY
from launch.report.training_history import broken
from workflows.documents.training import LearningCurveDocument, TrainingDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nnp.frames import Frames
    from nnp.training.trainer import TrainingResult


@figure_of("training", TrainingDocument)
def plot_training(document: TrainingDocument) -> Figure:
    """Errors of training and validation set against epochs."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    _draw_curves(axes, document.history)
    return figure


@figure_of("learning_curve", LearningCurveDocument)
def plot_learning_curve(document: LearningCurveDocument) -> Figure | None:
    """Validation errors against the number of training frames."""
    if not document.points:
        return None
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    numbers = [point.n_training for point in document.points]
    for axis, name, unit in zip(
        axes, ("energy", "force", "stress"), ("meV/atom", "eV/Å", "kbar"), strict=True
    ):
        errors = [getattr(point, f"{name}_rmse") for point in document.points]
        axis.loglog(numbers, errors, marker="o")
        plain_logarithms(axis.xaxis)
        plain_logarithms(axis.yaxis)
        axis.set(xlabel="training frames", ylabel=f"{name} RMSE ({unit})")
    return figure


@figure_of("parity", TrainingDocument)
def plot_parity(document: TrainingDocument) -> Figure:
    """Potential against reference on the validation set."""
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.6), layout="constrained")
    _draw_parity(axes, document.parity, document.energy_rmse, document.force_rmse)
    return figure


def plot_fit(result: TrainingResult, frames: Frames) -> Figure:
    """Learning curves, and parity on the validation set, of a potential trained by itself."""
    from workflows.stages.training import history_entry, parity_of

    figure, axes = plt.subplots(1, 5, figsize=(17, 3), layout="constrained")
    _draw_curves(axes[:3], [history_entry(step) for step in result.history])
    parity = parity_of(result, frames[result.validation_frames])
    _draw_parity(axes[3:], parity, result.validation.energy, result.validation.force)
    return figure


def _draw_curves(axes: Sequence[Axes], history: list[dict[str, float]]) -> None:
    """One panel for each of energy, force and stress."""
    history = broken(history)
    epochs = [entry["epoch"] for entry in history]
    for axis, quantity, unit in zip(
        axes, ("energy", "force", "stress"), ("meV/atom", "eV/Å", "kbar"), strict=True
    ):
        for part in ("training", "validation"):
            values = [entry.get(f"{part}_{quantity}", np.nan) for entry in history]
            axis.semilogy(epochs, values, label=part)
        plain_logarithms(axis.yaxis)
        axis.set(xlabel="epoch", ylabel=f"{quantity} RMSE ({unit})")
    axes[0].legend()


def _draw_parity(
    axes: Sequence[Axes], parity: dict[str, list[float]], energy_rmse: float, force_rmse: float
) -> None:
    """One panel for energies, one for force components."""
    for axis, name, unit, error in (
        (axes[0], "energy", "eV/atom", f"{energy_rmse:.1f} meV/atom"),
        (axes[1], "force", "eV/Å", f"{force_rmse:.2f} eV/Å"),
    ):
        x, y = parity[f"{name}_reference"], parity[f"{name}_predicted"]
        ends = [min(x), max(x)]
        axis.plot(ends, ends, color=GREY, linewidth=0.8)
        axis.scatter(x, y, s=4, alpha=0.5, rasterized=True)
        axis.set(
            xlabel=f"reference {name} ({unit})", ylabel=f"potential ({unit})", title=f"RMSE {error}"
        )
