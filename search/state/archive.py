"""The distinct structures found so far, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnp.storage.arrays import decode_array, encode_array
from search.create.operators import ATOMIC_ENERGIES
from search.state.fingerprint import FingerprintOptions, distances, fingerprint
from search.state.individual import Individual
from search.state.other_pressures import lowest_at_other_pressures
from search.state.similarity import LOOSELY_RELAXED, SURE_DISTANCE, match

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from search.state.fitness import Fitness
    from search.state.individual_table import IndividualTable


class Entry(NamedTuple):
    """
    What became of an individual that was offered to an archive.

    Attributes
    ----------
    better : Individual or None
        The member it duplicates, which is better and stays; none if the newcomer is in.
    replaced : list of Individual
        Members it duplicates, which left for it.
    """

    better: Individual | None
    replaced: list[Individual]

    @property
    def is_new(self) -> bool:
        """Whether it duplicates nobody."""
        return self.better is None and not self.replaced


def same_structure(one: Individual, other: Individual) -> bool:
    """Whether two individuals of a search are the same crystal."""
    try:
        cells = one.reduced_cell(), other.reduced_cell()
        if len(cells[0]) != len(cells[1]):
            # one of them missed a translation by a little more than the other
            cells = one.reduced_cell(primitive=False), other.reduced_cell(primitive=False)
    except (ArithmeticError, ValueError):  # a lattice that pymatgen cannot reduce
        return False
    return match(*cells, LOOSELY_RELAXED, reduced=True)


class Archive:
    """
    Distinct individuals in order of fitness, with their fingerprints.

    Duplicates do not stay side by side: the better one is kept. They differ by less than
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
        Individuals kept; the worst leave.
    options : FingerprintOptions or None
        Grid of the fingerprints; standard if None.
    of_system : bool
        Whether compositions differ: other compounds are no duplicates, and the best of each stays,
        with those that would be the best of it at other pressures: dense ones must not crowd out
        all that are open, nor those of one compound all others.
    """

    def __init__(
        self,
        elements: Sequence[str],
        energy_tolerance: float,
        distance_tolerance: float,
        capacity: int,
        options: FingerprintOptions | None = None,
        of_system: bool = False,
    ) -> None:
        self.of_system = of_system
        self.elements = tuple(elements)
        self.energy_tolerance = energy_tolerance
        self.distance_tolerance = distance_tolerance
        self.capacity = capacity
        self.options = options or FingerprintOptions()
        self.members: list[Individual] = []
        self.fitness: NDArray[np.float64] = np.empty(0)
        self.fingerprints: NDArray[np.float32] = np.empty((0, 0), dtype=np.float32)

    def emptied(self) -> Archive:
        """Return an archive of the same kind with nobody in it."""
        return Archive(
            self.elements,
            self.energy_tolerance,
            self.distance_tolerance,
            self.capacity,
            self.options,
            self.of_system,
        )

    def __len__(self) -> int:
        return len(self.members)

    @property
    def energies(self) -> NDArray[np.float64]:
        """Energies (n,) of the members in eV/atom, best first."""
        return np.array([member.energy for member in self.members], dtype=float)

    def fingerprint_of(self, individual: Individual) -> NDArray[np.float32]:
        """What `add` compares, to be handed to several archives."""
        return fingerprint(individual.structure, self.elements, self.options)

    def add(self, individual: Individual, vector: NDArray[np.float32] | None = None) -> Entry:
        """
        Take in an individual with a structure and, if it is known already, its fingerprint.

        If it is better than the best member it duplicates, it takes the place of all of them.
        """
        vector = self.fingerprint_of(individual) if vector is None else vector
        same = self._alike(individual, vector)
        alike = [self.members[i] for i in same]
        if alike and alike[0].fitness <= individual.fitness:
            return Entry(alike[0], [])
        self._remove(same)
        self.insert(individual, vector)
        return Entry(None, alike)

    def discard(self, individuals: Sequence[Individual]) -> None:
        """Let individuals go, if they are members."""
        gone = {individual.id for individual in individuals}
        self._remove(np.array([i for i, m in enumerate(self.members) if m.id in gone], dtype=int))

    def _alike(self, individual: Individual, vector: NDArray[np.float32]) -> NDArray[np.int64]:
        """
        Members (indices, best first) that count as the same structure.

        The first alone if it is better: then the individual is not taken in, whoever else is alike.
        """
        near = np.flatnonzero(np.abs(self.energies - individual.energy) < self.energy_tolerance)
        if not len(near):
            return near
        found: list[int] = []
        for i, apart in zip(near, distances(vector, self.fingerprints[near]), strict=True):
            if apart >= self.distance_tolerance or self._is_other_compound(individual, int(i)):
                continue
            if apart > SURE_DISTANCE and not same_structure(individual, self.members[i]):
                continue
            found.append(int(i))
            if self.fitness[i] <= individual.fitness:
                break
        return np.array(found, dtype=np.int64)

    def _is_other_compound(self, individual: Individual, i: int) -> bool:
        return self.of_system and self.members[i].compound != individual.compound

    def refit(self, fitness: Fitness) -> list[Individual]:
        """
        Judge all members anew, and put them in order; returns those that are judged otherwise.

        Parameters
        ----------
        fitness : Fitness
            What makes one structure better than another now.
        """
        changed = []
        for member in self.members:
            value = fitness.of_energy(member.energy, member.uncertainty, member.structure)
            if value != member.fitness:
                member.fitness = value
                changed.append(member)
        values = np.array([member.fitness for member in self.members])
        order = np.argsort(values, kind="stable")
        self.members = [self.members[i] for i in order]
        self.fitness, self.fingerprints = values[order], self.fingerprints[order]
        return changed

    def _remove(self, indices: NDArray[np.int64]) -> None:
        if not len(indices):
            return
        gone = set(indices.tolist())
        self.members = [m for i, m in enumerate(self.members) if i not in gone]
        self.fitness = np.delete(self.fitness, indices)
        self.fingerprints = np.delete(self.fingerprints, indices, axis=0)

    def insert(self, individual: Individual, vector: NDArray[np.float32]) -> None:
        """Put in an individual, with its fingerprint, that is known to duplicate no member."""
        at = int(np.searchsorted(self.fitness, individual.fitness, side="right"))
        if at >= self.capacity and not self.of_system:
            return
        if not self.members:
            self.fingerprints = np.empty((0, len(vector)), dtype=np.float32)
        self.members.insert(at, individual)
        self.fitness = np.insert(self.fitness, at, individual.fitness)
        self.fingerprints = np.insert(self.fingerprints, at, vector, axis=0)
        if len(self.members) > self.capacity:
            self._remove(np.array([self._last()]))

    def _last(self) -> int:
        """Member (index) that leaves: the worst that is at no pressure the best of its compound."""
        last = len(self.members) - 1
        if not self.of_system:
            return last
        kept: dict[object, set[int]] = {}
        for i in range(last, -1, -1):
            compound = self.members[i].compound
            if compound not in kept:
                own = [member for member in self.members if member.compound == compound]
                kept[compound] = {id(member) for member in lowest_at_other_pressures(own)}
            if id(self.members[i]) not in kept[compound]:
                return i
        # too many for the capacity are the best of theirs at some pressure: not so at this one
        compounds = [member.compound for member in self.members]
        return next((i for i in range(last, -1, -1) if compounds[i] in compounds[:i]), last)

    def pack(self) -> dict[str, Any]:
        """Ids and geometries as compressed arrays; fingerprints are computed again."""
        return pack_members(self.members)

    def restore(
        self,
        packed: dict[str, Any],
        individuals: IndividualTable,
        others: Sequence[Individual] = (),
    ) -> None:
        """
        Fill the archive from `pack` and the records of the whole search, by id.

        Members that it shares with another archive are taken from `others`.
        """
        shared = {member.id: member for member in others}
        for id_, atoms in zip(decode_array(packed["ids"]), unpack_structures(packed), strict=True):
            member = shared.get(int(id_)) or individuals[int(id_)]
            member.atoms = atoms
            self.insert(member, self.fingerprint_of(member))


def pack_members(members: Sequence[Individual]) -> dict[str, Any]:
    """Ids and geometries of individuals with structures, as compressed arrays."""
    structures = [member.structure for member in members]
    counts = np.array([len(atoms) for atoms in structures], dtype=np.int32)
    cells = np.array([np.array(atoms.cell) for atoms in structures]).reshape(-1, 3, 3)
    numbers = [atoms.numbers for atoms in structures]
    positions = [atoms.positions for atoms in structures]
    atomic = [_atomic_energies(atoms) for atoms in structures]
    empty = not structures
    return {
        "ids": encode_array(np.array([member.id for member in members], dtype=np.int64)),
        "counts": encode_array(counts),
        "numbers": encode_array(np.concatenate(numbers).astype(np.int16) if not empty else counts),
        "cells": encode_array(cells),
        "positions": encode_array(np.concatenate(positions) if not empty else np.empty((0, 3))),
        "atomic_energies": encode_array(np.concatenate(atomic) if not empty else np.empty(0)),
    }


def _atomic_energies(atoms: Atoms) -> NDArray[np.float64]:
    """Atomic energies (n,) in eV; NaN where unknown."""
    if ATOMIC_ENERGIES in atoms.arrays:
        return np.asarray(atoms.arrays[ATOMIC_ENERGIES], dtype=float)
    return np.full(len(atoms), np.nan)


def unpack_structures(packed: dict[str, Any]) -> list[Atoms]:
    """Structures from packed `counts`, `numbers`, `cells`, `positions`, `atomic_energies`."""
    from ase import Atoms

    counts, cells = decode_array(packed["counts"]), decode_array(packed["cells"])
    numbers, positions = decode_array(packed["numbers"]), decode_array(packed["positions"])
    atomic = decode_array(packed["atomic_energies"])
    structures = []
    for end, n, cell in zip(np.cumsum(counts), counts, cells, strict=True):
        part = slice(end - n, end)
        atoms = Atoms(numbers[part], positions[part], cell=cell, pbc=True)
        if np.isfinite(atomic[part]).all():
            atoms.set_array(ATOMIC_ENERGIES, atomic[part])
        structures.append(atoms)
    return structures
