"""Structures to be relaxed, and how they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnp.storage.arrays import decode_array, encode_array

if TYPE_CHECKING:
    from ase import Atoms

SEED = "seed"
"""In place of an operator: the user gave this structure."""
MIGRANT = "island"
"""In place of an operator: this structure came from another island."""


@dataclass
class Candidate:
    """
    A structure to be relaxed.

    Attributes
    ----------
    id : int
        Number in the order of creation.
    atoms : ase.Atoms
        Unrelaxed structure.
    operator : str
        What made it.
    parents : tuple of int
        Ids of its parents.
    formula_units : int
        Z of its cell.
    space_group : int or None
        Space group it was made in, if it was made in one.
    """

    id: int
    atoms: Atoms
    operator: str
    parents: tuple[int, ...]
    formula_units: int
    space_group: int | None = None

    def pack(self) -> list[Any]:
        """Turn the candidate into a list ready for JSON."""
        return [
            self.id,
            pack_atoms(self.atoms),
            self.operator,
            list(self.parents),
            self.formula_units,
            self.space_group,
        ]

    @classmethod
    def unpack(cls, packed: list[Any]) -> Candidate:
        """Undo `pack`."""
        id_, atoms, operator, parents, formula_units, space_group = packed
        return cls(id_, unpack_atoms(atoms), operator, tuple(parents), formula_units, space_group)


def pack_atoms(atoms: Atoms) -> dict[str, Any]:
    """Turn a structure into a dictionary of compressed arrays."""
    return {
        "numbers": encode_array(atoms.numbers.astype(np.int16)),
        "cell": encode_array(np.array(atoms.cell)),
        "positions": encode_array(atoms.positions),
    }


def unpack_atoms(packed: dict[str, Any]) -> Atoms:
    """Undo `pack_atoms`."""
    from ase import Atoms

    return Atoms(
        decode_array(packed["numbers"]),
        decode_array(packed["positions"]),
        cell=decode_array(packed["cell"]),
        pbc=True,
    )
