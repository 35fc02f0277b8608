"""Candidates, and structures as records for storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from search.arrays import pack, unpack

if TYPE_CHECKING:
    from ase import Atoms


@dataclass
class Candidate:
    """A structure to be relaxed.

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
        "numbers": pack(atoms.numbers.astype(np.int16)),
        "cell": pack(np.array(atoms.cell)),
        "positions": pack(atoms.positions),
    }


def unpack_atoms(packed: dict[str, Any]) -> Atoms:
    """Undo `pack_atoms`."""
    from ase import Atoms

    return Atoms(
        unpack(packed["numbers"]),
        unpack(packed["positions"]),
        cell=unpack(packed["cell"]),
        pbc=True,
    )
