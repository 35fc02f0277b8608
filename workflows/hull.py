"""Convex hull of energies over compositions: what lies above it, and what that becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm
from typing import TYPE_CHECKING, NamedTuple

from pymatgen.core import Composition

if TYPE_CHECKING:
    from pymatgen.core.entries import Entry

#: eV/atom of an element of which there is no crystal: whatever needs it is out of reach.
OUT_OF_REACH = 1000.0
STAND_IN = "no crystal"
#: Part of a mixture that is no part of it, but rounding.
ROUNDING = 1e-6
#: Largest number of formula units of a product for so many of what it comes from.
MOST_UNITS = 200


class Point(NamedTuple):
    """
    A crystal over its composition.

    Attributes
    ----------
    formula : str
        In the spelling by which products are told.
    energy : float
        Energy, at a pressure enthalpy, eV/atom; all of one hull by one engine.
    """

    formula: str
    energy: float

    @property
    def composition(self) -> Composition:
        """Of the formula."""
        return Composition(self.formula)


class PartialPhaseDiagram:
    """
    Lower convex hull of the energies of crystals of several compositions.

    It is that of :class:`pymatgen.analysis.phase_diagram.PhaseDiagram`, which wants a crystal of
    every element. Where there is none, as in a system of oxides, a crystal of :data:`OUT_OF_REACH`
    stands in its place, which never is a product of anything that the others can make.

    Parameters
    ----------
    points : sequence of Point
        At least one.

    Examples
    --------
    >>> oxides = {"MgO": -6.0, "SiO2": -8.0, "Mg2SiO4": -7.0, "MgSiO3": -7.26}
    >>> hull = PartialPhaseDiagram([Point(formula, energy) for formula, energy in oxides.items()])
    >>> round(hull.above(Point("MgSiO3", -7.26)), 3)
    0.04
    >>> products_in_words("MgSiO3", hull.products("MgSiO3"))
    '2 MgSiO3 → Mg2SiO4 + SiO2'
    """

    def __init__(self, points: Sequence[Point]) -> None:
        from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

        if not points:
            raise ValueError("a hull needs at least one crystal")
        compositions = [point.composition for point in points]
        entries = [
            PDEntry(composition, point.energy * composition.num_atoms, name=point.formula)
            for point, composition in zip(points, compositions, strict=True)
        ]
        there = {one.elements[0] for one in compositions if len(one) == 1}
        elements = {element for one in compositions for element in one.elements}
        missing = sorted(elements - there, key=str)
        #: Symbols of elements of which there is no crystal.
        self.missing = [element.symbol for element in missing]
        stand_ins = [
            PDEntry(Composition({element: 1}), OUT_OF_REACH, name=STAND_IN) for element in missing
        ]
        self._diagram = PhaseDiagram([*entries, *stand_ins])

    @cached_property
    def stable(self) -> list[str]:
        """Formulas of the compounds on the hull, in alphabetical order."""
        names = {_name(entry) for entry in self._diagram.stable_entries}
        return sorted(names - {STAND_IN})

    def energy(self, formula: str) -> float | None:
        """
        Energy of the hull at a composition, eV/atom.

        Parameters
        ----------
        formula : str

        Returns
        -------
        float or None
            None where the crystals of the hull cannot make it.
        """
        return self.energy_of(Composition(formula))

    def energy_of(self, composition: Composition) -> float | None:
        """
        Energy of the hull at any composition, as :meth:`energy` tells it.

        Parameters
        ----------
        composition : Composition
            Of whatever amounts.
        """
        if self._parts(composition) is None:
            return None
        return float(self._diagram.get_hull_energy_per_atom(composition))

    def above(self, point: Point) -> float | None:
        """
        How far a crystal lies above the hull, eV/atom; below zero: it is not part of the hull.

        Parameters
        ----------
        point : Point

        Returns
        -------
        float or None
            None where the crystals of the hull cannot make its composition.
        """
        energy = self.energy(point.formula)
        return None if energy is None else point.energy - energy

    def products(self, formula: str) -> dict[str, float] | None:
        """
        What a composition becomes in equilibrium.

        Parameters
        ----------
        formula : str

        Returns
        -------
        dict of str to float or None
            Fraction of the atoms by formula, the largest first; none where the crystals of the hull
            cannot make it.
        """
        parts = self._parts(Composition(formula))
        return None if parts is None else dict(sorted(parts.items(), key=lambda part: -part[1]))

    def _parts(self, composition: Composition) -> dict[str, float] | None:
        """Fractions of the atoms by formula; none where the crystals cannot make it."""
        if any(element not in self._diagram.elements for element in composition.elements):
            return None
        parts = {
            _name(entry): float(part)
            for entry, part in self._diagram.get_decomposition(composition).items()
            if part > ROUNDING
        }
        return None if STAND_IN in parts else parts


def _name(entry: Entry) -> str:
    """Formula of an entry that this module has made."""
    name: str = entry.name  # type: ignore[attr-defined]  # of a PDEntry
    return name


def levels_of(points: Sequence[Point]) -> list[float]:
    """
    Energy of the hull of crystals at the composition of each of them, eV/atom.

    Parameters
    ----------
    points : sequence of Point
        Of any compositions, of the pure elements or not.
    """
    if not points:
        return []
    hull = PartialPhaseDiagram(points)
    # each can make its own composition
    return [point.energy - (hull.above(point) or 0.0) for point in points]


def products_in_words(formula: str, products: Mapping[str, float] | None) -> str:
    """
    Write what a compound becomes as a reaction of whole numbers of formula units.

    Parameters
    ----------
    formula : str
        Of the compound.
    products : mapping or None
        As of :meth:`PartialPhaseDiagram.products`.

    Returns
    -------
    str
        ``2 MgSi → Mg2Si + Si``; empty where there are no products.
    """
    if not products:
        return ""
    atoms = Composition(formula).num_atoms
    units = {
        name: Fraction(part * atoms / Composition(name).num_atoms).limit_denominator(MOST_UNITS)
        for name, part in products.items()
    }
    times = lcm(*(unit.denominator for unit in units.values()))
    numbers = [times, *(int(unit * times) for unit in units.values())]
    shared = gcd(*numbers)
    left, *right = [
        f"{number // shared} {name}" if number // shared > 1 else name
        for number, name in zip(numbers, [formula, *units], strict=True)
    ]
    return f"{left} → {' + '.join(right)}"
