"""
Whether a SHELX file holds a whole and ordered crystal.

ASE reads positions from such files, but neither occupancies nor symmetry. Programs for structure
prediction write all atoms of the cell, each with an occupancy of one: that is what is let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: Occupancies within this of one are one.
FULL = 1e-3
#: SHELX adds it to a number that is not refined.
FIXED = 10.0
#: Of a primitive cell without a centre of symmetry.
NO_SYMMETRY = -1

_INSTRUCTION = re.compile(r"[A-Z]{4}(_.*)?")


class ShelxError(ValueError):
    """A SHELX file is disordered or lists only some of its atoms; the message says what."""


def require_ordered(lines: Sequence[str], name: str) -> int:
    """
    Refuse partial occupancies, and symmetry that nobody applies.

    Parameters
    ----------
    lines : sequence of str
        Of the file.
    name : str
        How messages call it.

    Returns
    -------
    int
        Atoms that it lists.

    Raises
    ------
    ShelxError
        If a site is not occupied by one atom, or there is symmetry.
    """
    lattice, number = 1, 0
    for words in _instructions(lines):
        word = words[0].upper()
        if word == "SYMM":
            raise _has_symmetry(name)
        if word == "LATT" and len(words) > 1:
            lattice = int(_number(words[1]) or 0)
        elif _is_atom(words):
            number += 1
            _require_full(words, name)
    if lattice != NO_SYMMETRY:
        raise _has_symmetry(name)
    return number


def _instructions(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words of each instruction, up to the end; a line may go on in the next."""
    pending: list[str] = []
    for line in lines:
        text = line.split("!")[0].rstrip()
        words = pending + text.removesuffix("=").split()
        pending = words if text.endswith("=") else []
        if pending or not words or words[0].upper() == "REM":
            continue
        if words[0].upper() in ("END", "HKLF"):
            return
        yield words


def _is_atom(words: Sequence[str]) -> bool:
    """Whether an instruction is an atom: name, number of its kind, three coordinates."""
    if _INSTRUCTION.fullmatch(words[0]) or len(words) < 5 or not words[1].isdigit():
        return False
    return all(_number(word) is not None for word in words[2:5])


def _require_full(words: Sequence[str], name: str) -> None:
    """Refuse an atom with an occupancy other than one, which is 11 where it is not refined."""
    occupancy = FIXED + 1.0 if len(words) < 6 else _number(words[5])
    full = occupancy is not None and min(abs(occupancy - 1), abs(occupancy - FIXED - 1)) <= FULL
    if not full:
        raise ShelxError(
            f"{name}: the site {words[0]} has an occupancy of {words[5]}: a disordered crystal is "
            "no structure to compute; write an ordered one"
        )


def _has_symmetry(name: str) -> ShelxError:
    return ShelxError(
        f"{name} lists only some of its atoms, the others are due to symmetry (LATT, SYMM): write "
        "all of them with LATT -1, or a CIF"
    )


def _number(word: str) -> float | None:
    """Word as a number, if it is one."""
    try:
        return float(word)
    except ValueError:
        return None
