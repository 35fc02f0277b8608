"""Curves and points as plotly takes them, in colours that the colour-blind tell apart."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from launch.report.style import COLOURS, GREY, sequence_colours

__all__ = [
    "COLOURS",
    "GREY",
    "LOGARITHMIC",
    "curve",
    "label",
    "line_of_equality",
    "points",
    "sequence_colours",
]

#: Points of a curve that a page keeps.
MOST_POINTS = 600
#: Digits that a page keeps of a number.
SIGNIFICANT = 6
#: Signs of a text in a figure; the table has all of it.
LONGEST = 80
#: An axis of plotly's whose labels are whole numbers: by itself it writes 2 and 5 for 20 and 50.
LOGARITHMIC = {"type": "log", "tickformat": "~g"}


def label(text: object) -> str:
    """Text for plotly, which takes ``<b>`` and the like for markup: what is written is shown."""
    whole = str(text)
    shown = whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"
    return html.escape(shown, quote=False)


def curve(
    x: Sequence[float], y: Sequence[float], name: str, colour: str, **line: Any
) -> dict[str, Any]:
    """
    Draw a line through points, thinned where there are too many.

    Parameters
    ----------
    x, y : sequence of float
    name : str
        In the legend.
    colour : str
    **line : object
        More of plotly's ``line``.
    """
    kept = _kept(x)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": rounded([x[n] for n in kept]),
        "y": rounded([y[n] for n in kept]),
        "name": label(name),
        "line": {"color": colour, "width": 1.6, **line},
    }


def _kept(x: Sequence[float]) -> list[int]:
    """Choose which points of a curve are kept: so many, its gaps, and the last."""
    step = max(1, -(-len(x) // MOST_POINTS))
    last = len(x) - 1
    return [n for n, value in enumerate(x) if n % step == 0 or n == last or not np.isfinite(value)]


def points(
    x: Sequence[float],
    y: Sequence[float],
    name: str,
    colour: str,
    *,
    texts: Sequence[str] = (),
    crystals: Sequence[int | None] = (),
    **marker: Any,
) -> dict[str, Any]:
    """
    Draw points.

    Parameters
    ----------
    x, y : sequence of float
    name : str
        In the legend.
    colour : str
    texts : sequence of str
        What is said of each; none: its coordinates.
    crystals : sequence of (int or None)
        Index of the structure that each opens.
    **marker : object
        More of plotly's ``marker``.
    """
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(x),
        "y": rounded(y),
        "name": label(name),
        "marker": {"color": colour, "size": 6, **marker},
    }
    if texts:
        trace |= {"text": [label(text) for text in texts], "hoverinfo": "text+x+y"}
    if crystals:
        trace["customdata"] = list(crystals)
    return trace


def line_of_equality(values: Sequence[float]) -> dict[str, Any]:
    """Draw the diagonal on which two things that are compared are equal."""
    known = [value for value in values if np.isfinite(value)]
    ends = [min(known), max(known)]
    return {**curve(ends, ends, "equal", GREY, width=1, dash="dot"), "hoverinfo": "skip"}


def rounded(values: Sequence[float]) -> list[float | None]:
    """Round to the digits that are kept; none for what is no number, which JSON has not."""
    return [
        float(f"{value:.{SIGNIFICANT}g}") if np.isfinite(value) else None
        for value in np.asarray(values, dtype=float)
    ]
