"""How a pressure is told to people."""

from __future__ import annotations


def at_pressure(pressure: float) -> str:
    """Say which pressure (kbar) something is under, as the end of a phrase; nothing for none."""
    from search.relax.pressure import GPA  # which takes NumPy with it

    return f" at {pressure / GPA:g} GPa" if pressure else ""
