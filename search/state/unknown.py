"""Structures that the potential does not know, kept aside: what it would have to learn next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnp.storage.arrays import decode_array
from search.state.archive import pack_members, unpack_structures
from search.state.fingerprint import FingerprintOptions, distances, fingerprint

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.state.individual import Individual
    from search.state.individual_table import IndividualTable

CAPACITY = 60
"""Structures kept: more than anybody labels at once."""


class UnknownStructures:
    """
    Distinct structures beyond what the potential knows, lowest in energy first.

    The lower its energy, the sooner a search takes a structure for the best. Energies of unknown
    structures say little, so that, unlike in an archive, two are alike by their fingerprints
    alone; the lower one stays. The highest leave when there are too many.

    Parameters
    ----------
    elements : sequence of str
        Elements of the search.
    distance_tolerance : float
        Cosine distance of fingerprints below which structures are alike.
    capacity : int
        Structures kept.

    Attributes
    ----------
    members : list of Individual
        With their structures; their energies are those where they were given up.
    """

    def __init__(
        self, elements: Sequence[str], distance_tolerance: float, capacity: int = CAPACITY
    ) -> None:
        self.elements = tuple(elements)
        self.distance_tolerance = distance_tolerance
        self.capacity = capacity
        self.options = FingerprintOptions()
        self.members: list[Individual] = []
        self.fingerprints: list[NDArray[np.float32]] = []

    def emptied(self) -> UnknownStructures:
        """Return a collection of the same kind with nobody in it."""
        return UnknownStructures(self.elements, self.distance_tolerance, self.capacity)

    def __len__(self) -> int:
        return len(self.members)

    def add(self, individual: Individual) -> bool:
        """
        Offer an individual with a structure; whether it is kept.

        If it is lower than all members that it is like, it takes their place.
        """
        vector = fingerprint(individual.structure, self.elements, self.options)
        alike: list[int] = []
        if self.members:
            apart = distances(vector, np.array(self.fingerprints))
            alike = [
                int(i)
                for i in np.flatnonzero(apart < self.distance_tolerance)
                if self.members[i].compound == individual.compound
            ]
        if any(self.members[i].energy <= individual.energy for i in alike):
            return False
        for i in reversed(alike):
            del self.members[i], self.fingerprints[i]
        at = int(np.searchsorted([m.energy for m in self.members], individual.energy, "right"))
        self.members.insert(at, individual)
        self.fingerprints.insert(at, vector)
        del self.members[self.capacity :], self.fingerprints[self.capacity :]
        return at < self.capacity

    def pack(self) -> dict[str, Any]:
        """Ids and geometries as compressed arrays; fingerprints are computed again."""
        return pack_members(self.members)

    def restore(self, packed: dict[str, Any], individuals: IndividualTable) -> None:
        """Take them back from `pack` and the records of the whole search, in their order."""
        for id_, atoms in zip(decode_array(packed["ids"]), unpack_structures(packed), strict=True):
            member = individuals[int(id_)]
            member.atoms = atoms
            self.members.append(member)
            self.fingerprints.append(fingerprint(atoms, self.elements, self.options))
