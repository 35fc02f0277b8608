"""The static figures of a report: which there are, in one style, as PNG and PDF."""

from __future__ import annotations

import logging
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from launch.own_files import FOLDER_MODE
from launch.report.style import COLOURS, RC_PARAMS
from nnp.storage.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

    from launch.report.campaign_results import CampaignResults
    from workflows.documents.base import Document

    Draw = Callable[..., Figure | None]

#: Figures of a report by name: the documents that they show, and what draws them.
FIGURES: dict[str, tuple[tuple[type[Document], ...], Draw]] = {}
#: One to look at, and one for a paper.
SUFFIXES = (".png", ".pdf")

#: It tells a log of every glyph that it leaves out.
logging.getLogger("fontTools").setLevel(logging.WARNING)
mpl.rcParams.update(RC_PARAMS)
mpl.rcParams["axes.prop_cycle"] = cycler(color=COLOURS)


def figure_of(name: str, *kinds: type[Document]) -> Callable[[Draw], Draw]:
    """
    Make a function draw one of the figures of a report.

    Parameters
    ----------
    name : str
        Of the file, without its suffix.
    *kinds : type
        Classes of the documents that the function takes, in its order. It is called once there
        are all of them, and returns none if there is nothing in them to show.
    """

    def register(draw: Draw) -> Draw:
        FIGURES[name] = kinds, draw
        return draw

    return register


def write_plots(results: CampaignResults, folder: Path) -> list[Path]:
    """
    Draw all figures whose data exist, of the modules that have been imported.

    Parameters
    ----------
    results : CampaignResults
        Of a finished or unfinished campaign.
    folder : Path
        Where the PNG and PDF files go.

    Returns
    -------
    list of Path
        The files.
    """
    folder.mkdir(exist_ok=True, mode=FOLDER_MODE)
    paths = []
    for name, (kinds, draw) in FIGURES.items():
        documents = [results.newest(kind) for kind in kinds]
        figure = None if None in documents else draw(*documents)
        if figure is None:
            continue
        for suffix in SUFFIXES:
            save_figure(figure, folder / f"{name}{suffix}")
            paths.append(folder / f"{name}{suffix}")
        plt.close(figure)
    return paths


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all, in the format of the suffix."""
    image = BytesIO()
    figure.savefig(image, bbox_inches="tight", format=path.suffix[1:])
    write_atomically(path, image.getvalue())


def legend_beside(axis: Axes, *, backwards: bool = False) -> None:
    """Put the legend of a panel to its right, where there are no data."""
    handles, labels = axis.get_legend_handles_labels()
    step = -1 if backwards else 1
    axis.legend(handles[::step], labels[::step], loc="upper left", bbox_to_anchor=(1.01, 1.0))


def plain_logarithms(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis as 0.2, 0.5, 1 and not as powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def whole_numbers(axis: Axis) -> None:
    """Write whole numbers only on an axis that counts."""
    axis.set_major_locator(MaxNLocator(integer=True))
