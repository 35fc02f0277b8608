"""Which frames are chosen for labels."""

from __future__ import annotations

import numpy as np
import pytest

from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from tests.nnp.samples import disordered, random_potential
from workflows.stages.selection import (
    SelectionMaker,
    by_stage,
    scale_volumes,
    spread_over_groups,
    thin,
    without_labels,
)

FUNCTIONS = SymmetryFunctions.standard(("Li", "Cl"))


@pytest.fixture(scope="module")
def pool() -> Frames:
    """Thirty frames around three configurations, as a trajectory would have them."""
    rng = np.random.default_rng(0)
    structures = []
    for k in range(30):
        atoms = disordered("Li4Cl4", 6.5, seed=k % 3, closest=1.8)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        structures.append(atoms)
    return Frames.from_atoms(structures, stage="liquid", temperature=1000.0)


def test_the_budget_is_kept_and_shared(pool: Frames) -> None:
    plain, scaled, errors = SelectionMaker(scaled=0.3).select(pool, 10, seed=1)
    assert errors is None
    assert (len(plain), len(scaled)) == (7, 3)
    assert set(plain.stages) == {"liquid"}
    assert set(scaled.stages) == {"scaled"}
    for frames in (plain, scaled):
        assert np.isnan(frames.energies).all()
        assert np.isnan(frames.forces).all()
    # every one of the three configurations is there
    numbers = {frame.positions.tobytes(): number for number, frame in enumerate(pool)}
    assert {numbers[frame.positions.tobytes()] % 3 for frame in plain} == {0, 1, 2}


def test_the_same_question_has_the_same_answer(pool: Frames) -> None:
    first, second = (SelectionMaker().select(pool, 8, seed=4)[:2] for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.positions, b.positions)
    other = SelectionMaker().select(pool, 8, seed=5)
    assert not np.array_equal(first[1].cells, other[1].cells)


def test_what_is_labelled_is_not_chosen_again(pool: Frames) -> None:
    maker = SelectionMaker(scaled=0.0)
    first, *_ = maker.select(pool, 10, seed=0)
    second, *_ = maker.select(pool, 10, seed=0, labelled=first)
    seen = {frame.positions.tobytes() for frame in first}
    assert len(second) == 10
    assert not seen & {frame.positions.tobytes() for frame in second}
    everything, *_ = maker.select(pool, 100, seed=0)
    assert len(everything) == len(pool)
    nothing, *_ = maker.select(pool, 10, seed=0, labelled=everything)
    assert len(nothing) == 0


def test_only_the_least_certain_are_chosen(pool: Frames) -> None:
    potential = random_potential(FUNCTIONS, members=3)
    maker = SelectionMaker(scaled=0.0, uncertain=0.4)
    rows = np.arange(len(pool))
    assert maker.least_certain(None, rows) is rows
    assert maker.least_certain(np.zeros(len(pool)), rows) is rows  # a single network
    uncertainties = potential.compute(pool.to_atoms()).uncertainties
    mask = np.zeros(len(pool), dtype=bool)
    mask[maker.least_certain(uncertainties, rows)] = True
    assert mask.sum() == 12
    assert uncertainties[mask].min() >= uncertainties[~mask].max()
    chosen, _, errors = maker.select(pool, 30, seed=0, potential=potential)
    assert errors == pytest.approx(uncertainties, rel=1e-9)
    allowed = {frame.positions.tobytes() for frame in pool[mask]}
    assert {frame.positions.tobytes() for frame in chosen} == allowed


def test_volumes_are_scaled_within_their_limit(pool: Frames) -> None:
    scaled = scale_volumes(without_labels(pool), 0.2, seed=0)
    ratios = scaled.volumes / pool.volumes
    assert ratios.min() > 0.8
    assert ratios.max() < 1.2
    assert np.ptp(ratios) > 0.2
    # fractional coordinates stay
    for before, after in zip(pool, scaled, strict=True):
        assert np.linalg.solve(after.cells[0].T, after.positions.T) == pytest.approx(
            np.linalg.solve(before.cells[0].T, before.positions.T)
        )


def test_a_long_pool_is_thinned_evenly(pool: Frames) -> None:
    few = thin(pool, 4)
    assert [frame.positions.tobytes() for frame in few] == [
        pool[k].positions.tobytes() for k in (0, 10, 19, 29)
    ]
    assert thin(pool, 30) is pool


@pytest.mark.parametrize("name", ["scaled", "max_strain", "uncertain"])
def test_shares_cannot_exceed_one(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        SelectionMaker(**{name: 1.5})


def test_every_stage_has_its_share() -> None:
    rng = np.random.default_rng(0)
    stages = np.array(["hot"] * 80 + ["cold"] * 15 + ["rare"] * 5)
    # the hot frames are far apart, and would all be chosen first
    features = rng.normal(size=(100, 3)) * np.where(stages == "hot", 10.0, 0.1)[:, None]
    groups = by_stage(stages)
    assert [len(group) for group in groups] == [80, 15, 5]
    chosen = spread_over_groups(features, groups, 30, np.zeros(0, dtype=np.int64))
    counts = {stage: int((stages[chosen] == stage).sum()) for stage in ("hot", "cold", "rare")}
    assert counts == {"hot": 10, "cold": 10, "rare": 5}
    again = spread_over_groups(features, groups, 30, chosen)
    assert not set(again) & set(chosen)
