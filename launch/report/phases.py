"""Tables of phases at several pressures, and of the transitions between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from workflows.documents.phases import Phase, Transition
    from workflows.documents.prediction import PredictionDocument


def phase_table(prediction: PredictionDocument) -> Table:
    """
    Tabulate how far each phase lies above the best of each pressure.

    Parameters
    ----------
    prediction : PredictionDocument
        Of several pressures.
    """
    from rich.table import Table

    from search.relax.pressure import in_gpa

    table = Table(
        title=f"{prediction.formula}: enthalpy above the best by {prediction.engine}, meV/atom; "
        "in brackets Å³/atom"
    )
    table.add_column("phase")
    table.add_column("Z", justify="right")
    for pressure in prediction.pressures:
        table.add_column(in_gpa(pressure), justify="right")
    for phase in prediction.phases:
        points = {point.pressure: point for point in phase.points}
        first = phase.points[0]
        table.add_row(
            phase.name,
            str(first.formula_units),
            *(
                f"{points[p].above_best or 0.0:.1f} ({points[p].volume:.2f})" if p in points else ""
                for p in prediction.pressures
            ),
        )
    return table


def transition_table(prediction: PredictionDocument) -> Table:
    """
    Tabulate where the phase of lowest enthalpy gives way to another one.

    Parameters
    ----------
    prediction : PredictionDocument
        Of several pressures.
    """
    from rich.table import Table

    names = {phase.number: phase.name for phase in prediction.phases}
    table = Table(title=f"{prediction.formula}: transitions by {prediction.engine} enthalpy")
    for heading in ("from", "to"):
        table.add_column(heading)
    for heading in ("GPa", "change of volume, %"):
        table.add_column(heading, justify="right")
    for one in prediction.transitions:
        change = "" if one.volume_change is None else f"{100 * one.volume_change:.1f}"
        table.add_row(names[one.below], names[one.above], pressure_in_words(one), change)
    if not prediction.transitions:
        table.caption = f"none: the lowest phase is {_lowest(prediction.phases)} at all pressures"
    return table


def pressure_in_words(transition: Transition) -> str:
    """Pressure of a transition in GPa, or the pressures between which it is."""
    from search.relax.pressure import GPA

    if transition.pressure is not None:
        return f"{transition.pressure / GPA:.2f}"
    low, high = transition.between
    return f"{low / GPA:g} to {high / GPA:g}"


def _lowest(phases: list[Phase]) -> str:
    return phases[0].name if phases else "not known"
