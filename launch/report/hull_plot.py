"""The convex hull of a system: energy against composition, or a triangle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from launch.report.figures import figure_of
from launch.report.hull import (
    HIGHEST,
    at_each_pressure,
    best_of_each,
    corners,
    has_figure,
    placed,
    position,
    stable_ones,
    tie_lines,
)
from launch.report.pressure import at_pressure
from launch.report.style import COLOURS, GREY
from workflows.documents.prediction import PredictionDocument

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: eV/atom above zero at which a figure of a binary system ends.
TOP = 0.2


@figure_of("hull", PredictionDocument)
def plot_hull(document: PredictionDocument) -> Figure | None:
    """
    Formation energies on and above the hull, a panel for each pressure.

    None of a formula, and of more than three blocks, which have no plane figure.
    """
    if not has_figure(document):
        return None
    panels = at_each_pressure(document)
    number = len(panels)
    draw = _draw_binary if len(document.hulls[0].blocks) == 2 else _draw_triangle
    figure, axes = plt.subplots(
        1, number, figsize=(5.2 * number, 4), layout="constrained", squeeze=False
    )
    for axis, own in zip(axes[0], panels, strict=True):
        draw(axis, own)
        axis.set_title(f"{document.formula} by {document.engine}{at_pressure(own.pressure)}")
    return figure


def _draw_binary(axis: Axes, document: PredictionDocument) -> None:
    """Formation energy against the fraction of the second block."""
    (hull,) = document.hulls
    shown = placed(document)
    stable = stable_ones(shown)
    on_line = sorted(
        (position(hull, formula)[0], one.crystal.formation_energy, formula)
        for formula, one in stable.items()
        if one.crystal.formation_energy is not None
    )
    axis.plot([x for x, _, _ in on_line], [y for _, y, _ in on_line], color=COLOURS[0], zorder=1)
    for is_known, marker, colour, label in (
        (False, "o", COLOURS[1], "found"), (True, "D", COLOURS[-1], "known"),
    ):  # fmt: skip
        own = [one for one in shown if one.is_known == is_known]
        drawn = [one for one in own if one.crystal.formation_energy is not None]
        if drawn:
            axis.scatter(
                [position(hull, one.crystal.formula)[0] for one in drawn],
                [one.crystal.formation_energy or 0.0 for one in drawn],
                s=[36 if one.is_stable else 14 for one in drawn], marker=marker,
                facecolors=["none" if is_known else colour] * len(drawn), edgecolors=colour,
                label=label, zorder=2,
            )  # fmt: skip
    for x, y, formula in on_line:
        axis.annotate(
            formula, (x, y), xytext=(0, -11), textcoords="offset points", ha="center", fontsize=8
        )
    lowest = min((y for _, y, _ in on_line), default=0.0)
    highest = max((one.crystal.formation_energy or 0.0 for one in shown), default=0.0)
    quantity = "enthalpy" if document.pressure else "energy"
    axis.set(
        xlabel=f"atoms of {hull.blocks[1]} / all atoms",
        ylabel=f"formation {quantity} (eV/atom)",
        xlim=(-0.04, 1.04),
        ylim=(1.25 * lowest - 0.03, min(TOP, max(highest, 0.0)) + 0.03),
    )
    axis.legend(loc="upper right")


def _draw_triangle(axis: Axes, document: PredictionDocument) -> None:
    """Compositions in a triangle, coloured by their distance from the hull."""
    (hull,) = document.hulls
    shown = placed(document)
    stable = stable_ones(shown)
    ends = corners(hull)
    axis.plot(*zip(*ends, ends[0], strict=True), color=GREY, linewidth=0.8, zorder=0)
    for one, other in tie_lines(hull, list(stable.values())):
        axis.plot(
            *zip(position(hull, one), position(hull, other), strict=True), color=COLOURS[0],
            linewidth=1.0, zorder=1,
        )  # fmt: skip
    best = best_of_each(shown)
    places = [position(hull, one.crystal.formula) for one in best]
    drawn = axis.scatter(
        [x for x, _ in places], [y for _, y in places],
        c=[min(one.above, HIGHEST) for one in best], cmap="viridis", vmin=0.0, vmax=HIGHEST, s=24,
        zorder=2,
    )  # fmt: skip
    for formula in stable:
        x, y = position(hull, formula)
        axis.annotate(formula, (x, y), xytext=(4, 5), textcoords="offset points", fontsize=8)
    axis.set_aspect("equal")
    axis.axis("off")
    axis.figure.colorbar(drawn, ax=axis, shrink=0.7, label="lowest above the hull (meV/atom)")
