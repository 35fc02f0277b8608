"""Structures from files of any kind, told by what they hold, and checked before they are used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nnp.formats.compressed import DAMAGES, open_bytes, read_start
from nnp.formats.extended_xyz import (
    ExtendedXyzError,
    looks_like_extended_xyz,
    read_extended_xyz,
)
from nnp.formats.poscar import PoscarError, looks_like_poscar, read_poscar
from nnp.formats.shelx import ShelxError, require_ordered
from nnp.periodicity import periodic_cell
from nnp.storage.cif import CifError, read_cif

if TYPE_CHECKING:
    from ase import Atoms

#: Å³ an atom, and Å between two atoms or an atom and its image, below which nothing is matter.
_SMALLEST_VOLUME, _SHORTEST_DISTANCE = 0.1, 0.1
#: Å from the origin, beyond which double precision does not tell where in the cell an atom is.
_FARTHEST = 1e8
#: Shortest distance between atoms of a crystal, in sums of covalent radii.
SHORTEST_BOND = 0.5
#: Å between opposite faces of a cell, and Å³ an atom, below which there is no crystal.
THINNEST_CELL = 0.5
SMALLEST_VOLUME = 0.5
#: Bytes that tell what a file is, and the most that are read of a CIF or POSCAR.
BEGINNING = 100_000
LARGEST_FILE = 10**9


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
    lines = _first_lines(path)
    try:
        if _is_cif(lines):
            structures = read_cif(_text(path), str(path))
        elif looks_like_poscar(lines) and not _is_trajectory(lines):
            structures = read_poscar(_text(path), str(path))
        else:
            structures = _read_by_ase(path, lines)
    except (CifError, ExtendedXyzError, PoscarError, ShelxError) as error:
        raise StructureFileError(f"{error}.") from None
    if not structures or not all(len(atoms) for atoms in structures):
        raise StructureFileError(f"{path} holds no structure, or one without atoms.")
    for atoms in structures:
        _require_occupied(path, atoms)
    if not all(atoms.numbers.all() for atoms in structures):
        raise StructureFileError(f"{path} has atoms of no element (X).")
    return structures


def _require_occupied(path: Path, atoms: Atoms) -> None:
    """Refuse half occupied sites, which ASE takes for whole ones and notes beside them."""
    shares = list(atoms.arrays.get("occupancy", ())) + list(atoms.arrays.get("occupancies", ()))
    noted = atoms.info.get("occupancy")
    for site in noted.values() if isinstance(noted, dict) else ():
        shares += list(site.values()) if isinstance(site, dict) else []
    if any(np.isreal(share) and not abs(float(share) - 1.0) < 1e-3 for share in shares):
        raise StructureFileError(
            f"{path} has sites that are partly occupied: a disordered crystal is no structure to "
            "compute; write an ordered one."
        )


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
        require_room(where, crystal)
        crystals.append(crystal)
    return crystals


def require_room(where: str, atoms: Atoms) -> None:
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


def _first_lines(path: Path) -> list[str]:
    """Return the lines at the beginning of a file, which tell what it is."""
    lines = read_start(path, BEGINNING).decode("utf-8-sig", errors="replace").splitlines()
    if not lines:
        raise StructureFileError(f"{path} is empty, or damaged.")
    return lines


def _text(path: Path) -> str:
    """Return a whole file as text, unpacked."""
    try:
        with open_bytes(path) as file:
            content = file.read(LARGEST_FILE + 1)
    except DAMAGES as error:
        raise StructureFileError(f"{path} cannot be unpacked: {_first_line(error)}.") from None
    if len(content) > LARGEST_FILE:
        raise StructureFileError(f"{path} holds more than {LARGEST_FILE // 10**9} GB of text.")
    return content.decode("utf-8-sig", errors="replace")


def _read_by_ase(path: Path, lines: Sequence[str]) -> list[Atoms]:
    """Read what ASE knows."""
    from ase.io import read
    from ase.io.formats import UnknownFileTypeError

    n_atoms: int | None = None
    try:
        kind = _kind(path, lines)
        if kind == "proteindatabank":
            _require_plain_pdb(path, lines)
        if kind == "extxyz":
            return read_extended_xyz(path)
        if kind == "res":
            n_atoms = require_ordered(_text(path).splitlines(), str(path))
        found = read(path, index=":", format=kind, do_not_split_by_at_sign=True)
    except (ExtendedXyzError, ShelxError, StructureFileError):
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
    structures = found if isinstance(found, list) else [found]
    if n_atoms is not None and [len(atoms) for atoms in structures] != [n_atoms]:
        raise StructureFileError(f"{path} has atoms that cannot be read: write it as a CIF.")
    return structures


def _require_plain_pdb(path: Path, lines: Sequence[str]) -> None:
    """Refuse symmetry in a file of the Protein Data Bank, which ASE does not read."""
    for line in lines:
        group = "".join(line[55:66].split())
        if line.startswith("CRYST1") and group not in ("", "1", "P1"):
            raise StructureFileError(
                f"{path} has symmetry ({line[55:66].strip()}), which is not read here: write it as "
                "a CIF."
            )


def _first_line(error: Exception) -> str:
    """What an error says, or what it is."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _kind(path: Path, lines: Sequence[str]) -> str:
    """ASE's name of a format, by what the file holds; only if that does not tell, by its name."""
    from ase.io.formats import UnknownFileTypeError, filetype, match_magic

    if looks_like_extended_xyz(lines):
        return "extxyz"
    if _is_trajectory(lines):
        return "vasp-xdatcar"
    try:
        return str(match_magic(read_start(path, BEGINNING)).name)
    except UnknownFileTypeError:
        pass
    if path.suffix.lower() == ".ins":  # what SHELX begins with, and ends with in .res
        return "res"
    kind = str(filetype(str(path)))
    if kind == "cif" or kind.startswith("vasp"):
        program = "CIF" if kind == "cif" else "file of VASP"
        raise StructureFileError(f"{path} is no {program} that can be read, only called so.")
    return kind


def _is_cif(lines: Sequence[str]) -> bool:
    """Whether lines begin with a block of a CIF, comments aside, or name an edge of its cell."""
    plain = [line.strip().lower() for line in lines]
    first = next((line for line in plain if line and not line.startswith("#")), "")
    return first.startswith("data_") or any(line.startswith("_cell_length_a") for line in plain)


def _is_trajectory(lines: Sequence[str]) -> bool:
    """Whether configurations of VASP's XDATCAR follow, each with a heading."""
    return any(line.startswith("Direct configuration") for line in lines)


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
