"""Random packing."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Composition

from workflows.stages.packing import PackMaker, estimate_volume, pack_atoms


@pytest.mark.parametrize(
    ("formula", "measured"),
    [("LiAlCl4", 24.6), ("Mg2SiO4", 10.4), ("Ba2AgSi3", 26.3), ("Cu", 11.8), ("NaCl", 22.4)],
)
def test_estimated_volumes_are_near_those_of_crystals(formula: str, measured: float) -> None:
    assert estimate_volume(Composition(formula)) == pytest.approx(measured, rel=0.35)


def test_packing_keeps_distances_across_the_boundaries() -> None:
    edge = 9.0
    positions = pack_atoms({"Li": 5, "Cl": 20}, edge, 1.9, seed=3)
    difference = positions[:, None] - positions[None]
    difference -= edge * np.round(difference / edge)
    distances = np.linalg.norm(difference, axis=2)[np.triu_indices(25, 1)]
    assert positions.shape == (25, 3)
    assert distances.min() > 1.85


def test_another_seed_packs_otherwise() -> None:
    amounts = {"Cu": 12}
    first = pack_atoms(amounts, 8.0, 1.9, seed=1)
    assert np.array_equal(first, pack_atoms(amounts, 8.0, 1.9, seed=1))
    assert not np.allclose(first, pack_atoms(amounts, 8.0, 1.9, seed=2))


def test_maker_packs_whole_formula_units_at_the_estimated_volume() -> None:
    maker = PackMaker(n_atoms=50)
    structure = maker.make.original(maker, "LiAlCl4")
    assert structure.composition == Composition("Li8Al8Cl32")
    assert structure.volume / 48 == pytest.approx(estimate_volume(Composition("LiAlCl4")))


def test_a_dense_box_is_packed_at_the_distance_it_allows() -> None:
    positions = pack_atoms({"Cu": 60}, 5.0, 1.9, seed=1)
    difference = positions[:, None] - positions[None]
    difference -= 5.0 * np.round(difference / 5.0)
    distances = np.linalg.norm(difference, axis=2)[np.triu_indices(60, 1)]
    assert 0.7 < distances.min() < 1.9
