"""The distinct structures found so far, lowest energy first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from search.arrays import pack, unpack
from search.create.operators import ATOMIC_ENERGIES, plain_sorted
from search.geometry import may_be_supercell
from search.state.fingerprint import FingerprintOptions, distances, fingerprint

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from search.state.individuals import History


PSEUDO_TRANSLATION = 0.1
"""Å by which atoms may miss a translation that still makes a smaller cell. At pymatgen's 0.25 one
of two crystals that are nearly the same may get a smaller cell than the other."""


@dataclass
class Individual:
    """One structure of the search.

    Attributes
    ----------
    id : int
        Number in the order of creation.
    generation : int
        Generation it was made in, from 0.
    operator : str
        What made it.
    parents : tuple of int
        Ids of its parents.
    formula_units : int
        Z of its cell.
    energy : float
        eV/atom; NaN if it has none.
    volume : float
        Å³/atom.
    status : str
        How its relaxation ended, or "duplicate of" and the id of the one kept.
    atoms : ase.Atoms or None
        Relaxed structure; None where it is not kept.
    space_group : int or None
        Number of the space group, once asked for.
    reduced : pymatgen.core.Structure or None
        Reduced primitive cell, once asked for.
    """

    id: int
    generation: int
    operator: str
    parents: tuple[int, ...]
    formula_units: int
    energy: float
    volume: float
    status: str
    atoms: Atoms | None = None
    space_group: int | None = None
    reduced: Structure | None = field(default=None, repr=False, compare=False)

    @property
    def structure(self) -> Atoms:
        """The relaxed structure of an individual that has one."""
        if self.atoms is None:
            raise ValueError(f"individual {self.id} has no structure")
        return self.atoms

    def reduced_cell(self) -> Structure:
        """Return the structure in its reduced primitive cell, as pymatgen compares structures.

        Finding it takes several times as long as a comparison, so that it is kept.
        """
        if self.reduced is None:
            from pymatgen.io.ase import AseAtomsAdaptor

            plain = plain_sorted(self.structure)
            structure = AseAtomsAdaptor.get_structure(plain)
            # pymatgen's own search takes ten times as long as to see that there is nothing to find
            if may_be_supercell(plain, 5 * PSEUDO_TRANSLATION):
                structure = structure.get_primitive_structure(PSEUDO_TRANSLATION)
            self.reduced = structure.get_reduced_structure()
        return self.reduced

    def forget_structure(self) -> None:
        """Keep the record only."""
        self.atoms = self.reduced = None


def space_group_number(atoms: Atoms, precision: float = 0.1) -> int:
    """Space group of a crystal with positions known to `precision` (Å); 1 if none is found."""
    import spglib

    cell: Any = (np.array(atoms.cell), atoms.get_scaled_positions(), atoms.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=precision)
    return 1 if dataset is None else int(dataset.number)


class Entry(NamedTuple):
    """What became of an individual that was offered to an archive.

    Attributes
    ----------
    lower : Individual or None
        The member it duplicates, which is lower and stays; none if the newcomer is in.
    replaced : list of Individual
        Members it duplicates, which left for it.
    """

    lower: Individual | None
    replaced: list[Individual]

    @property
    def is_new(self) -> bool:
        """Whether it duplicates nobody."""
        return self.lower is None and not self.replaced


CERTAIN = 0.003
"""Cosine distance below which structures of alike energies need no comparison atom by atom."""


def same_structure(one: Individual, other: Individual) -> bool:
    """Whether pymatgen's StructureMatcher maps one crystal onto the other."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    try:
        cells = one.reduced_cell(), other.reduced_cell()
    except (ArithmeticError, ValueError):  # a lattice that pymatgen cannot reduce
        return False
    if len(cells[0]) == len(cells[1]):
        return bool(StructureMatcher().fit(*cells, skip_structure_reduction=True))
    # one of them missed a translation by a little more than the other
    whole, another = (AseAtomsAdaptor.get_structure(i.structure) for i in (one, other))
    return bool(StructureMatcher(primitive_cell=False).fit(whole, another))


