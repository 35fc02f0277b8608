"""Extrapolation is seen where there is some, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from nnp.analysis.coverage import Coverage
from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from tests.nnp.samples import disordered

FUNCTIONS = SymmetryFunctions.standard(("Li", "Cl"), 5.0, 4.0)


def shaken(amplitude: float, n: int, seed: int) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    structures = []
    for _ in range(n):
        atoms = disordered("Li4Cl4", 6.0, seed=1)
        atoms.positions += rng.normal(0, amplitude, atoms.positions.shape)
        structures.append(atoms)
    return structures


@pytest.fixture(scope="module")
def training() -> Frames:
    return Frames.from_atoms(shaken(0.1, 60, seed=0))


@pytest.fixture(scope="module")
def coverage(training: Frames) -> Coverage:
    return Coverage.fit(FUNCTIONS, training, n_samples=150)


def test_training_frames_are_inside_their_own_range(coverage: Coverage, training: Frames) -> None:
    report = coverage.assess(training)
    assert report.outside.max() == 0.0
    assert min(report.covered(2)) > 0.97


def test_new_frames_of_the_same_kind_are_covered(coverage: Coverage) -> None:
    report = coverage.assess(Frames.from_atoms(shaken(0.1, 20, seed=5)))
    assert min(report.covered(2)) > 0.9
    assert report.outside.mean() < 0.05


def test_compressed_structures_are_far_outside(coverage: Coverage) -> None:
    structures = shaken(0.1, 5, seed=6)
    for atoms in structures[2:]:
        atoms.set_cell(atoms.cell * 0.8, scale_atoms=True)
    report = coverage.assess(Frames.from_atoms(structures))
    assert report.outside[16:].mean() > 0.5
    assert report.far[16:].mean() > 0.6
    assert report.largest_distance[2:].min() > 2 * report.largest_distance[:2].max()


def test_elements_without_training_environments_are_never_covered(training: Frames) -> None:
    lithium = Frames.from_atoms([Atoms("Li2", cell=np.eye(3) * 5, pbc=True)] * 3)
    report = Coverage.fit(FUNCTIONS, lithium).assess(training)
    assert report.covered(2) == [0.0, 0.0]
    alone = Coverage.fit(FUNCTIONS, training).assess(lithium)
    assert np.isnan(alone.covered(2)[1])


def test_document_and_plot(coverage: Coverage, training: Frames) -> None:
    copy = Coverage.from_dict(coverage.as_dict())
    np.testing.assert_allclose(
        copy.assess(training).distance, coverage.assess(training).distance, atol=1e-4
    )
    figure = coverage.plot({"candidates": training[:3]})
    titles = [axes.get_title() for axes in figure.get_axes()]
    assert [title for title in titles if title] == ["Li", "Cl"]
    scatter = figure.get_axes()[2].collections
    assert [len(np.asarray(points.get_offsets())) for points in scatter] == [150, 12]
