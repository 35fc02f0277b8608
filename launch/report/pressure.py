"""How a pressure is told to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workflows.composition import Target


def at_pressure(pressure: float) -> str:
    """Say which pressure (kbar) something is under, as the end of a phrase; nothing for none."""
    from search.relax.pressure import GPA  # which takes NumPy with it

    return f" at {pressure / GPA:g} GPa" if pressure else ""


def of_target(target: Target) -> str:
    """Say which pressures a prediction is for, as the end of a phrase; nothing for none."""
    from search.relax.pressure import GPA

    if not target.pressures:
        return at_pressure(target.pressure)
    *others, last = [f"{pressure / GPA:g}" for pressure in target.pressures]
    return f" at {', '.join(others)} and {last} GPa"
