"""What is looked for: a formula, how many formula units a cell may hold, and the pressure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING

from monty.json import MSONable
from pymatgen.core import Composition, Element, Structure

from nnp.storage.electronegativity import no_warnings_of_noble_gases

if TYPE_CHECKING:
    from search.composition_space import CompositionSpace

#: Formula units tried if nothing is said: most inorganic crystals have one of these.
USUAL_FORMULA_UNITS = (1, 2, 4)

#: Largest cell that is searched if nothing is said.
USUAL_ATOMS_MAX = 28

#: Most atoms in a cell, and characters in a formula.
LARGEST_CELL = 1000
LONGEST_FORMULA = 200
#: Formula units that are tried where only the largest cell is told.
_TRIED_UNITS = (1, 2, 3, 4, 6, 8, 12, 16)
#: What a formula is made of; pymatgen would leave out some other signs without a word.
_FORMULA = re.compile(r"[A-Za-z0-9.()\[\]{} ]+", re.ASCII)
#: An amount of nothing.
_NOTHING = re.compile(r"[A-Za-z)\]}]0+(\.0*)?(?![\d.])")
_ISOTOPES = {"D": "H", "T": "H"}
_SOLVENTS = ("H2O", "D2O", "NH3", "CH3OH", "CH4O", "C2H5OH", "C2H6O")


class FormulaError(ValueError):
    """A formula that cannot be read, or that no engine can compute."""


@dataclass(frozen=True)
class Target(MSONable):
    """
    A composition, the cells to search it in, and the pressure it is under.

    Parameters
    ----------
    formula : str
        Reduced formula, e.g. ``"LiAlCl4"``.
    formula_units : tuple of int
        Numbers of formula units in a cell, in rising order.
    pressure : float
        At which its crystals are looked for, kbar.
    pressures : tuple of float
        All of the campaign, in rising order, if there are several; the pressure is one of them.
    """

    formula: str
    formula_units: tuple[int, ...] = (1,)
    pressure: float = 0.0
    pressures: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        # JSON has no tuples
        object.__setattr__(self, "formula_units", tuple(self.formula_units))
        object.__setattr__(self, "pressures", tuple(self.pressures))

    @property
    def is_system(self) -> bool:
        """Whether the composition varies, see :class:`workflows.system.SystemTarget`."""
        return False

    @property
    def searched(self) -> dict[str, int] | CompositionSpace:
        """What a search takes: the atoms of one formula unit, or of a system its space."""
        return self.counts

    def in_words(self) -> str:
        """Say what is looked for, and in which cells."""
        return f"{self.formula}, Z = {', '.join(map(str, self.formula_units))}"

    @property
    def all_pressures(self) -> tuple[float, ...]:
        """Of the campaign, in rising order, kbar."""
        return self.pressures or (self.pressure,)

    @property
    def melt_pressures(self) -> tuple[float, ...]:
        """At which there is a melt, kbar: of several pressures the lowest and the highest."""
        return (self.pressures[0], self.pressures[-1]) if self.pressures else (self.pressure,)

    def under(self, pressures: Sequence[float]) -> Target:
        """
        Look for crystals at several pressures, or at one.

        Parameters
        ----------
        pressures : sequence of float
            kbar, in any order; the lowest is the pressure of the target.
        """
        rising = tuple(sorted(pressures))
        return replace(self, pressure=rising[0], pressures=rising if len(rising) > 1 else ())

    def at(self, pressure: float) -> Target:
        """Take one of the pressures of the campaign, in kbar."""
        return replace(self, pressure=pressure)

    @property
    def composition(self) -> Composition:
        """One formula unit."""
        return Composition(self.formula)

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols, in the order of the formula."""
        return tuple(element.symbol for element in self.composition)

    @property
    def counts(self) -> dict[str, int]:
        """Atoms of each element in one formula unit."""
        return {element.symbol: int(n) for element, n in self.composition.items()}

    @property
    def cell_sizes(self) -> tuple[int, ...]:
        """Atoms of the cells that are searched, in rising order."""
        unit = sum(self.counts.values())
        return tuple(units * unit for units in self.formula_units)

    def formula_of(self, structure: Structure) -> str:
        """
        Spell the formula of a crystal that was found.

        Parameters
        ----------
        structure : Structure
        """
        del structure  # it has no other
        return self.formula


