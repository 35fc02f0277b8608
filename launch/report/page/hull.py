"""The convex hull of a system on the page: energy against composition, or a triangle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launch.report.hull import (
    HIGHEST,
    Placed,
    at_each_pressure,
    best_of_each,
    corners,
    has_figure,
    placed,
    position,
    stable_ones,
    tie_lines,
)
from launch.report.page.content import Chart, Panel
from launch.report.page.traces import COLOURS, GREY, curve, label, points
from launch.report.pressure import at_pressure
from workflows.documents.prediction import PredictionDocument

if TYPE_CHECKING:
    from workflows.documents.hull import HullDocument


def hull_chart(document: PredictionDocument, first_known: int) -> Chart | None:
    """
    Draw the hulls of a system, a panel for each pressure.

    Parameters
    ----------
    document : PredictionDocument
    first_known : int
        Index of the first known phase among the crystals of the page, where they follow what was
        found.

    Returns
    -------
    Chart or None
        None of a formula, and of more than three blocks, which have no plane figure.
    """
    if not has_figure(document):
        return None
    crystals = {id(one): k for k, one in enumerate(document.candidates)}
    crystals |= {id(one): first_known + k for k, one in enumerate(document.known)}
    is_binary = len(document.hulls[0].blocks) == 2
    draw = _binary if is_binary else _triangle
    notes = [f"{note}." for hull in document.hulls[:1] for note in hull.notes]
    what = (
        "Formation energies against composition. The line is the convex hull"
        if is_binary
        else "Compositions, coloured by the distance of their lowest structure from the convex "
        "hull. Lines join compounds in equilibrium"
    )
    return Chart(
        "The convex hull",
        f"{what}: what lies above it is not stable against those on it. Structures that the search "
        "has missed can only lower it. " + " ".join(notes),
        [draw(own, own.hulls[0], crystals) for own in at_each_pressure(document)],
    )


def _binary(document: PredictionDocument, hull: HullDocument, crystals: dict[int, int]) -> Panel:
    shown = [one for one in placed(document) if one.crystal.formation_energy is not None]
    line = sorted(
        (position(hull, formula)[0], one.crystal.formation_energy or 0.0)
        for formula, one in stable_ones(shown).items()
    )
    traces = [curve([x for x, _ in line], [y for _, y in line], "convex hull", COLOURS[0])]
    for is_known, name, colour, symbol in (
        (False, "found", COLOURS[1], "circle"), (True, "known", COLOURS[-1], "diamond-open"),
    ):  # fmt: skip
        own = [one for one in shown if one.is_known == is_known]
        if own:
            trace = points(
                [position(hull, one.crystal.formula)[0] for one in own],
                [one.crystal.formation_energy or 0.0 for one in own],
                name, colour, texts=[_text(one) for one in own], size=8,
                crystals=[crystals[id(one.crystal)] for one in own],
            )  # fmt: skip
            trace["marker"] |= {"symbol": symbol}
            traces.append(trace)
    quantity = "enthalpy" if document.pressure else "energy"
    return Panel(
        f"atoms of {hull.blocks[1]} / all atoms{at_pressure(document.pressure)}",
        f"formation {quantity} by {label(document.engine)} (eV/atom)",
        traces,
    )


def _triangle(document: PredictionDocument, hull: HullDocument, crystals: dict[int, int]) -> Panel:
    shown = placed(document)
    stable = stable_ones(shown)
    ends = corners(hull)
    closed = [*ends, ends[0]]
    traces: list[dict[str, Any]] = [
        curve([x for x, _ in closed], [y for _, y in closed], "", GREY, width=1.0)
    ]
    for pair in tie_lines(hull, list(stable.values())):
        places = [position(hull, formula) for formula in pair]
        traces.append(curve([x for x, _ in places], [y for _, y in places], "", COLOURS[0]))
    drawn = best_of_each(shown)
    places = [position(hull, one.crystal.formula) for one in drawn]
    trace = points(
        [x for x, _ in places], [y for _, y in places], "", COLOURS[1],
        texts=[_text(one) for one in drawn], size=10,
        crystals=[crystals[id(one.crystal)] for one in drawn],
    )  # fmt: skip
    trace["marker"] |= {
        "color": [min(one.above, HIGHEST) for one in drawn], "colorscale": "Viridis", "cmin": 0.0,
        "cmax": HIGHEST, "colorbar": {"title": {"text": "meV/atom"}, "thickness": 12},
    }  # fmt: skip
    names = {
        "x": [x for x, _ in ends], "y": [y for _, y in ends], "text": list(hull.blocks),
        "type": "scatter", "mode": "text", "hoverinfo": "skip",
        "textposition": ["bottom left", "bottom right", "top center"],
    }  # fmt: skip
    hidden = {"visible": False}
    layout = {
        "xaxis": {**hidden, "range": [-0.12, 1.12]},
        "yaxis": {**hidden, "range": [-0.12, 1.0], "scaleanchor": "x"},
    }
    return Panel(
        f"composition{at_pressure(document.pressure)}",
        "triangle",
        [{**one, "showlegend": False} for one in (*traces, trace, names)],
        layout,
    )


def _text(one: Placed) -> str:
    """What is told of a point."""
    above = "out of the hull's reach"
    if one.crystal.above_hull is not None:
        above = "on the hull" if one.is_stable else f"{one.above:.1f} meV/atom above the hull"
    rank = "known" if one.is_known else f"rank {one.crystal.rank}"
    more = "" if one.is_stable or not one.crystal.reaction else f"; {one.crystal.reaction}"
    return f"{one.name} ({rank}): {above}{more}"
