"""Crystals from files in VASP's format POSCAR, one or several after another."""

from __future__ import annotations

import re
import warnings
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms


class PoscarError(ValueError):
    """A POSCAR is broken, or does not say of which elements its atoms are."""


def looks_like_poscar(lines: list[str]) -> bool:
    """Whether some lines begin with a scale, a cell and numbers of atoms."""
    if len(lines) < 8 or not _is_scale(lines[1]):
        return False
    counts = lines[5].split()
    names = bool(counts) and all(re.match(r"[A-Za-z]", word) for word in counts)
    numbers = lines[6].split() if names else counts
    return (
        all(len(_floats(line)) >= 3 for line in lines[2:5])
        and bool(numbers)
        and all(word.isdigit() for word in numbers)
    )


def read_poscar(text: str, name: str) -> list[Atoms]:
    """
    Read the crystals of a POSCAR; what comes after their positions is left out.

    Parameters
    ----------
    text : str
        Of the file.
    name : str
        Of the file, for messages.

    Returns
    -------
    list of Atoms
        At least one: some programs write one POSCAR after another.

    Raises
    ------
    PoscarError
        If one is broken, or names no elements.
    """
    lines = text.splitlines()
    found: list[Atoms] = []
    while not found or looks_like_poscar(lines):
        where = name if not found else f"structure {len(found) + 1} of {name}"
        length = _length(lines, where)
        _require_counts(lines[:length], where)
        found.append(_one("\n".join(_by_factor(lines[:length], where)) + "\n", where))
        lines = lines[length:]
        while lines and not lines[0].strip():
            lines = lines[1:]
    return found


def _is_scale(line: str) -> bool:
    return len(line.split()) == 1 and len(_floats(line)) == 1


def _floats(line: str) -> list[float]:
    """Numbers at the beginning of a line."""
    found = []
    for word in line.split():
        try:
            found.append(float(word))
        except ValueError:
            break
    return found


def _length(lines: list[str], where: str) -> int:
    """Lines up to the last position."""
    counts: list[int] = []
    row = 5
    while row < min(len(lines), 40):
        words = lines[row].split()
        if words and all(word.isdigit() for word in words):
            counts += map(int, words)
        elif counts or not words:
            break
        row += 1
    if not sum(counts):
        raise PoscarError(f"{where} is no POSCAR: it has no numbers of atoms")
    selective = row < len(lines) and lines[row].strip()[:1] in ("s", "S")
    end = row + 1 + int(selective) + sum(counts)
    if end > len(lines):
        raise PoscarError(f"{where} announces {sum(counts)} atoms, which are not there")
    return end


def _by_factor(lines: list[str], where: str) -> list[str]:
    """Write a scale below zero, which is the volume, as the factor that it means, as VASP does."""
    scale = float(lines[1])
    volume = abs(float(np.linalg.det([_floats(line)[:3] for line in lines[2:5]])))
    if not scale or not volume > 0.0:
        raise PoscarError(f"{where} has a cell without volume")
    factor = scale if scale > 0.0 else (-scale / volume) ** (1.0 / 3.0)
    return [lines[0], repr(factor), *lines[2:]]


def _require_counts(lines: list[str], where: str) -> None:
    """Refuse names of elements and numbers of atoms of which there are not as many."""
    rows = [line.split("!")[0].split() for line in lines[5:40]]
    n_rows = next(k for k, row in enumerate(rows) if row and row[0].isdigit())
    names = [name for row in rows[:n_rows] for name in row]
    numbers = takewhile(lambda row: row and all(word.isdigit() for word in row), rows[n_rows:])
    counts = [word for row in numbers for word in row]
    if names and len(names) != len(counts):
        raise PoscarError(f"{where} names {len(names)} elements and gives {len(counts)} numbers")


def _one(text: str, where: str) -> Atoms:
    """Read a single POSCAR."""
    from ase import Atoms
    from pymatgen.io.vasp import Poscar

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            poscar = Poscar.from_str(text, read_velocities=False)
        if not poscar.true_names:
            raise PoscarError(
                f"{where} names no elements: write them in a line above the numbers of atoms"
            )
        return Atoms(
            [site.specie.symbol for site in poscar.structure],
            scaled_positions=poscar.structure.frac_coords,
            cell=poscar.structure.lattice.matrix,
            pbc=True,
        )
    except PoscarError:
        raise
    except Exception as error:  # whatever a malformed file leads pymatgen to
        said = (str(error).strip().splitlines() or ["broken"])[0]
        raise PoscarError(f"{where} is no POSCAR that can be read: {said}") from error
