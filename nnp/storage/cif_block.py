"""What one block of a CIF says, by the names that its tags have had."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnp.storage.electronegativity import no_warnings_of_noble_gases
from nnp.storage.space_groups import Operations, named_operations

if TYPE_CHECKING:
    from ase.io.cif import CIFBlock
    from pymatgen.core import Composition

OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
_SYMBOLS = (
    "_space_group_name_h-m_alt",
    "_space_group_name_h-m_full",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m",
)
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
_CHOICE = "_space_group_it_coordinate_system_code"
UNKNOWN = ("", "?", ".")


class CifError(ValueError):
    """A CIF is broken, disordered or does not say where its atoms are; the message says what."""


def named_in(block: CIFBlock, cell: NDArray[np.float64]) -> list[Operations]:
    """
    Operations of the space group by its names.

    Parameters
    ----------
    block : CIFBlock
        Of a CIF.
    cell : ndarray
        Lattice vectors as rows in Å, shape (3, 3).

    Returns
    -------
    list of Operations
        None without any name; several if two origins are possible.

    Raises
    ------
    SpaceGroupError
        If there is no such space group, or the cell does not have it.
    """
    number = to_number(first(block, NUMBERS))
    group = int(number) if 1 <= number <= 230 else None
    symbol, hall = str(first(block, _SYMBOLS)), str(first(block, _HALL))
    if not (symbol or hall or group):
        return []
    choice = str(first(block, (_CHOICE,)))
    return named_operations(symbol=symbol, hall=hall, number=group, choice=choice, cell=cell)


def formula_of(block: CIFBlock) -> Composition | None:
    """
    Sum formula, isotopes as their elements.

    Parameters
    ----------
    block : CIFBlock
        Of a CIF.

    Returns
    -------
    Composition or None
        None if there is none that can be read.
    """
    from pymatgen.core import Composition

    formula = block.get("_chemical_formula_sum")
    if not isinstance(formula, str):
        return None
    try:
        return Composition(re.sub(r"\b[DT](?![a-z])", "H", formula.strip("'\"")))
    except (ValueError, TypeError, KeyError):
        return None


def atoms_told(block: CIFBlock) -> set[int] | None:
    """
    Atoms that the cell may have by its formula and formula units.

    The formula is that of one unit, but pymatgen writes that of the cell.

    Parameters
    ----------
    block : CIFBlock
        Of a CIF.

    Returns
    -------
    set of int or None
        None if the block does not say.
    """
    composition = formula_of(block)
    units = to_number(block.get("_cell_formula_units_z"))
    if composition is None or not units >= 1:
        return None
    factor = in_lowest_terms(composition)[1]
    atoms = [composition.num_atoms * units]
    if factor > 1 and factor % units == 0:
        atoms.append(composition.num_atoms)
    return {int(n) for n in atoms if n == int(n)} or None


def in_lowest_terms(composition: Composition) -> tuple[str, float]:
    """
    Spell a composition in lowest terms.

    Parameters
    ----------
    composition : Composition
        Of a crystal.

    Returns
    -------
    str
        Reduced formula.
    float
        Formula units.
    """
    with no_warnings_of_noble_gases():
        factor = composition.get_reduced_composition_and_factor()[1]
        return str(composition.reduced_formula), float(factor)


def first(block: CIFBlock, tags: Sequence[str]) -> Any:
    """
    Give the value of the first of several tags that has one.

    Parameters
    ----------
    block : CIFBlock
        Of a CIF.
    tags : sequence of str
        In small letters.

    Returns
    -------
    object
        An empty string if there is none.
    """
    for tag in tags:
        value = block.get(tag)
        value = value[0] if isinstance(value, list) and value else value
        if value is not None and str(value).strip() not in UNKNOWN:
            return value
    return ""


def column(block: CIFBlock, tag: str) -> list[Any] | None:
    """
    Give the values of a loop, or the single one outside of a loop.

    Parameters
    ----------
    block : CIFBlock
        Of a CIF.
    tag : str
        In small letters.

    Returns
    -------
    list or None
    """
    value: Any = block.get(tag)
    return value if value is None or isinstance(value, list) else [value]


def to_number(value: Any, default: float = float("nan")) -> float:
    """
    Give a value as a number.

    Parameters
    ----------
    value : object
        As it was read.
    default : float
        What is given if it is no number.

    Returns
    -------
    float
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        return default
