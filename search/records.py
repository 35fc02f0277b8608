"""Candidates, and records of candidates and individuals for storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from search.archive import Individual
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


def pack_individuals(individuals: Sequence[Individual]) -> dict[str, Any]:
    """Turn records into columns; words are stored once and referred to by number."""
    operators = sorted({i.operator for i in individuals})
    statuses = sorted({i.status for i in individuals})
    parents = [(*i.parents, -1, -1)[:2] for i in individuals]
    return {
        "operators": operators,
        "statuses": statuses,
        "operator": pack(np.array([operators.index(i.operator) for i in individuals], np.int16)),
        "status": pack(_codes([i.status for i in individuals], statuses)),
        "generation": pack(np.array([i.generation for i in individuals], np.int32)),
        "parents": pack(np.array(parents, np.int32).reshape(-1, 2)),
        "formula_units": pack(np.array([i.formula_units for i in individuals], np.int16)),
        "energy": pack(np.array([i.energy for i in individuals], np.float64)),
        "volume": pack(np.array([i.volume for i in individuals], np.float64)),
        "space_group": pack(np.array([i.space_group or 0 for i in individuals], np.int16)),
    }


def _codes(words: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    code = {word: i for i, word in enumerate(vocabulary)}
    return np.array([code[word] for word in words], np.int32)


def unpack_individuals(packed: dict[str, Any]) -> list[Individual]:
    """Undo `pack_individuals`; structures stay with the archive."""
    columns = {
        name: unpack(packed[name])
        for name in (
            "operator",
            "status",
            "generation",
            "parents",
            "formula_units",
            "energy",
            "volume",
            "space_group",
        )
    }
    return [
        Individual(
            id=i,
            generation=int(columns["generation"][i]),
            operator=packed["operators"][columns["operator"][i]],
            parents=tuple(int(p) for p in columns["parents"][i] if p >= 0),
            formula_units=int(columns["formula_units"][i]),
            energy=float(columns["energy"][i]),
            volume=float(columns["volume"][i]),
            status=packed["statuses"][columns["status"][i]],
            space_group=int(columns["space_group"][i]) or None,
        )
        for i in range(len(columns["energy"]))
    ]
