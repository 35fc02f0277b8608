"""Shortest distances against ASE's neighbour list."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from nnp.frames import Frames
from nnp.training import distances
from nnp.training.distances import FARTHEST, shortest_distances
from tests.nnp.samples import disordered


def by_ase(atoms: Atoms, elements: tuple[str, ...]) -> np.ndarray:
    """Shortest distance of every pair, one after the other."""
    i, j, lengths = neighbor_list("ijd", atoms, FARTHEST)
    symbols = np.array(atoms.get_chemical_symbols())
    return np.array(
        [
            [
                lengths[(symbols[i] == a) & (symbols[j] == b)].min(initial=np.inf)
                for b in elements
            ]
            for a in elements
        ]
    )  # fmt: skip


def test_every_frame_and_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "CHUNK", 2)
    elements = ("Li", "Cl", "Al")
    structures = [
        disordered("Li2Al3Cl8", 7.5),
        disordered("LiCl2", 5.0, seed=2),
        Atoms("Li", cell=np.eye(3) * 2.6, pbc=True),  # its own image is nearest
        Atoms("AlCl", positions=[[0, 0, 0], [5, 5, 5]], cell=np.eye(3) * 10, pbc=True),
        disordered("Al2Cl3", 6.0, seed=3),
    ]
    found = shortest_distances(Frames.from_atoms(structures), elements)
    assert found.shape == (5, 3, 3)
    for atoms, one in zip(structures, found, strict=True):
        np.testing.assert_allclose(one, by_ase(atoms, elements), rtol=1e-6)
    assert np.isinf(found[3]).all()
