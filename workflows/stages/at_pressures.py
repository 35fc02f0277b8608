"""Which enthalpies compare: those at one pressure, of one composition or against a hull."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Protocol, TypeVar

from workflows.hull import Point, levels_of

if TYPE_CHECKING:
    from pymatgen.core import Structure

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

    @property
    def structure(self) -> Structure:
        """The crystal."""


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
    What is taken away from enthalpies before those of several pressures, or compositions, compare.

    Parameters
    ----------
    entries : sequence
        At any pressures.

    Returns
    -------
    list of float
        For each the lowest enthalpy at its pressure, eV/atom; nothing if all have one pressure.
        Where there are several compositions, that of their hull at its own.
    """
    if of_several_compositions(entries):
        return _levels_of_hulls(entries)
    found = lowest(entries)
    if len(found) < 2:
        return [0.0] * len(entries)
    return [found[entry.pressure] for entry in entries]


def of_several_compositions(entries: Sequence[WithEnthalpy]) -> bool:
    """Whether crystals are of more than one composition, as those of a system are."""
    return len({one.structure.composition.reduced_formula for one in entries}) > 1


def above_lowest(entries: Sequence[WithEnthalpy]) -> list[float]:
    """
    How far each lies above the lowest of its pressure, or above the hull there, eV/atom.

    Parameters
    ----------
    entries : sequence
        At any pressures, of any compositions.
    """
    if of_several_compositions(entries):
        zeros = _levels_of_hulls(entries)
        return [one.enthalpy - zero for one, zero in zip(entries, zeros, strict=True)]
    found = lowest(entries)
    return [one.enthalpy - found[one.pressure] for one in entries]


def _levels_of_hulls(entries: Sequence[WithEnthalpy]) -> list[float]:
    """Enthalpy of the hull at the pressure and the composition of each, eV/atom."""
    zeros = [0.0] * len(entries)
    for pressure in {one.pressure for one in entries}:
        own = [k for k, one in enumerate(entries) if one.pressure == pressure]
        points = [
            Point(entries[k].structure.composition.reduced_formula, entries[k].enthalpy)
            for k in own
        ]
        for k, level in zip(own, levels_of(points), strict=True):
            zeros[k] = level
    return zeros


def interleaved(groups: Iterable[Sequence[Entry]]) -> list[Entry]:
    """Join lists by taking the first of each, then the second of each, and so on."""
    missing = object()
    rows = zip_longest(*groups, fillvalue=missing)
    return [entry for entry in chain.from_iterable(rows) if entry is not missing]  # type: ignore[misc]
