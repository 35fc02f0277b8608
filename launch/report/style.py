"""One look of all figures: colours that the colour-blind tell apart, sizes, lines."""

from __future__ import annotations

from typing import Any

#: M. Okabe and K. Ito, Color universal design (2008); black last, for what is known.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442"),
    "#000000",
)
GREY = "#8c8c8c"

#: For matplotlib.
RC_PARAMS: dict[Any, Any] = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "pdf.fonttype": 42,  # text stays text in a journal's hands
    "savefig.dpi": 200,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


def many_colours(number: int) -> list[str]:
    """
    Colours for areas that lie upon each other: all differ; from the tenth on they are pale.

    Parameters
    ----------
    number : int
        How many.
    """
    known = (*COLOURS[:-1], GREY, COLOURS[-1])
    found = []
    for n in range(number):
        turn, place = divmod(n, len(known))
        found.append(_paler(known[place], 0.45**turn))
    return found


def _paler(colour: str, share: float) -> str:
    """As much of a colour, the rest white."""
    parts = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02X}" for part in parts)


def sequence_colours(number: int) -> list[str]:
    """
    Colours from dark to light for what is in an order, as temperatures are.

    Parameters
    ----------
    number : int
        How many.
    """
    import matplotlib as mpl

    scale = mpl.colormaps["viridis"]
    return [mpl.colors.to_hex(scale(0.9 * n / max(1, number - 1))) for n in range(number)]
