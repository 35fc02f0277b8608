"""Crystals of a composition, from files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launch.errors import CampaignError

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure


def read_crystals_of(path: Path, counts: Mapping[str, int] | None) -> list[Atoms]:
    """
    Read the crystals of a file.

    Parameters
    ----------
    path : Path
        CIF, POSCAR, extended XYZ, or what else ASE reads.
    counts : mapping of str to int, or None
        Atoms of each element in a formula unit; none: of any composition.

    Returns
    -------
    list of Atoms

    Raises
    ------
    CampaignError
        If there is no such file, or one of its crystals is of another composition.
    StructureFileError
        If it cannot be read, or holds what is no crystal.
    """
    from nnp.formats.structures import read_crystals

    if not path.is_file():
        raise CampaignError(f"There is no file {path}.")
    crystals = read_crystals(path)
    if counts is None:
        return crystals
    for number, atoms in enumerate(crystals, start=1):
        units = len(atoms) // sum(counts.values())
        wanted = {symbol: n * units for symbol, n in counts.items()}
        if not units or dict(Counter(atoms.symbols)) != wanted:
            where = "" if len(crystals) == 1 else f", structure {number}"
            raise CampaignError(
                f"The crystal {atoms.get_chemical_formula()} is of another composition "
                f"({path}{where})."
            )
    return crystals


def read_known(paths: Sequence[Path], counts: Mapping[str, int] | None) -> dict[str, Structure]:
    """
    Read known phases.

    Parameters
    ----------
    paths : sequence of Path
        Files of crystals, and folders of such files.
    counts : mapping of str to int, or None
        Atoms of each element in a formula unit; none: of any composition.

    Returns
    -------
    dict of str to Structure
        By the names of their files, with numbers where these are not enough.

    Raises
    ------
    CampaignError
        If one is missing, of another composition, or a folder is empty.
    """
    from search.create.operators import plain_sorted
    from workflows.conversion import to_structure

    found: dict[str, Structure] = {}
    for path in [file for given in paths for file in _files(given)]:
        crystals = read_crystals_of(path, counts)
        for number, atoms in enumerate(crystals, start=1):
            name = path.stem if len(crystals) == 1 else f"{path.stem} {number}"
            label = next(label for label in _names(name) if label not in found)
            found[label] = to_structure(plain_sorted(atoms))
    return found


def _files(path: Path) -> list[Path]:
    """A file, or all in a folder."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and file.name[0] != ".")
    if not files:
        raise CampaignError(f"There is no file in the folder {path}.")
    return files


def _names(name: str) -> Iterator[str]:
    """Yield a name, and others for when it is taken."""
    yield name
    number = 2
    while True:
        yield f"{name} ({number})"
        number += 1
