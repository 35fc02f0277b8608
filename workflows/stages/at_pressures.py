"""What belongs to one of several pressures: enthalpies compare at one pressure only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Protocol, TypeVar

Entry = TypeVar("Entry")


class AtPressure(Protocol):
    """Whatever is at a pressure."""

    @property
    def pressure(self) -> float:
        """From outside, kbar."""


class WithEnthalpy(AtPressure, Protocol):
    """A crystal at a pressure: of a search, or relaxed by an engine."""

    @property
    def enthalpy(self) -> float:
        """Energy and pressure times volume, eV/atom."""


Found = TypeVar("Found", bound=AtPressure)


def by_pressure(entries: Iterable[Found]) -> dict[float, list[Found]]:
    """Entries at each pressure (kbar), in the order in which they are given."""
    found: dict[float, list[Found]] = {}
    for entry in entries:
        found.setdefault(entry.pressure, []).append(entry)
    return found


def lowest(entries: Iterable[WithEnthalpy]) -> dict[float, float]:
    """Lowest enthalpy (eV/atom) at each pressure (kbar)."""
    return {
        pressure: min(entry.enthalpy for entry in group)
        for pressure, group in by_pressure(entries).items()
    }


def levels(entries: Sequence[WithEnthalpy]) -> list[float]:
    """
    What is taken away from enthalpies before those of several pressures are compared.

    Parameters
    ----------
    entries : sequence
        At any pressures.

    Returns
    -------
    list of float
        For each the lowest enthalpy at its pressure, eV/atom; nothing if all have one pressure.
    """
    found = lowest(entries)
    if len(found) < 2:
        return [0.0] * len(entries)
    return [found[entry.pressure] for entry in entries]


def interleaved(groups: Iterable[Sequence[Entry]]) -> list[Entry]:
    """Join lists by taking the first of each, then the second of each, and so on."""
    missing = object()
    rows = zip_longest(*groups, fillvalue=missing)
    return [entry for entry in chain.from_iterable(rows) if entry is not missing]  # type: ignore[misc]
