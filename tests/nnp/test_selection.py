"""Chosen frames are spread out, and what describes a frame depends on nothing but its physics."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist

from nnp.analysis.selection import farthest_points, frame_features
from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from tests.nnp.samples import disordered

FUNCTIONS = SymmetryFunctions.standard(("Li", "Cl"), 5.0, 4.0)


@given(st.integers(0, 1000), st.integers(2, 60), st.integers(1, 6), st.integers(1, 30))
def test_chosen_points_are_further_apart_than_any_other_is_from_them(
    seed: int, n_points: int, n_dimensions: int, number: int
) -> None:
    points = np.random.default_rng(seed).normal(size=(n_points, n_dimensions))
    chosen = farthest_points(points, number)
    assert len(set(chosen)) == len(chosen) == min(number, n_points)
    if 1 < len(chosen) < n_points:
        others = np.delete(points, chosen, axis=0)
        hole = cdist(others, points[chosen]).min(axis=1).max()
        assert pdist(points[chosen]).min() >= hole - 1e-9


@given(st.integers(0, 1000), st.integers(1, 20))
def test_a_choice_continues_where_it_was(seed: int, first: int) -> None:
    points = np.random.default_rng(seed).normal(size=(50, 4))
    whole = farthest_points(points, 30)
    rest = farthest_points(points, 30 - first, chosen=whole[:first])
    assert rest.tolist() == whole[first:].tolist()


def test_the_same_points_are_chosen_once() -> None:
    points = np.repeat(np.eye(3), 4, axis=0)
    assert len(farthest_points(points, 12)) == 3
    assert len(farthest_points(points, 12, chosen=np.array([0, 4, 8]))) == 0
    assert len(farthest_points(points[:0], 3)) == 0


def test_clusters_are_all_found_however_small() -> None:
    rng = np.random.default_rng(0)
    centres = 50 * np.eye(5)
    sizes = (500, 100, 20, 3, 1)
    points = np.concatenate(
        [centre + rng.normal(size=(n, 5)) for centre, n in zip(centres, sizes, strict=True)]
    )
    cluster = np.repeat(np.arange(5), sizes)
    assert set(cluster[farthest_points(points, 5)]) == set(range(5))


def several() -> list[Atoms]:
    """Frames of several densities."""
    return [disordered("Li4Cl4", length, seed=k) for k, length in enumerate((6.0, 6.5, 7.0, 7.5))]


def test_features_know_neither_order_nor_orientation_nor_supercell() -> None:
    rng = np.random.default_rng(1)
    changed = []
    for atoms in several():
        other = atoms[rng.permutation(len(atoms))]
        other.rotate(40, (1, 2, 3), rotate_cell=True)
        other.positions += (1.3, -4.0, 0.2)
        changed.append(other * (2, 1, 1))
    both = frame_features(FUNCTIONS, Frames.from_atoms([*several(), *changed]))
    assert both[4:] == pytest.approx(both[:4], abs=1e-8)
    assert pdist(both[:4]).min() > 0.1


def test_an_element_that_a_frame_lacks_is_no_trouble() -> None:
    lithium = Atoms("Li2", cell=np.eye(3) * 5, positions=[[0, 0, 0], [2.5, 2.5, 2.5]], pbc=True)
    features = frame_features(FUNCTIONS, Frames.from_atoms([*several(), lithium]))
    assert np.isfinite(features).all()
    assert (features[4, features.shape[1] // 2 :] != features[0, features.shape[1] // 2 :]).any()
