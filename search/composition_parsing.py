"""Chemical systems and their ranges as they are typed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from search.composition_space import (
    USUAL_SYSTEM_ATOMS,
    CompositionRange,
    CompositionSpace,
    CompositionSpaceError,
    counts_of,
)

_DASHES = re.compile("[-\u2010-\u2015\u2212]")
_RANGE = re.compile(
    r"(?P<name>[A-Za-z0-9()\[\]]+)=(?P<least>\d*\.?\d*):(?P<most>\d*\.?\d*)", re.ASCII
)


def is_system(text: str) -> bool:
    """Whether what was typed is a system and not a formula: it has a dash."""
    return _DASHES.search(text) is not None


def parse_space(
    text: str,
    *,
    atoms_max: int | None = None,
    atoms_min: int = 1,
    ranges: str | Iterable[CompositionRange] = (),
    charge_balance: bool = False,
) -> CompositionSpace:
    """
    Read a system as it was typed.

    Parameters
    ----------
    text : str
        Elements or blocks with dashes between them, such as ``Mg-Si-O`` or ``MgO-SiO2``.
    atoms_max : int or None
        Most atoms of a cell; none: the usual number, or two of the largest block if that is more.
    atoms_min : int
        Least atoms of a cell.
    ranges : str or iterable of CompositionRange
        As :func:`parse_ranges` reads them.
    charge_balance : bool
        Only compositions that common oxidation states balance.

    Raises
    ------
    CompositionSpaceError
        In one sentence, if there is no such system.
    """
    blocks = tuple(part.strip() for part in _DASHES.split(text))
    if not all(blocks):
        raise CompositionSpaceError(
            f"{text!r} has a dash with nothing beside it; write a system as Mg-Si or MgO-SiO2"
        )
    largest = max(sum(counts_of(block).values()) for block in blocks)
    return CompositionSpace(
        blocks,
        atoms_max=max(USUAL_SYSTEM_ATOMS, 2 * largest) if atoms_max is None else atoms_max,
        atoms_min=atoms_min,
        ranges=parse_ranges(ranges) if isinstance(ranges, str) else tuple(ranges),
        charge_balance=charge_balance,
    )


def parse_ranges(text: str) -> tuple[CompositionRange, ...]:
    """
    Read ranges of elements or blocks.

    Parameters
    ----------
    text : str
        Fractions with a colon between them, such as ``"Mg=0.2:0.8,Si=:0.5"``: of the atoms for an
        element, of the blocks for a block. A side that is left out is 0 or 1.

    Raises
    ------
    CompositionSpaceError
        In one sentence, if they are no such ranges.

    Examples
    --------
    >>> parse_ranges("MgO=0.25:")
    (CompositionRange(name='MgO', least=0.25, most=1.0),)
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _RANGE.fullmatch("".join(part.split()))
        try:
            if match is None or not (match["least"] or match["most"]):
                raise ValueError
            least, most = float(match["least"] or 0.0), float(match["most"] or 1.0)
        except ValueError:
            raise CompositionSpaceError(
                f"the range {part!r} does not parse; write an element or a block and two fractions "
                "from 0 to 1, such as Mg=0.2:0.8"
            ) from None
        found.append(CompositionRange(match["name"], least, most))
    return tuple(found)
