"""Which campaigns may have structures of a compound."""

from __future__ import annotations

from search.composition_parsing import is_system
from workflows.composition import parse_composition, same_compound
from workflows.system import elements_of, same_system


def require_compound(wanted: str) -> None:
    """
    Refuse what is neither a formula nor a system.

    Parameters
    ----------
    wanted : str
        By which campaigns are looked for.

    Raises
    ------
    ValueError
        If it is none: a sentence says why.
    """
    if not is_system(wanted):
        parse_composition(wanted)


def has_compound(campaign: str, wanted: str) -> bool:
    """
    Whether a campaign may have structures of what is asked for.

    Parameters
    ----------
    campaign : str
        Its formula or system.
    wanted : str
        A formula, in any spelling, which is also one of each system of its elements; or a system.
    """
    if is_system(wanted):
        return same_system(campaign, wanted)
    elements = set(parse_composition(wanted).get_el_amt_dict())
    if is_system(campaign):
        return elements <= set(elements_of(campaign))
    return same_compound(campaign, wanted)
