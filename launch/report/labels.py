"""Labels of points in a figure that do not lie on each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.transforms import Bbox

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from numpy.typing import NDArray

#: Names that a label has, and signs that a name has, at the most.
MOST_NAMES, LONGEST = 2, 30
#: Points of the figure within which several share one label.
NEAR = 8.0
#: Where a label may be, from its point: horizontal and vertical alignment and offset in points.
PLACES: tuple[tuple[str, str, tuple[int, int]], ...] = (
    ("left", "bottom", (4, 3)), ("right", "bottom", (-4, 3)),
    ("left", "top", (4, -3)), ("right", "top", (-4, -3)),
    ("center", "bottom", (0, 8)), ("center", "top", (0, -8)),
    ("left", "center", (12, 0)), ("right", "center", (-12, 0)),
    ("left", "bottom", (10, 12)), ("left", "top", (10, -12)),
    ("right", "bottom", (-10, 12)), ("right", "top", (-10, -12)),
)  # fmt: skip


def label_points(axis: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str]) -> None:
    """
    Name points; those that nearly coincide share a label, and one that finds no room is left out.

    Parameters
    ----------
    axis : Axes
        With everything else drawn, and its limits.
    x, y : sequence of float
        The points, those that matter most first.
    names : sequence of str
        What each is called.
    """
    known = [n for n, place in enumerate(zip(x, y, strict=True)) if np.isfinite(place).all()]
    if not known:
        return
    axis.figure.draw_without_rendering()  # type: ignore[union-attr]  # the layout settles places
    spots = axis.transData.transform([(x[n], y[n]) for n in known])
    unit = axis.figure.dpi / 72
    taken = [Bbox.from_extents(*(spot - 2 * unit), *(spot + 2 * unit)) for spot in spots]
    for group in _groups(spots, NEAR * unit):
        own = [known[n] for n in group]
        text = joined([names[n] for n in own])
        box = _place(axis, (x[own[0]], y[own[0]]), text, taken)
        if box is not None:
            taken.append(box)


def joined(names: Sequence[str]) -> str:
    """
    One label for several points.

    Examples
    --------
    >>> joined(["P-42m", "P-42m", "Cm", "P1", "P1"])
    'P-42m, Cm + 2'
    """
    different = list(dict.fromkeys(name[:LONGEST] for name in names))
    shown = different[:MOST_NAMES]
    others = sum(name[:LONGEST] not in shown for name in names)
    return ", ".join(shown) + (f" + {others}" if others else "")


def _groups(spots: NDArray[np.float64], near: float) -> list[list[int]]:
    """Points that are near to the first of their group."""
    groups: list[list[int]] = []
    for number, spot in enumerate(spots):
        for group in groups:
            if np.abs(spots[group[0]] - spot).max() < near:
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def _place(axis: Axes, point: tuple[float, float], text: str, taken: Sequence[Bbox]) -> Bbox | None:
    """Put a label where nothing is yet; none if there is no such place."""
    frame = axis.get_window_extent()
    for horizontal, vertical, offset in PLACES:
        label: Annotation = axis.annotate(
            text, point, fontsize=7, xytext=offset, textcoords="offset points", ha=horizontal,
            va=vertical,
        )  # fmt: skip
        # else the layout would make room for what is outside of the frame
        label.set_in_layout(False)
        box = label.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 <= box.y1
        if inside and box.y1 <= frame.y1 and not any(box.overlaps(other) for other in taken):
            return box
        label.remove()
    return None
