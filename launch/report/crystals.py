"""Crystals as CIF files: symmetric in the conventional setting, and as they were relaxed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launch.own_files import FOLDER_MODE
from nnp.storage.files import write_atomically
from search.symmetry import TIGHT_TOLERANCE

if TYPE_CHECKING:
    from pymatgen.core import Structure

#: Folder of the structures as relaxed, beside the symmetric ones.
RELAXED_FOLDER = "relaxed"


def write_crystal(
    path: Path, structure: Structure, relaxed: Structure | None, tolerance: float | None
) -> list[Path]:
    """
    Write a crystal twice: with its symmetry, and as relaxed, without any.

    Parameters
    ----------
    path : Path
        Of the symmetric one; the other has the same name in the folder ``relaxed`` beside it.
    structure : Structure
        Refined to its symmetry.
    relaxed : Structure or None
        As relaxed; none: `structure` is.
    tolerance : float or None
        Å within which the relaxed one has the symmetry; none: the tight one.

    Returns
    -------
    list of Path
        What was written.
    """
    from pymatgen.io.cif import CifWriter

    beside = path.parent / RELAXED_FOLDER / path.name
    beside.parent.mkdir(exist_ok=True, mode=FOLDER_MODE)
    remark = (
        f"# atoms and cell moved into this symmetry, of which they missed less than "
        f"{tolerance or TIGHT_TOLERANCE:g} angstrom\n"
        f"# the primitive cell has {structure.composition.formula}; as relaxed: "
        f"{RELAXED_FOLDER}/{path.name}\n"
    )
    write_atomically(path, remark + symmetric_cif(structure))
    write_atomically(
        beside, f"# as relaxed; symmetric: ../{path.name}\n{CifWriter(relaxed or structure)}"
    )
    return [path, beside]


def symmetric_cif(structure: Structure) -> str:
    """
    Write a CIF in the conventional setting; without symmetry where none can be found.

    Parameters
    ----------
    structure : pymatgen.core.Structure
        Refined to its symmetry.
    """
    from pymatgen.io.cif import CifWriter
    from pymatgen.symmetry.analyzer import SymmetryUndeterminedError

    try:
        # as spglib sees it by itself: 5° would take an oblique cell for a right-angled one
        return str(CifWriter(structure, symprec=TIGHT_TOLERANCE, angle_tolerance=-1.0))
    except SymmetryUndeterminedError:
        return str(CifWriter(structure))
