"""What ``devitrify search`` leaves of several pressures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import typer

from launch.report.figures import save_figure
from launch.report.files import wide_console, write_structures
from launch.report.phase_plot import plot_phases
from launch.report.phases import phase_table, transition_table
from nnp.storage.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from workflows.documents.prediction import PredictionDocument

#: Figures of a summary that a search has none of.
NOT_OF_SEARCHES = ("agreement", "notes", "relaxation_frames")


def write_series(prediction: PredictionDocument, folder: Path) -> None:
    """
    Print phases and transitions; write them, their figure, and the structures at each pressure.

    Parameters
    ----------
    prediction : PredictionDocument
        Of several pressures.
    folder : Path
        Of all searches.
    """
    console = wide_console()
    for table in (phase_table(prediction), transition_table(prediction)):
        console.print(table)
    for failure in prediction.failures:
        typer.echo(f"Failed: {failure}")
    write_structures(prediction, folder / "structures")
    summary = prediction.summary()
    told = {name: value for name, value in summary.items() if name not in NOT_OF_SEARCHES}
    write_atomically(folder / "summary.json", json.dumps(told, indent=1) + "\n")
    figure = plot_phases(prediction)
    if figure is not None:
        save_figure(figure, folder / "pressures.png")
        plt.close(figure)
    typer.echo(f"Phases at all pressures, summary and plot are in {folder}")
