"""How a pressure is told to people."""

from __future__ import annotations

from collections.abc import Sequence


def at_pressure(pressure: float) -> str:
    """Say which pressure (kbar) something is under, as the end of a phrase; nothing for none."""
    from search.relax.pressure import GPA  # which takes NumPy with it

    return f" at {pressure / GPA:g} GPa" if pressure else ""


def at_pressures(pressures: Sequence[float]) -> str:
    """Say which pressures (kbar), one or more, as the end of a phrase; nothing for none."""
    from search.relax.pressure import GPA

    if len(pressures) == 1:
        return at_pressure(pressures[0])
    *others, last = [f"{pressure / GPA:g}" for pressure in pressures]
    return f" at {', '.join(others)} and {last} GPa"
