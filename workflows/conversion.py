"""Between pymatgen's structures and ASE's atoms: unwrapped positions, velocities, units."""

from __future__ import annotations

import numpy as np
from ase import Atoms, units
from pymatgen.core import Structure

from nnp.frames import Frames
from nnp.units import KBAR as KBAR


def to_atoms(structure: Structure) -> Atoms:
    """ASE atoms with unwrapped positions and, if there are any, velocities."""
    atoms = Atoms(
        numbers=structure.atomic_numbers,
        positions=structure.cart_coords,
        cell=structure.lattice.matrix,
        pbc=True,
    )
    velocities = structure.site_properties.get("velocities")
    if velocities is not None and all(v is not None for v in velocities):
        # pymatgen follows VASP, Å/fs; ASE has its own unit of time
        atoms.set_velocities(np.array(velocities, dtype=float) / units.fs)
    return atoms


def to_structure(atoms: Atoms, with_velocities: bool = False) -> Structure:
    """Pymatgen structure with unwrapped positions and, if wanted, velocities in Å/fs."""
    properties = (
        {"velocities": (atoms.get_velocities() * units.fs).tolist()} if with_velocities else None
    )
    return Structure(
        atoms.cell.array,
        atoms.get_chemical_symbols(),
        atoms.positions,
        coords_are_cartesian=True,
        to_unit_cell=False,
        site_properties=properties,
    )


def to_structures(frames: Frames) -> list[Structure]:
    """Configurations of frames, unwrapped, without labels."""
    return [to_structure(atoms) for atoms in frames.to_atoms()]
