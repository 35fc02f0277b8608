from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.create.nets import _random_hermite, net_structure
from search.create.random_crystals import GenerationError
from search.geometry import DistanceLimits
from search.symmetry import find_space_group

LIMITS = DistanceLimits.from_radii(("Na", "Cl"), 0.6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_composition_volume_and_distances(seed: int) -> None:
    counts = {"Na": 4, "Cl": 4}
    atoms = net_structure(counts, 180.0, LIMITS, np.random.default_rng(seed))
    assert {s: list(atoms.symbols).count(s) for s in counts} == counts
    assert atoms.get_volume() == pytest.approx(180.0)
    assert not LIMITS.violated(atoms)


def test_simple_nets_come_out_often() -> None:
    """Among few dozens: structures of the close-packed, body-centred or hexagonal kind."""
    rng = np.random.default_rng(1)
    limits = DistanceLimits({"Cu-Cu": 1.5})
    groups = [
        find_space_group(net_structure({"Cu": 4}, 48.0, limits, rng), 1e-3).number
        for _ in range(40)
    ]
    assert {225, 229, 221, 191, 194, 227, 139} & set(groups)
    assert np.mean(np.array(groups) > 15) > 0.7


def test_decorations_are_symmetric() -> None:
    rng = np.random.default_rng(2)
    groups = [
        find_space_group(net_structure({"Na": 4, "Cl": 4}, 180.0, LIMITS, rng)).number
        for _ in range(20)
    ]
    assert np.mean(np.array(groups) > 2) > 0.6


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 28), st.integers(0, 10**6))
def test_supercells_have_the_size_asked_for(times: int, seed: int) -> None:
    matrix = _random_hermite(times, np.random.default_rng(seed))
    assert round(np.linalg.det(matrix)) == times


def test_impossible_distances_are_an_error() -> None:
    with pytest.raises(GenerationError, match="keeps the distances"):
        net_structure({"Cu": 4}, 20.0, DistanceLimits({"Cu-Cu": 3.0}), np.random.default_rng(0))
