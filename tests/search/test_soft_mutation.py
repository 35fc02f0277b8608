from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from hypothesis import given, settings
from hypothesis import strategies as st

from search.create.operators import NoChildError
from search.create.random_crystals import RandomSymmetric
from search.create.soft_mutation import bond_hessian, soft_mutation
from search.geometry import DistanceLimits

COUNTS = {"Mg": 2, "Si": 1, "O": 4}
LIMITS = DistanceLimits.from_radii(list(COUNTS), 0.7)


def _parent(seed: int) -> Atoms:
    return RandomSymmetric(LIMITS).generate(COUNTS, 85.0, np.random.default_rng(seed))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_children_keep_composition_distances_and_cell(seed: int) -> None:
    parent = _parent(seed)
    try:
        child = soft_mutation(parent, LIMITS, np.random.default_rng(seed))
    except NoChildError as error:
        assert str(error)
        return
    assert sorted(child.numbers) == sorted(parent.numbers)
    assert not LIMITS.violated(child)
    assert child.get_volume() == pytest.approx(parent.get_volume())


def test_hessian_is_symmetric_and_blind_to_translation() -> None:
    atoms = _parent(1)
    hessian = bond_hessian(atoms.cell.array, atoms.positions, covalent_radii[atoms.numbers])
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
    uniform = np.tile([0.3, -0.2, 0.5], len(atoms))
    np.testing.assert_allclose(hessian @ uniform, 0.0, atol=1e-9)
    assert np.linalg.eigvalsh(hessian)[0] > -1e-9


def test_soft_modes_spare_strong_bonds() -> None:
    """Two dimers: the softest modes move them against each other, not their atoms apart."""
    atoms = Atoms(
        "N2N2",
        positions=[[0, 0, 0], [1.1, 0, 0], [3.2, 3.2, 3.2], [4.3, 3.2, 3.2]],
        cell=[6.4, 6.4, 6.4],
        pbc=True,
    )
    limits = DistanceLimits({"N-N": 0.9})
    rng = np.random.default_rng(0)
    changes = []
    for _ in range(20):
        child = soft_mutation(atoms, limits, rng, largest=0.6)
        shortest = np.sort(child.get_all_distances(mic=True)[np.triu_indices(4, 1)])
        changes.append(np.abs(shortest[:2] - 1.1).max())
    assert np.median(changes) < 0.2


def test_one_atom_has_no_soft_mode() -> None:
    with pytest.raises(NoChildError, match="one atom"):
        soft_mutation(bulk("Cu"), DistanceLimits({"Cu-Cu": 2.0}), np.random.default_rng(0))
