"""Environments of every element along the first two principal components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_TRAINING_COLOR = "0.65"
#: M. Okabe and K. Ito, Color universal design (2008): the colour-blind tell them apart.
_COLORS = ("#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7")


def plot_coverage(
    elements: Sequence[str],
    training: Sequence[NDArray[np.float64]],
    structures: Mapping[str, Sequence[NDArray[np.float64]]],
) -> Figure:
    """
    Scatter plots with projected densities, one for each element.

    Parameters
    ----------
    elements : sequence of str
        Chemical symbols.
    training : sequence of ndarray
        Principal components of training environments of each element, each
        (n_environments, n_components).
    structures : mapping
        Those of sets to show on top, by label.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(elements), 4.2), layout="constrained")
    panels = figure.subfigures(1, len(elements), squeeze=False)[0]
    for e, (panel, element) in enumerate(zip(panels, elements, strict=True)):
        sets = {"training": training[e][:, :2]}
        for label, components in structures.items():
            sets[label] = components[e][:, :2]
        _plot_element(panel, element, sets, legend=e == 0)
    return figure


def _plot_element(
    panel: SubFigure, element: str, sets: dict[str, NDArray[np.float64]], legend: bool
) -> None:
    """One scatter plot with a density on top and one at the side."""
    axes = panel.subplots(
        2, 2, sharex="col", sharey="row", width_ratios=(4, 1), height_ratios=(1, 4)
    )
    axes[0, 1].set_axis_off()
    colors = [_TRAINING_COLOR, *(_COLORS[k % len(_COLORS)] for k in range(len(sets) - 1))]
    everything = np.concatenate(list(sets.values()))
    for (label, points), color in zip(sets.items(), colors, strict=True):
        if not len(points):
            continue
        size = 3 if label == "training" else 12
        axes[1, 0].scatter(
            *points.T, s=size, color=color, label=label, linewidths=0, rasterized=True
        )
        for k, (panel_axes, upright) in enumerate(((axes[0, 0], True), (axes[1, 1], False))):
            bounds = (everything[:, k].min(), everything[:, k].max())
            _profile(panel_axes, points[:, k], bounds, color, upright)
    axes[0, 0].set_title(element)
    axes[1, 0].set_xlabel("PC1")
    axes[1, 0].set_ylabel("PC2")
    axes[0, 0].set_yticks([])
    axes[1, 1].set_xticks([])
    if legend:
        axes[1, 0].legend(fontsize="small", markerscale=2)


def _profile(
    axes: Axes,
    values: NDArray[np.float64],
    bounds: tuple[float, float],
    color: str,
    upright: bool,
) -> None:
    """Histogram outline; each set reaches the same height, however few its points."""
    counts, edges = np.histogram(values, bins=50, range=bounds)
    orientation: Literal["horizontal", "vertical"] = "vertical" if upright else "horizontal"
    axes.stairs(counts / counts.max(), edges, color=color, orientation=orientation)
