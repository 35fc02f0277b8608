"""Chosen frames are spread out, and what describes a frame depends on nothing but its physics."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist

from nnp.analysis.coverage import symmetry_function_values
from nnp.analysis.selection import COMPONENTS, farthest_points, frame_features
from nnp.calibration import Calibration
from nnp.descriptors import SymmetryFunctions
from nnp.evaluation import expected_errors, predict
from nnp.frames import Frames
from nnp.training import dataset
from nnp.training.dataset import moments_of
from tests.nnp.samples import disordered, random_potential

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


def test_features_are_those_of_the_symmetry_functions() -> None:
    """Which are never made; here they are."""
    frames = Frames.from_atoms(several())
    values, types = symmetry_function_values(FUNCTIONS, frames)
    owners = np.repeat(np.arange(len(frames)), frames.counts)
    columns = []
    for element in range(2):
        own, owner = values[types == element], owners[types == element]
        spread = own.std(axis=0)
        scaled = (own - own.mean(axis=0)) / np.where(spread > 1e-10, spread, 1.0)
        points = scaled @ np.linalg.svd(scaled, full_matrices=False)[2][:COMPONENTS].T
        of_frames = [points[owner == frame] for frame in range(len(frames))]
        columns += [[p.mean(axis=0) for p in of_frames], [p.std(axis=0) for p in of_frames]]
    expected = pdist(np.concatenate(columns, axis=1))
    assert pdist(frame_features(FUNCTIONS, frames)) == pytest.approx(expected, rel=1e-6)
    moments = moments_of(FUNCTIONS, frames)
    assert pdist(frame_features(FUNCTIONS, frames, moments)) == pytest.approx(expected, rel=1e-6)


def test_moments_depend_neither_on_threads_nor_on_what_is_listed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = Frames.from_atoms(several() * 3)
    expected = moments_of(FUNCTIONS, frames)
    monkeypatch.setattr(dataset, "FRAMES_AT_ONCE", 5)
    assert np.array_equal(moments_of(FUNCTIONS, frames), expected)
    assert np.array_equal(moments_of(FUNCTIONS, frames, threads=3), expected)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_moments_tell_what_errors_to_expect(activation: str) -> None:
    frames = Frames.from_atoms(several())
    moments = moments_of(FUNCTIONS, frames)
    ensemble = random_potential(FUNCTIONS, members=3, activation=activation)
    ensemble.calibration = Calibration(0.01, 1.5)
    expected = predict(ensemble, frames).uncertainties
    assert expected_errors(ensemble, frames, moments) == pytest.approx(expected, rel=1e-9)
    assert not expected_errors(random_potential(FUNCTIONS), frames, moments).any()
