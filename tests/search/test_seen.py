"""Structures that have been seen are found again in any cell, and others are not."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from hypothesis import given, settings
from hypothesis import strategies as st

from search.state.seen import SeenStructures

ROCK_SALT = bulk("NaCl", "rocksalt", a=5.6)
CAESIUM_CHLORIDE = bulk("NaCl", "cesiumchloride", a=3.4)
ZINC_BLENDE = bulk("NaCl", "zincblende", a=6.0)


@settings(max_examples=15, deadline=None)
@given(
    scale=st.floats(0.95, 1.05),
    shear=st.integers(-1, 1),
    doubled=st.booleans(),
    seed=st.integers(0, 100),
)
def test_another_cell_volume_and_origin_is_the_same(
    scale: float, shear: int, doubled: bool, seed: int
) -> None:
    matrix = np.array([[1, shear, 0], [0, 1, 0], [0, 0, 2 if doubled else 1]])
    atoms = make_supercell(ROCK_SALT, matrix)
    atoms.set_cell(atoms.cell * scale, scale_atoms=True)
    atoms.rattle(0.01, seed=seed)
    atoms.translate(np.random.default_rng(seed).normal(size=3))
    seen = SeenStructures([ZINC_BLENDE, ROCK_SALT])
    assert seen.has(atoms)
    assert not SeenStructures([ZINC_BLENDE, CAESIUM_CHLORIDE]).has(atoms)


@pytest.mark.parametrize("atoms", [ROCK_SALT, CAESIUM_CHLORIDE, ZINC_BLENDE])
def test_nothing_was_seen_before_the_first(atoms: Atoms) -> None:
    assert not SeenStructures([]).has(atoms)
    assert SeenStructures([atoms]).has(atoms)
