"""Which structures have been seen before, among many that are compared with many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.state.fingerprint import distances, fingerprint
from search.state.similarity import LOOSELY_RELAXED, SURE_DISTANCE, match, reduced_structure

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

FARTHEST = 0.15
"""Fingerprint distance beyond which two crystals are not the same, however each was relaxed."""


class SeenStructures:
    """
    Crystals that others are compared with.

    Fingerprints sort out most pairs; reduced cells are made once. Volumes may differ: the same
    crystal has another one on another energy surface.

    Parameters
    ----------
    structures : sequence of ase.Atoms
        Of one composition.
    """

    def __init__(self, structures: Sequence[Atoms]) -> None:
        self._structures = list(structures)
        self._elements = sorted({symbol for atoms in structures for symbol in atoms.symbols})
        self._reduced: dict[int, Structure] = {}
        prints = [fingerprint(atoms, self._elements) for atoms in structures]
        self._fingerprints = np.array(prints) if prints else np.zeros((0, 0), np.float32)

    def has(self, atoms: Atoms) -> bool:
        """
        Whether a crystal is one of them.

        Parameters
        ----------
        atoms : ase.Atoms
            Of the same composition.
        """
        if not self._structures:
            return False
        apart = distances(fingerprint(atoms, self._elements), self._fingerprints)
        if (apart <= SURE_DISTANCE).any():
            return True
        near = [int(k) for k in np.argsort(apart, kind="stable") if apart[k] <= FARTHEST]
        if not near:
            return False
        reduced = reduced_structure(atoms)
        return any(match(reduced, self._cell(k), LOOSELY_RELAXED, reduced=True) for k in near)

    def _cell(self, k: int) -> Structure:
        if k not in self._reduced:
            self._reduced[k] = reduced_structure(self._structures[k])
        return self._reduced[k]
