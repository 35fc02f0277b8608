"""The figure of melt, quench and anneal."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np

from launch.report.page.content import Chart, Panel
from launch.report.page.traces import COLOURS, curve, points
from launch.report.trajectories import melts_in
from workflows.documents.training import SampleDocument


def quench(document: SampleDocument) -> Chart:
    """Energy against temperature, and temperature and pressure along the trajectory."""
    melts = melts_in(document.series)
    if len(melts) > 1:
        return _quenches(melts)
    series = {name: _blocks(values) for name, values in document.series.items()}
    colour = {"color": series["time"], "colorscale": "Viridis", "showscale": False, "size": 4}
    states = points(series["temperature"], series["energy"], "trajectory", COLOURS[0])
    states["marker"] |= colour
    return Chart(
        "Melt, quench and anneal",
        "Energy against temperature (dark: early; light: late), and both with the pressure in "
        "time. A step in the energy on cooling is crystallisation, which leaves few environments "
        "to learn from; so does a quench that ends far above the anneal.",
        [
            Panel("temperature (K)", "energy (eV/atom)", [states]),
            Panel("time (ps)", "temperature (K)",
                  [curve(series["time"], series["temperature"], "temperature", COLOURS[1])]),
            Panel("time (ps)", "pressure (kbar)",
                  [curve(series["time"], series["pressure"], "pressure", COLOURS[2])]),
        ],
    )  # fmt: skip


def _quenches(melts: Mapping[str, Mapping[str, list[float]]]) -> Chart:
    """Of each melt of a system, in a colour of its own: its energies are above its own lowest."""
    panels = [
        Panel("temperature (K)", "energy above the lowest (eV/atom)", []),
        Panel("time (ps)", "temperature (K)", []),
        Panel("time (ps)", "pressure (kbar)", []),
    ]
    for (formula, whole), colour in zip(melts.items(), cycle(COLOURS), strict=False):
        series = {name: _blocks(values, 150) for name, values in whole.items()}
        above = (np.array(series["energy"]) - min(series["energy"])).tolist()
        states = points(series["temperature"], above, formula, colour, size=4)
        panels[0].traces.append(states)
        for panel, name in zip(panels[1:], ("temperature", "pressure"), strict=True):
            panel.traces.append(curve(series["time"], series[name], formula, colour))
    return Chart(
        "Melt, quench and anneal",
        "Energy of each melt against temperature, above the lowest of its composition, and "
        "temperature and pressure in time, one melt after the other. A step in an energy on "
        "cooling is crystallisation, which leaves few environments to learn from.",
        panels,
    )


def _blocks(values: list[float], most: int = 500) -> list[float]:
    """Means of blocks, so that there are at most so many."""
    size = max(1, -(-len(values) // most))
    return [float(np.mean(values[i : i + size])) for i in range(0, len(values), size)]
