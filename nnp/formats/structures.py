"""Structures from extended XYZ and all else that ASE reads, checked before they are used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from nnp.formats.compressed import open_bytes, read_start, text_lines
from nnp.periodicity import periodic_cell

if TYPE_CHECKING:
    from ase import Atoms

_NUMBERS = re.compile(r"(?<!\S)[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?(?!\S)")
_SIX_NUMBERS = re.compile(r"\b(stress|virial)\s*=\s*([\"'{])([^\"'{}]*)[\"'}]")


#: Å³ an atom, and Å between two atoms or an atom and its image, below which nothing is matter.
_SMALLEST_VOLUME, _SHORTEST_DISTANCE = 0.1, 0.1
#: Å from the origin, beyond which double precision does not tell where in the cell an atom is.
_FARTHEST = 1e8


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
    from ase.io.formats import UnknownFileTypeError

    options: dict[str, Any] = {}
    source: Path | TextIO = path
    try:
        kind = _kind(path)
        if kind == "extxyz":
            _check_atom_counts(path)
            options["properties_parser"] = lambda line: key_val_str_to_dict(_nine_numbers(line))
            source = TextIOWrapper(open_bytes(path), encoding="utf-8")
        found = read(source, index=":", format=kind, do_not_split_by_at_sign=True, **options)
    except StructureFileError:
        raise
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
    finally:
        if isinstance(source, TextIOWrapper):
            source.close()
    structures = found if isinstance(found, list) else [found]
    if not structures or not all(len(atoms) for atoms in structures):
        raise StructureFileError(f"{path} holds no structure, or one without atoms.")
    return structures


def _first_line(error: Exception) -> str:
    """What an error says, or what it is."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _kind(path: Path) -> str:
    """ASE's name of a format, by what the file holds; only if that does not tell, by its name."""
    from ase.io.formats import UnknownFileTypeError, filetype, match_magic

    start = read_start(path, 50_000)
    lines = start.decode("utf-8", errors="replace").splitlines()
    if not lines:
        raise StructureFileError(f"{path} is empty, or damaged.")
    if _is_extended_xyz(lines):
        return "extxyz"
    try:
        return str(match_magic(start).name)
    except UnknownFileTypeError:
        pass
    if any(line.lower().startswith("_cell_length_a") for line in map(str.strip, lines)):
        return "cif"
    if _is_poscar(lines):  # and each configuration of a trajectory is headed
        trajectory = any(line.startswith("Direct configuration") for line in lines)
        return "vasp-xdatcar" if trajectory else "vasp"
    kind = str(filetype(str(path)))
    if kind in ("vasp-out", "vasp-xml"):
        raise StructureFileError(f"{path} is no file of VASP that can be read, only called so.")
    return kind


def _is_extended_xyz(lines: Sequence[str]) -> bool:
    """Whether a file begins with a number of atoms and a line of keys."""
    second = lines[1] if len(lines) > 1 else ""
    return lines[0].strip().isdigit() and ("Properties=" in second or "Lattice=" in second)


def _is_poscar(lines: Sequence[str]) -> bool:
    """Whether a title is followed by a scale and three lattice vectors."""
    numbers = [len(_NUMBERS.findall(line)) for line in lines[1:5]]
    rest = "".join(_NUMBERS.sub("", line) for line in lines[1:5])
    return numbers in ([1, 3, 3, 3], [3, 3, 3, 3]) and not rest.strip()


def _check_atom_counts(path: Path) -> None:
    """Refuse a file that announces more atoms than it has, before room is made for them."""
    lines = [line.rstrip() for line in text_lines(path)]
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


def require_apart(where: str, cell: NDArray[np.float64], positions: NDArray[np.float64]) -> None:
    """
    Refuse a structure whose atoms are on top of each other.

    Parameters
    ----------
    where : str
        What it is, for messages.
    cell : ndarray
        Lattice vectors as rows in Å, shape (3, 3).
    positions : ndarray
        Cartesian positions in Å, shape (n_atoms, 3).

    Raises
    ------
    StructureFileError
        If two atoms are closer, or the cell smaller, than any matter, or an atom is so far away
        that it could be anywhere.
    """
    from scipy.spatial import cKDTree

    if np.abs(positions).max() > _FARTHEST:
        raise StructureFileError(f"{where} has an atom more than {_FARTHEST:g} Å from the origin.")

    volume = abs(float(np.linalg.det(cell))) / len(positions)
    edge = float(np.linalg.norm(cell, axis=1).min())
    if volume < _SMALLEST_VOLUME or edge < _SHORTEST_DISTANCE:
        raise StructureFileError(
            f"{where} has a cell of {volume:.2g} Å³ an atom with an edge of {edge:.2g} Å, which is "
            "too small."
        )
    inverse = np.linalg.inv(cell)
    fractional = positions @ inverse
    fractional -= np.floor(fractional)
    fractional[fractional >= 1.0] = 0.0  # what was a little below zero
    # no shorter in space than this in fractions of the cell
    reach = min(_SHORTEST_DISTANCE * float(np.linalg.norm(inverse, 2)), 0.49)
    pairs = cKDTree(fractional, boxsize=1.0).query_pairs(reach, output_type="ndarray")
    moves = fractional[pairs[:, 0]] - fractional[pairs[:, 1]]
    distances = np.linalg.norm((moves - np.round(moves)) @ cell, axis=1)
    if len(distances) and distances.min() < _SHORTEST_DISTANCE:
        first, second = pairs[distances.argmin()]
        raise StructureFileError(
            f"{where} has two atoms, {first} and {second}, that are {distances.min():.2g} Å apart."
        )