class Archive:
    """Distinct individuals in order of energy, with their fingerprints.

    Duplicates do not stay side by side: the lower one is kept. They differ by less than
    `energy_tolerance` and `distance_tolerance`. These are wide, since relaxations end at finite
    forces and a soft mode moves atoms at no cost; but polytypes, and minima on either side of a
    small barrier, are as near. So, unless fingerprints are nearly equal, atoms are compared with
    atoms, too.

    Parameters
    ----------
    elements : sequence of str
        Elements of the search.
    energy_tolerance : float
        eV/atom.
    distance_tolerance : float
        Cosine distance.
    capacity : int
        Individuals kept; the highest leave.
    """

    def __init__(
        self,
        elements: Sequence[str],
        energy_tolerance: float,
        distance_tolerance: float,
        capacity: int,
        options: FingerprintOptions | None = None,
    ) -> None:
        self.elements = tuple(elements)
        self.energy_tolerance = energy_tolerance
        self.distance_tolerance = distance_tolerance
        self.capacity = capacity
        self.options = options or FingerprintOptions()
        self.members: list[Individual] = []
        self.energies: NDArray[np.float64] = np.empty(0)
        self.fingerprints: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)

    def __len__(self) -> int:
        return len(self.members)

    def fingerprint_of(self, individual: Individual) -> NDArray[np.float32]:
        """What `add` compares, to be handed to several archives."""
        return fingerprint(individual.structure, self.elements, self.options)

    def add(self, individual: Individual, vector: NDArray[np.float32] | None = None) -> Entry:
        """Take in an individual with a structure and, if it is known already, its fingerprint.

        If it is lower than the lowest member it duplicates, it takes the place of all of them.
        """
        vector = self.fingerprint_of(individual) if vector is None else vector
        same = self._alike(individual, vector)
        alike = [self.members[i] for i in same]
        if alike and alike[0].energy <= individual.energy:
            return Entry(alike[0], [])
        self._remove(same)
        self._insert(individual, vector)
        return Entry(None, alike)

    def discard(self, individuals: Sequence[Individual]) -> None:
        """Let individuals go, if they are members."""
        gone = {individual.id for individual in individuals}
        self._remove(np.array([i for i, m in enumerate(self.members) if m.id in gone], dtype=int))

    def _alike(self, individual: Individual, vector: NDArray[np.float32]) -> NDArray[np.int64]:
        """Members (indices, lowest first) that count as the same structure.

        The first alone if it is lower: then the individual is not taken in, whoever else is alike.
        """
        near = np.flatnonzero(np.abs(self.energies - individual.energy) < self.energy_tolerance)
        if not len(near):
            return near
        found: list[int] = []
        for i, apart in zip(near, distances(vector, self.fingerprints[near]), strict=True):
            if apart >= self.distance_tolerance:
                continue
            if apart > CERTAIN and not same_structure(individual, self.members[i]):
                continue
            found.append(int(i))
            if self.energies[i] <= individual.energy:
                break
        return np.array(found, dtype=np.int64)

    def _remove(self, indices: NDArray[np.int64]) -> None:
        if not len(indices):
            return
        gone = set(indices.tolist())
        self.members = [m for i, m in enumerate(self.members) if i not in gone]
        self.energies = np.delete(self.energies, indices)
        self.fingerprints = np.delete(self.fingerprints, indices, axis=0)

    def _insert(self, individual: Individual, vector: NDArray[np.float32]) -> None:
        at = int(np.searchsorted(self.energies, individual.energy, side="right"))
        if at >= self.capacity:
            return
        if not self.members:
            self.fingerprints = np.empty((0, len(vector)), dtype=np.float32)
        self.members.insert(at, individual)
        self.energies = np.insert(self.energies, at, individual.energy)
        self.fingerprints = np.insert(self.fingerprints, at, vector, axis=0)
        if len(self.members) > self.capacity:
            self._remove(np.array([self.capacity]))

    def pack(self) -> dict[str, Any]:
        """Ids and geometries as compressed arrays; fingerprints are computed again."""
        structures = [member.atoms for member in self.members if member.atoms is not None]
        counts = np.array([len(atoms) for atoms in structures], dtype=np.int32)
        cells = np.array([np.array(atoms.cell) for atoms in structures]).reshape(-1, 3, 3)
        numbers = [atoms.numbers for atoms in structures]
        positions = [atoms.positions for atoms in structures]
        atomic = [_atomic_energies(atoms) for atoms in structures]
        empty = not structures
        return {
            "ids": pack(np.array([member.id for member in self.members], dtype=np.int64)),
            "counts": pack(counts),
            "numbers": pack(np.concatenate(numbers).astype(np.int16) if not empty else counts),
            "cells": pack(cells),
            "positions": pack(np.concatenate(positions) if not empty else np.empty((0, 3))),
            "atomic_energies": pack(np.concatenate(atomic) if not empty else np.empty(0)),
        }

    def restore(
        self, packed: dict[str, Any], individuals: History, others: Sequence[Individual] = ()
    ) -> None:
        """Fill the archive from `pack` and the records of the whole search, by id.

        Members that it shares with another archive are taken from `others`.
        """
        shared = {member.id: member for member in others}
        for id_, atoms in zip(unpack(packed["ids"]), unpack_structures(packed), strict=True):
            member = shared.get(int(id_)) or individuals[int(id_)]
            member.atoms = atoms
            self._insert(member, self.fingerprint_of(member))


def _atomic_energies(atoms: Atoms) -> NDArray[np.float64]:
    """Atomic energies (n,) in eV; NaN where unknown."""
    if ATOMIC_ENERGIES in atoms.arrays:
        return np.asarray(atoms.arrays[ATOMIC_ENERGIES], dtype=float)
    return np.full(len(atoms), np.nan)


def unpack_structures(packed: dict[str, Any]) -> list[Atoms]:
    """Structures from packed `counts`, `numbers`, `cells`, `positions`, `atomic_energies`."""
    from ase import Atoms

    counts, cells = unpack(packed["counts"]), unpack(packed["cells"])
    numbers, positions = unpack(packed["numbers"]), unpack(packed["positions"])
    atomic = unpack(packed["atomic_energies"])
    structures = []
    for end, n, cell in zip(np.cumsum(counts), counts, cells, strict=True):
        part = slice(end - n, end)
        atoms = Atoms(numbers[part], positions[part], cell=cell, pbc=True)
        if np.isfinite(atomic[part]).all():
            atoms.set_array(ATOMIC_ENERGIES, atomic[part])
        structures.append(atoms)
    return structures
