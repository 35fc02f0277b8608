"""Which space groups a search draws from: as a user writes them, and what fits into them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

ALL_GROUPS = "1-230"
"""All of them, as a user would write it."""
LAST_GROUP = 230
HALL_SYMBOLS = 530
"""Settings of all space groups that have a Hall symbol of their own."""


class SpaceGroupError(ValueError):
    """There is no such space group, or nothing fits into it."""


@cache
def read_space_groups(text: str) -> tuple[int, ...]:
    """
    Read numbers, ranges and symbols of space groups with commas between them.

    Parameters
    ----------
    text : str
        E.g. ``"2,14,62"``, ``"16-74"``, ``"Pnma, P2_1/c"``; symbols of other settings of the same
        group too, and without underscores.

    Returns
    -------
    tuple of int
        Their numbers, each once, in order.

    Raises
    ------
    SpaceGroupError
        If a part is none of these; the message names it.

    Examples
    --------
    >>> read_space_groups("Pnma,2,14-15")
    (2, 14, 15, 62)
    """
    found: set[int] = set()
    for part in (part.strip() for part in text.split(",")):
        ends = re.fullmatch(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?", part, re.ASCII)
        if ends is None:
            found.add(_number_of(part))
            continue
        first, last = int(ends[1]), int(ends[2] or ends[1])
        for number in (first, last):
            if not 1 <= number <= LAST_GROUP:
                raise SpaceGroupError(f"space groups are numbered from 1 to 230, not {number}")
        if first > last:
            raise SpaceGroupError(f"the range of space groups {part} ends before it begins")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _number_of(symbol: str) -> int:
    """Number of the space group of a Hermann-Mauguin symbol."""
    number = _symbols().get(_plain(symbol))
    if number is None:
        raise SpaceGroupError(
            f"there is no space group {symbol[:20]!r}; they are given by numbers, ranges and "
            "symbols with commas between them, such as 2,14-15,Pnma"
        )
    return number


def _plain(symbol: str) -> str:
    """Symbol without what people write in different ways."""
    return re.sub(r"[\s_]", "", symbol).partition(":")[0]


@lru_cache(maxsize=1)
def _symbols() -> dict[str, int]:
    """Numbers by short and full symbols, in all settings that spglib knows."""
    import spglib

    known: dict[str, int] = {}
    for hall in range(1, HALL_SYMBOLS + 1):
        kind: Any = spglib.get_spacegroup_type(hall)
        names = (kind.international_short, kind.international_full, *kind.international.split("="))
        known |= {_plain(name): int(kind.number) for name in names}
    return known


def fits(number: int, counts: Mapping[str, int]) -> bool:
    """
    Whether the Wyckoff positions of a space group can hold so many atoms in the primitive cell.

    A position without a free coordinate is taken once at the most.

    Parameters
    ----------
    number : int
        Of the space group.
    counts : mapping of str to int
        Atoms of each element.
    """
    return _fits(number, tuple(sorted(counts.values())))


@cache
def _fits(number: int, counts: tuple[int, ...]) -> bool:
    from search.create.wyckoff import space_group

    sites = space_group(number).sites
    free = {site.multiplicity for site in sites if site.free}
    fixed = Counter(site.multiplicity for site in sites if not site.free)
    return _can_fill(counts, frozenset(free), tuple(sorted(fixed.items())))


def _can_fill(
    counts: tuple[int, ...], free: frozenset[int], fixed: tuple[tuple[int, int], ...]
) -> bool:
    """Whether elements can share sites: free ones as often as they like, fixed ones once each."""
    if not counts:
        return True
    # atoms of the first element that are left, and fixed sites, for each way to use some of them
    seen: set[tuple[int, tuple[tuple[int, int], ...]]] = set()
    ways = [(counts[0], fixed)]
    while ways:
        atoms, sites = ways.pop()
        if (atoms, sites) in seen:
            continue
        seen.add((atoms, sites))
        for i, (multiplicity, number) in enumerate(sites):
            if number and multiplicity <= atoms:
                taken = (*sites[:i], (multiplicity, number - 1), *sites[i + 1 :])
                ways.append((atoms - multiplicity, taken))
    left = {sites for atoms, sites in seen if _is_sum(atoms, free)}
    return any(_can_fill(counts[1:], free, sites) for sites in left)


@cache
def _is_sum(atoms: int, parts: frozenset[int]) -> bool:
    """Whether a number is a sum of some numbers, each taken any number of times."""
    reached = [True] + [False] * atoms
    for total in range(1, atoms + 1):
        reached[total] = any(part <= total and reached[total - part] for part in parts)
    return reached[atoms]


def usable_units(
    groups: Iterable[int], composition: Mapping[str, int], units: Iterable[int]
) -> tuple[int, ...]:
    """
    Choose the numbers of formula units that fit into any of some space groups.

    Parameters
    ----------
    groups : iterable of int
        Numbers of the groups.
    composition : mapping of str to int
        Atoms of each element in a formula unit.
    units : iterable of int
        Formula units in the primitive cell that are asked for.

    Raises
    ------
    SpaceGroupError
        If none fits.
    """
    groups, units = tuple(groups), tuple(units)
    usable = tuple(
        z
        for z in units
        if any(fits(group, {e: n * z for e, n in composition.items()}) for group in groups)
    )
    if not usable:
        formula = "".join(f"{e}{n if n > 1 else ''}" for e, n in composition.items())
        raise SpaceGroupError(
            f"none of the space groups asked for can hold {formula} with "
            f"{', '.join(map(str, units))} formula units in the primitive cell"
        )
    return usable
