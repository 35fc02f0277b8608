"""Whether common oxidation states of its elements balance a formula."""

from __future__ import annotations

from pymatgen.core import Composition

#: Atoms of a reduced formula beyond which the combinations of states are too many to go through.
MOST_ATOMS = 400


def unbalanced(formula: str) -> str | None:
    """
    Say that no common oxidation states balance a formula, if none do.

    Only formulas of metals, or metalloids, with nonmetals are asked about: in an alloy, and between
    nonmetals, oxidation states settle nothing. An element may have several states at once, as iron
    has in Fe3O4.

    Parameters
    ----------
    formula : str
        That can be read.

    Returns
    -------
    str or None
        A sentence without its full stop; none if the states balance, or are not asked about.

    Examples
    --------
    >>> unbalanced("LiAlCl4"), unbalanced("CuAu"), unbalanced("Fe3O4")
    (None, None, None)
    >>> unbalanced("LiCl2")
    'no common oxidation states of Li and Cl balance LiCl2: check the formula, unless ...'
    """
    composition = Composition(formula).reduced_composition
    is_metallic = [element.is_metal or element.is_metalloid for element in composition]
    if all(is_metallic) or not any(is_metallic) or composition.num_atoms > MOST_ATOMS:
        return None
    if composition.oxi_state_guesses(max_sites=-1):
        return None
    *others, last = [element.symbol for element in composition]
    return (
        f"no common oxidation states of {', '.join(others)} and {last} balance {formula}: check "
        "the formula, unless it is meant to be metallic or to have bonds between like atoms"
    )
