"""Structures from extended XYZ and all else that ASE reads, checked before they are used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnp.periodicity import periodic_cell

if TYPE_CHECKING:
    from ase import Atoms

_SIX_NUMBERS = re.compile(r"\b(stress|virial)\s*=\s*([\"'{])([^\"'{}]*)[\"'}]")


class StructureFileError(ValueError):
    """A file cannot be read as structures, or one of them makes no sense."""


def read_structures(path: Path) -> list[Atoms]:
    """
    Read all structures of a file with whatever is said about them.

    Parameters
    ----------
    path : Path
        Extended XYZ, or what else ASE reads but for output of VASP.

    Returns
    -------
    list of Atoms
        At least one; labels are in ``info``, ``arrays`` and the calculator's results.

    Raises
    ------
    OSError
        If there is no such file.
    StructureFileError
        If it cannot be read, or holds nothing.
    """
    from ase.io import read
    from ase.io.extxyz import key_val_str_to_dict
    from ase.io.formats import UnknownFileTypeError, filetype

    if _is_extended_xyz(path):
        _check_atom_counts(path)
        options: dict[str, Any] = {
            "format": "extxyz",
            "properties_parser": lambda line: key_val_str_to_dict(_nine_numbers(line)),
        }
    else:
        kind = filetype(str(path))
        if kind.startswith("vasp") and kind != "vasp":
            raise StructureFileError(f"{path} is output of VASP, which is not read here.")
        options = {"format": kind}
    try:
        found = read(path, index=":", do_not_split_by_at_sign=True, **options)
    except UnknownFileTypeError:
        raise StructureFileError(f"{path} is of no type that ASE knows.") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise StructureFileError(
            f"{path} cannot be read as structures: {_first_line(error)}."
        ) from error
    except Exception as error:  # ASE's readers raise whatever a malformed file leads them to
        raise StructureFileError(
            f"{path} cannot be read as structures: {_first_line(error)}."
        ) from error
    structures = found if isinstance(found, list) else [found]
    if not structures or not all(len(atoms) for atoms in structures):
        raise StructureFileError(f"{path} holds no structure, or one without atoms.")
    return structures


def _first_line(error: Exception) -> str:
    """What an error says, or what it is."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _is_extended_xyz(path: Path) -> bool:
    """Whether a file begins with a number of atoms and a line of keys."""
    with path.open(encoding="utf-8", errors="replace") as file:
        first, second = file.readline(1000), file.readline(10_000)
    return first.strip().isdigit() and ("Properties=" in second or "Lattice=" in second)


def _check_atom_counts(path: Path) -> None:
    """Refuse a file that announces more atoms than it has, before room is made for them."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    position, frame = 0, 0
    while position < len(lines) and lines[position].strip():
        try:
            n_atoms = int(lines[position])
        except ValueError:
            raise StructureFileError(
                f"line {position + 1} of {path} should be the number of atoms of frame {frame}."
            ) from None
        position += n_atoms + 2
        if n_atoms < 1 or position > len(lines):
            raise StructureFileError(
                f"frame {frame} of {path} announces {n_atoms} atoms, which are not there."
            )
        frame += 1


def _nine_numbers(line: str) -> str:
    """Write stresses and virials of six numbers as matrices, for ASE takes no others."""

    def expand(match: re.Match[str]) -> str:
        try:
            numbers = np.array(match[3].replace(",", " ").split(), dtype=float)
        except ValueError:
            return match[0]
        if numbers.size != 6:
            return match[0]
        return f'{match[1]}="{" ".join(map(repr, symmetric_matrix(numbers).ravel().tolist()))}"'

    return _SIX_NUMBERS.sub(expand, line)


def symmetric_matrix(values: Any) -> NDArray[np.float64]:
    """
    Make a matrix of nine numbers, or of six in Voigt's order xx, yy, zz, yz, xz, xy.

    Parameters
    ----------
    values : array_like
        Stress or virial.

    Returns
    -------
    ndarray
        Shape (3, 3).

    Raises
    ------
    ValueError
        If there are other than six or nine numbers, or the nine are not symmetric.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.size == 6:
        xx, yy, zz, yz, xz, xy = numbers.ravel()
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if numbers.size != 9:
        raise ValueError(f"{numbers.size} numbers, not 6 or 9")
    full = numbers.reshape(3, 3)
    if not np.allclose(full, full.T, rtol=0.0, atol=1e-3 * max(1e-3, float(np.abs(full).max()))):
        raise ValueError("a matrix that is not symmetric")
    return 0.5 * (full + full.T)


def periodic_structure(where: str, atoms: Atoms, cutoff: float | None) -> Atoms:
    """
    Give a copy in a periodic cell, without results.

    Parameters
    ----------
    where : str
        What it is, for messages.
    atoms : Atoms
        Any structure.
    cutoff : float or None
        Range of the potential in Å, for structures without periodicity; none refuses them.

    Returns
    -------
    Atoms

    Raises
    ------
    StructureFileError
        If it is not finite, has no cell, or is not periodic and may not be so.
    """
    made = atoms.copy()
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
        raise StructureFileError(f"{where} has positions or lattice vectors that are not finite.")
    if not atoms.cell.rank:
        raise StructureFileError(f"{where} has no cell.")
    if not atoms.pbc.all():
        if cutoff is None:
            flags = " ".join("FT"[int(flag)] for flag in atoms.pbc)
            raise StructureFileError(
                f'{where} is not periodic (pbc="{flags}"); crystals and melts are.'
            )
        made.set_cell(periodic_cell(atoms, cutoff))
        made.pbc = True
    if made.cell.rank < 3 or not made.get_volume() > 0.0:
        raise StructureFileError(f"{where} has a cell without volume.")
    return made
