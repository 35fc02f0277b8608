"""Structures from CIF, POSCAR, extended XYZ and all else that ASE reads, checked before use."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnp.formats.poscar import PoscarError, looks_like_poscar, read_poscar
from nnp.periodicity import periodic_cell
from nnp.storage.cif import CifError, read_cif

if TYPE_CHECKING:
    from ase import Atoms

#: Shortest distance between atoms of a crystal, in sums of covalent radii.
SHORTEST_BOND = 0.5
#: Å between opposite faces of a cell, and Å³ an atom, below which there is no crystal.
THINNEST_CELL = 0.5
SMALLEST_VOLUME = 0.5
#: Bytes that tell what a file is, and the most that are read of one.
BEGINNING = 100_000
LARGEST_FILE = 4 * 10**9
_SIX_NUMBERS = re.compile(r"\b(stress|virial)\s*=\s*([\"'{])([^\"'{}]*)[\"'}]")


class StructureFileError(ValueError):
    """A file cannot be read as structures, or one of them makes no sense."""


def read_structures(path: Path) -> list[Atoms]:
    """
    Read all structures of a file with whatever is said about them.

    What a file is, its content says, not a part of its name.

    Parameters
    ----------
    path : Path
        CIF, POSCAR, extended XYZ, or what else ASE reads but for output of VASP; ``.gz``, ``.bz2``
        and ``.xz`` are unpacked.

    Returns
    -------
    list of Atoms
        At least one; labels are in ``info``, ``arrays`` and the calculator's results.

    Raises
    ------
    OSError
        If there is no such file.
    StructureFileError
        If it cannot be read, holds nothing, or is disordered.
    """
    head = _text(path, BEGINNING)
    try:
        if _is_cif(head):
            structures = read_cif(_text(path), str(path))
        elif looks_like_poscar(head.splitlines()):
            structures = read_poscar(_text(path), str(path))
        else:
            structures = _read_by_ase(path, _is_extended_xyz(head))
    except (CifError, PoscarError) as error:
        raise StructureFileError(f"{error}.") from None
    if not structures or not all(len(atoms) for atoms in structures):
        raise StructureFileError(f"{path} holds no structure, or one without atoms.")
    return structures


def read_crystals(path: Path) -> list[Atoms]:
    """
    Read crystals to compute: periodic, finite, and with atoms as far apart as atoms are.

    Parameters
    ----------
    path : Path
        As for :func:`read_structures`.

    Returns
    -------
    list of Atoms
        At least one, without results.

    Raises
    ------
    OSError
        If there is no such file.
    StructureFileError
        If it cannot be read, or one of its structures is no crystal.
    """
    structures = read_structures(path)
    crystals = []
    for number, atoms in enumerate(structures, start=1):
        where = str(path) if len(structures) == 1 else f"structure {number} of {path}"
        crystal = periodic_structure(where, atoms, None)
        require_apart(where, crystal)
        crystals.append(crystal)
    return crystals


def require_apart(where: str, atoms: Atoms) -> None:
    """
    Refuse atoms nearer to each other than half the sum of their covalent radii.

    Parameters
    ----------
    where : str
        What it is, for messages.
    atoms : Atoms
        A crystal.

    Raises
    ------
    StructureFileError
        If two atoms, or an atom and its image, are that near.
    """
    from ase.neighborlist import natural_cutoffs, neighbor_list

    heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
    if heights.min() < THINNEST_CELL or atoms.get_volume() < SMALLEST_VOLUME * len(atoms):
        raise StructureFileError(f"{where} has a cell too small for its {len(atoms)} atoms.")
    radii = natural_cutoffs(atoms, mult=SHORTEST_BOND)
    first, second, distances = neighbor_list("ijd", atoms, radii)
    if len(distances):
        nearest = int(np.argmin(distances))
        i, j = int(first[nearest]), int(second[nearest])
        raise StructureFileError(
            f"{where} has atoms {i + 1} ({atoms.symbols[i]}) and {j + 1} ({atoms.symbols[j]}) only "
            f"{distances[nearest]:.2f} Å apart, nearer than any two are in a crystal."
        )


def _text(path: Path, most: int = LARGEST_FILE) -> str:
    """Return the unpacked beginning of a file as text."""
    import bz2
    import gzip
    import lzma
    import zlib

    packed: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    unpack = packed.get(path.suffix.lower(), open)
    try:
        with unpack(path, "rb") as file:
            content = file.read(most + 1)
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise StructureFileError(f"{path} cannot be unpacked: {_first_line(error)}.") from None
    if most == LARGEST_FILE and len(content) > most:
        raise StructureFileError(f"{path} holds more than {most // 10**9} GB of text.")
    return content.decode("utf-8-sig", errors="replace")


def _read_by_ase(path: Path, is_extended_xyz: bool) -> list[Atoms]:
    """Read what ASE knows."""
    from ase.io import read
    from ase.io.extxyz import key_val_str_to_dict
    from ase.io.formats import UnknownFileTypeError, filetype

    try:
        if is_extended_xyz:
            text = _text(path)
            _check_atom_counts(path, text.splitlines())
            found = read(
                StringIO(text),
                index=":",
                format="extxyz",
                properties_parser=lambda line: key_val_str_to_dict(_nine_numbers(line)),
            )
        else:
            kind = filetype(str(path))
            if kind == "cif":
                return read_cif(_text(path), str(path))
            if kind == "vasp":
                return read_poscar(_text(path), str(path))
            if kind.startswith("vasp"):
                raise StructureFileError(f"{path} is output of VASP, which is not read here.")
            found = read(path, index=":", format=kind, do_not_split_by_at_sign=True)
    except UnknownFileTypeError:
        raise StructureFileError(f"{path} is of no type that ASE knows.") from None
    except (StructureFileError, CifError, PoscarError):
        raise
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
    return found if isinstance(found, list) else [found]


def _first_line(error: Exception) -> str:
    """What an error says, or what it is."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _is_cif(head: str) -> bool:
    """Whether a text begins with a block of a CIF, comments aside."""
    lines = (line.strip() for line in head.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return first.lower().startswith("data_")


def _is_extended_xyz(head: str) -> bool:
    """Whether a text begins with a number of atoms and a line of keys."""
    first, _, rest = head.partition("\n")
    second = rest.partition("\n")[0]
    return first.strip().isdigit() and ("Properties=" in second or "Lattice=" in second)


def _check_atom_counts(path: Path, lines: list[str]) -> None:
    """Refuse a file that announces more atoms than it has, before room is made for them."""
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