def parse_target(
    formula: str,
    known: frozenset[str] | None,
    engine: str,
    formula_units: tuple[int, ...] | None = None,
    atoms_max: int | None = None,
    pressure: float = 0.0,
) -> Target:
    """
    Read a formula as it was typed.

    Parameters
    ----------
    formula : str
        E.g. ``"LiAlCl4"``.
    known : frozenset of str or None
        Symbols that the engine knows; none if it does not say.
    engine : str
        Name of the engine, for messages.
    formula_units : tuple of int or None
        Numbers of formula units to search; none: 1, 2 and 4 as far as they fit 28 atoms.
    atoms_max : int or None
        Largest number of atoms in a cell: 1, 2, 3, 4, 6, 8, 12 and 16 units as far as they fit.
    pressure : float
        At which its crystals are looked for, kbar.

    Raises
    ------
    FormulaError
        If the formula does not parse, has more than five elements, amounts that are not whole
        numbers or an element the engine does not know, or if no cell fits.
    """
    composition = parse_composition(formula)
    if len(composition) > 5:
        raise FormulaError(f"{formula} has {len(composition)} elements; five are the most")
    if known is not None:
        unknown = sorted({element.symbol for element in composition} - known)
        if unknown:
            raise FormulaError(
                f"the engine {engine} does not know {', '.join(unknown)}; choose another --engine"
            )
    reduced, factor = _reduce(composition)
    n_atoms = int(reduced.num_atoms)
    if n_atoms > LARGEST_CELL:
        raise FormulaError(
            f"{formula} has {n_atoms} atoms in a formula unit; {LARGEST_CELL} are the most"
        )
    as_typed = "".join(formula.split())
    return Target(
        # as typed if it is one formula unit: people look for their own spelling
        formula=as_typed if factor == 1 else _spell(reduced),
        formula_units=_choose_units(n_atoms, formula, formula_units, atoms_max),
        pressure=pressure,
    )


def parse_composition(formula: str) -> Composition:
    """
    Read a formula of elements and whole numbers.

    Parameters
    ----------
    formula : str
        As it was typed.

    Raises
    ------
    FormulaError
        If it does not parse; the message says what may have been meant.
    """
    if len(formula) > LONGEST_FORMULA:
        raise FormulaError(f"a formula has at most {LONGEST_FORMULA} characters")
    # pymatgen takes 1e1 for ten
    composition = None if re.search(r"\de", formula) else _read(formula)
    if composition is None:
        raise FormulaError(_explain(formula))
    if found := _isotopes(formula):
        raise FormulaError(
            f"{formula} names an isotope, {found[0]}, which has the energies and crystals of its "
            f"element; write {_without_isotopes(formula)}"
        )
    if _NOTHING.search(formula):
        raise FormulaError(f"{formula} has an amount of zero; leave out what is not there")
    if any(not isfinite(n) or abs(n - round(n)) > 1e-8 for n in composition.values()):
        meant = _hydrate(formula)
        raise FormulaError(
            f"{formula} has amounts that are not whole numbers; "
            + (f"did you mean {_without_isotopes(meant)}?" if meant else "write them as such")
        )
    return composition


def same_compound(one: str, other: str) -> bool:
    """
    Whether two formulas are of one compound: ``AuCu``, ``CuAu`` and ``Cu2Au2`` are.

    Parameters
    ----------
    one, other : str
        Formulas; two that cannot be read are compared as they are.
    """
    return one == other or compound(one) == compound(other)


def compound(formula: str) -> str:
    """
    Spell a compound in the one way by which it is compared with others.

    Parameters
    ----------
    formula : str
        In any spelling.

    Returns
    -------
    str
        Reduced formula with the elements in one order; what cannot be read, as it is.
    """
    composition = _read(formula) if len(formula) <= LONGEST_FORMULA else None
    if composition is None:
        return formula
    reduced = _reduce(composition)[0]
    with no_warnings_of_noble_gases():
        ordered = sorted(reduced.items())
    return "".join(f"{e.symbol}{n:g}" if n != 1 else e.symbol for e, n in ordered)


def _isotopes(formula: str) -> list[str]:
    """Symbols of isotopes in a formula."""
    return [symbol for symbol in re.findall(r"[A-Z][a-z]?", formula) if symbol in _ISOTOPES]


