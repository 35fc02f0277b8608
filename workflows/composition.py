"""What is looked for: a formula, and how many formula units a crystal's cell may hold."""

from __future__ import annotations

from dataclasses import dataclass

from monty.json import MSONable
from pymatgen.core import Composition, Element

#: Formula units tried if nothing is said: most inorganic crystals have one of these.
USUAL_FORMULA_UNITS = (1, 2, 4)

#: Largest cell that is searched if nothing is said.
USUAL_ATOMS_MAX = 28


class FormulaError(ValueError):
    """A formula that cannot be read, or that no engine can compute."""


@dataclass(frozen=True)
class Target(MSONable):
    """
    A composition and the cells to search it in.

    Parameters
    ----------
    formula : str
        Reduced formula, e.g. ``"LiAlCl4"``.
    formula_units : tuple of int
        Numbers of formula units in a cell, in rising order.
    """

    formula: str
    formula_units: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        # JSON has no tuples
        object.__setattr__(self, "formula_units", tuple(self.formula_units))

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


def parse_target(
    formula: str,
    known: frozenset[str] | None,
    engine: str,
    formula_units: tuple[int, ...] | None = None,
    atoms_max: int | None = None,
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

    Raises
    ------
    FormulaError
        If the formula does not parse, has more than five elements, amounts that are not whole
        numbers or an element the engine does not know, or if no cell fits.
    """
    composition = _parse(formula)
    if len(composition) > 5:
        raise FormulaError(f"{formula} has {len(composition)} elements; five are the most")
    if any(abs(amount - round(amount)) > 1e-8 for amount in composition.values()):
        raise FormulaError(f"{formula} has amounts that are not whole numbers; write them as such")
    if known is not None:
        unknown = sorted({element.symbol for element in composition} - known)
        if unknown:
            raise FormulaError(
                f"the engine {engine} does not know {', '.join(unknown)}; choose another --engine"
            )
    reduced, factor = composition.get_reduced_composition_and_factor()
    return Target(
        # as typed if it is one formula unit: people look for their own spelling
        formula="".join(formula.split()) if factor == 1 else _spell(reduced),
        formula_units=_choose_units(int(reduced.num_atoms), formula, formula_units, atoms_max),
    )


def _parse(formula: str) -> Composition:
    try:
        composition = Composition(formula, strict=True)
    except (ValueError, KeyError, TypeError):
        raise FormulaError(_explain(formula)) from None
    if not composition or any(not isinstance(element, Element) for element in composition):
        raise FormulaError(_explain(formula))
    return composition


def _spell(composition: Composition) -> str:
    return "".join(
        f"{element.symbol}{int(amount) if amount > 1 else ''}"
        for element, amount in composition.items()
    )


def _explain(formula: str) -> str:
    """Say what is wrong with a formula, with the spelling that may have been meant."""
    import re

    message = f"the formula {formula!r} does not parse"
    meant = re.sub(r"[A-Z][A-Z](?![a-z])", lambda m: m.group()[0] + m.group()[1].lower(), formula)
    if meant != formula:
        try:
            Composition(meant, strict=True)
        except (ValueError, KeyError, TypeError):
            pass
        else:
            return f"{message}; did you mean {meant}?"
    return f"{message}; write element symbols with whole numbers, such as LiAlCl4"


def _choose_units(
    n_atoms: int, formula: str, given: tuple[int, ...] | None, atoms_max: int | None
) -> tuple[int, ...]:
    if given:
        if min(given) < 1:
            raise FormulaError("the number of formula units --z must be 1 or more")
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
    return tuple(z for z in range(1, atoms_max // n_atoms + 1) if z in (1, 2, 3, 4, 6, 8, 12, 16))
