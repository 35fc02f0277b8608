"""Crystals of a composition, from files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from launch.errors import CampaignError

if TYPE_CHECKING:
    from ase import Atoms


def read_crystals_of(path: Path, counts: Mapping[str, int]) -> list[Atoms]:
    """
    Read the crystals of a file.

    Parameters
    ----------
    path : Path
        CIF, POSCAR, extended XYZ, or what else ASE reads.
    counts : mapping of str to int
        Atoms of each element in a formula unit.

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