def _without_isotopes(formula: str) -> str:
    """Write elements in the place of isotopes."""
    return re.sub(r"[A-Z][a-z]?", lambda m: _ISOTOPES.get(m.group(), m.group()), formula)


def _read(formula: str) -> Composition | None:
    """Composition with isotopes as their element, or none if it is none of elements."""
    if not _FORMULA.fullmatch(formula):
        return None
    try:
        composition = Composition(formula, strict=True)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    counts: dict[str, float] = {}
    for element, amount in composition.items():
        if not isinstance(element, Element) or not amount < 1e6:
            return None
        symbol = _ISOTOPES.get(element.symbol, element.symbol)
        counts[symbol] = counts.get(symbol, 0.0) + amount
    return Composition(counts) if counts else None


def _reduce(composition: Composition) -> tuple[Composition, float]:
    """One formula unit, and how many of them there are."""
    with no_warnings_of_noble_gases():
        return composition.get_reduced_composition_and_factor()


def _spell(composition: Composition) -> str:
    return "".join(
        f"{element.symbol}{int(amount) if amount > 1 else ''}"
        for element, amount in composition.items()
    )


def _explain(formula: str) -> str:
    """Say what is wrong with a formula, with the spelling that may have been meant."""
    message = f"the formula {formula!r} does not parse"
    plain = unicodedata.normalize("NFKC", formula)  # digits below the line, for one
    letters = r"[A-Z][A-Z](?![a-z])"
    guesses = (
        _hydrate(plain),
        plain,
        re.sub(letters, lambda m: m.group()[0] + m.group()[1].lower(), plain),
    )
    for meant in guesses:
        if meant and meant != formula and _read(meant) is not None:
            return f"{message}; did you mean {_without_isotopes(meant)}?"
    stray = sorted({c for c in formula if not _FORMULA.fullmatch(c)})
    if stray:
        listed = " ".join(stray[:5])
        message = f"{message}: it has characters that no formula has ({listed})"
    return f"{message}; write element symbols with whole numbers, such as LiAlCl4"


def _hydrate(formula: str) -> str | None:
    """
    Write a compound with water, or another molecule, as one formula.

    A point before water is no decimal point; between others it may be one.
    """
    found = re.fullmatch(
        r"(?P<host>.+?)\s*(?P<sign>[.·•∙⋅*])\s*(?P<n>\d*\.?\d*)\s*(?P<guest>[A-Z(].*)",
        formula.strip(),
    )
    if found is None:
        return None
    guest = found["guest"].replace(" ", "")
    if found["sign"] == "." and guest not in _SOLVENTS:
        return None
    host, n = found["host"].replace(" ", ""), found["n"]
    if "." in n:  # half a molecule for one unit is one for two
        share = Fraction(n if n.strip(".") else "0").limit_denominator(12)
        meant = f"({host}){share.denominator}({guest}){share.numerator}"
    else:
        meant = f"{host}({guest}){n}"
    composition = _read(meant)
    if composition is None or any(n != int(n) for n in composition.values()):
        return None
    return meant


def _choose_units(
    n_atoms: int, formula: str, given: tuple[int, ...] | None, atoms_max: int | None
) -> tuple[int, ...]:
    if given:
        if min(given) < 1:
            raise FormulaError("the number of formula units --z must be 1 or more")
        if max(given) * n_atoms > LARGEST_CELL:
            raise FormulaError(
                f"--z {max(given)} makes {max(given) * n_atoms} atoms; {LARGEST_CELL} are the most"
            )
        if atoms_max is not None and max(given) * n_atoms > atoms_max:
            raise FormulaError(
                f"--z {max(given)} makes {max(given) * n_atoms} atoms, more than --atoms-max "
                f"{atoms_max}; give one of the two"
            )
        return tuple(sorted(set(given)))
    if atoms_max is None:
        fitting = [z for z in USUAL_FORMULA_UNITS if z * n_atoms <= USUAL_ATOMS_MAX]
        return tuple(fitting or [1])
    if atoms_max < n_atoms:
        raise FormulaError(
            f"--atoms-max {atoms_max} is too small: {formula} has {n_atoms} atoms in a formula unit"
        )
    if atoms_max > LARGEST_CELL:
        raise FormulaError(f"--atoms-max {atoms_max} is too large: {LARGEST_CELL} are the most")
    return tuple(z for z in _TRIED_UNITS if z * n_atoms <= atoms_max)
