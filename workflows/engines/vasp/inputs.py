"""The four input files of a calculation, and the order of atoms in them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Element, Species, Structure

from nnp.storage.electronegativity import no_warnings_of_noble_gases
from workflows.engines.vasp.potentials import choose

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pymatgen.io.vasp import Potcar

    from workflows.engines.vasp.settings import VaspSettings

#: Property of a structure that says where the wave functions of its configuration are. So they
#: travel with it from segment to segment, and no stage needs to know of them.
WAVEFUNCTIONS = "wavefunctions"


class VaspSetupError(RuntimeError):
    """VASP cannot be started: its program or its potentials are missing."""


def grouped_order(structure: Structure) -> NDArray[np.int64]:
    """
    Order of the atoms in which each element comes once.

    Parameters
    ----------
    structure : Structure
        Any order of atoms.

    Returns
    -------
    ndarray, shape (n_atoms,)
        ``structure[order[i]]`` is atom ``i`` of the POSCAR; elements by electronegativity, atoms
        of an element as they were.
    """
    keys = [(_electronegativity(site.specie), site.specie.Z) for site in structure]
    return np.array(sorted(range(len(keys)), key=lambda i: keys[i]), dtype=np.int64)


def _electronegativity(element: Element | Species) -> float:
    """Pauling's; infinite where there is none, since not a number is in no order."""
    with no_warnings_of_noble_gases():
        return float(np.nan_to_num(element.X, nan=np.inf))


def read_potentials(elements: Sequence[str], settings: VaspSettings) -> Potcar:
    """
    Read the potentials of some elements from the user's library.

    Parameters
    ----------
    elements : sequence of str
        Symbols, in the order of the POSCAR.
    settings : VaspSettings
        Say which ones.

    Raises
    ------
    VaspSetupError
        If one is not found.
    """
    from pymatgen.io.vasp import Potcar

    symbols = choose(elements, settings.potentials)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of potentials that pymatgen has no hash of
            return Potcar(symbols, functional=settings.potcar)
    except (OSError, ValueError) as error:
        raise VaspSetupError(
            f"the potentials {', '.join(symbols)} of {settings.potcar} cannot be read ({error}); "
            "point PMG_VASP_PSP_DIR to the library of potentials, or choose others by "
            "vasp.potentials and vasp.potcar"
        ) from error


def largest_enmax(potentials: Potcar) -> float:
    """Largest recommended cutoff of the potentials in eV."""
    return max(float(potential.keywords["ENMAX"]) for potential in potentials)


def write_inputs(
    folder: Path,
    structure: Structure,
    incar: Mapping[str, Any],
    mesh: tuple[int, int, int],
    potentials: Potcar,
) -> None:
    """
    Write INCAR, POSCAR, KPOINTS and POTCAR.

    Parameters
    ----------
    folder : Path
        Exists.
    structure : Structure
        Atoms grouped by element; velocities in Å/fs are written if it has any.
    incar : mapping
        Tags.
    mesh : tuple of int
        Divisions, centred on Gamma.
    potentials : Potcar
        In the order of the elements.
    """
    from pymatgen.io.vasp import Incar, Kpoints, Poscar

    Incar(dict(incar)).write_file(folder / "INCAR")
    Kpoints.gamma_automatic(mesh).write_file(folder / "KPOINTS")
    potentials.write_file(str(folder / "POTCAR"))
    velocities = structure.site_properties.get("velocities")
    bare = Structure(
        structure.lattice, structure.species, structure.frac_coords, to_unit_cell=False
    )
    # all digits: velocities and forces of the first step are those of the last one before
    Poscar(bare, velocities=velocities).write_file(folder / "POSCAR", significant_figures=16)


def fetch_wavefunctions(structure: Structure, folder: Path) -> bool:
    """
    Copy the wave functions of a structure into a folder; old ones there are removed.

    Parameters
    ----------
    structure : Structure
        May say where they are.
    folder : Path
        Of the calculation.

    Returns
    -------
    bool
        Whether there were any. They may be on another machine; then VASP starts without.
    """
    source = structure.properties.get(WAVEFUNCTIONS)
    if source and copy_wavefunctions(Path(source), folder):
        return True
    (folder / "WAVECAR").unlink(missing_ok=True)
    return False


def copy_wavefunctions(source: Path, folder: Path) -> bool:
    """
    Copy wave functions from one folder into another.

    Parameters
    ----------
    source, folder : Path
        May be the same.

    Returns
    -------
    bool
        Whether there were any.
    """
    file, target = source / "WAVECAR", folder / "WAVECAR"
    if not file.exists() or not file.stat().st_size:
        return False
    if file.resolve() == target.resolve():
        return True
    try:
        shutil.copyfile(file, target)
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


def drop_wavefunctions(structure: Structure, folder: Path) -> None:
    """Remove the wave functions that a structure came with, unless they are in this folder."""
    source = structure.properties.get(WAVEFUNCTIONS)
    if source and Path(source).resolve() != folder.resolve():
        (Path(source) / "WAVECAR").unlink(missing_ok=True)
