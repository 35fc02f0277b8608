"""Enthalpies of phases against the pressure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from launch.report.figures import figure_of, legend_beside
from launch.report.phase_lines import lines_above_lowest
from launch.report.phases import pressure_in_words
from launch.report.style import GREY
from search.relax.pressure import GPA
from workflows.documents.prediction import PredictionDocument

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Phases that are drawn, and meV/atom above the lowest beyond which the figure ends.
MOST_LINES, HIGHEST = 10, 150.0


@figure_of("pressures", PredictionDocument)
def plot_phases(document: PredictionDocument) -> Figure | None:
    """
    Enthalpy of each phase above the lowest one, and where that changes.

    Lines are cubics between relaxations, whose slopes are the volumes. None where there is one
    pressure.
    """
    if not document.pressures or not document.phases:
        return None
    grid, above_lowest = lines_above_lowest(document)
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for phase, values in zip(document.phases[:MOST_LINES], above_lowest, strict=False):
        ranked = [point for point in phase.points if point.rank]  # at pressures of the list
        (drawn,) = axis.plot(grid / GPA, 1000 * values, label=phase.name)
        at = [point.pressure / GPA for point in ranked]
        above = [point.above_best or 0.0 for point in ranked]
        axis.scatter(at, above, s=16, color=drawn.get_color())
    for one in document.transitions:
        if one.pressure is not None:
            axis.axvline(one.pressure / GPA, color=GREY, linewidth=0.8, linestyle="--")
            axis.annotate(
                pressure_in_words(one), (one.pressure / GPA, 1.0), fontsize=7, rotation=90,
                xycoords=("data", "axes fraction"), xytext=(2, -4), textcoords="offset points",
                va="top",
            )  # fmt: skip
    highest = max(p.above_best or 0.0 for one in document.phases for p in one.points)
    top = min(HIGHEST, 1.05 * highest)
    axis.set(
        xlabel="pressure (GPa)",
        ylabel="enthalpy above the lowest (meV/atom)",
        title=f"{document.formula}: phases by {document.engine}",
        ylim=(-0.03 * max(top, 1.0), max(top, 1.0)),
    )
    legend_beside(axis)
    return figure
