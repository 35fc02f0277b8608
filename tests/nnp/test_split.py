"""Validation in stretches of time."""

import numpy as np
import pytest
from ase import Atoms

from nnp.frames import Frames
from nnp.training.split import block_split, random_split


def trajectory() -> Frames:
    """Three stages that follow each other in time."""
    stages = ["liquid"] * 100 + ["quench"] * 100 + ["anneal"] * 60
    frames = Frames.from_atoms([Atoms("H", cell=np.eye(3), pbc=True)] * len(stages))
    frames.stages = np.array(stages)
    return frames


@pytest.mark.parametrize("seed", range(40))
def test_no_validation_frame_neighbours_a_training_frame(seed: int) -> None:
    training, validation = block_split(trajectory(), 0.1, seed)
    assert 0.05 < len(validation) / 260 < 0.2
    assert np.abs(training[:, None] - validation[None]).min() > 1


def test_every_stage_validates() -> None:
    frames = trajectory()
    _, validation = block_split(frames, 0.1, 3)
    assert set(frames.stages[validation]) == {"liquid", "quench", "anneal"}


def melt_and_crystals() -> Frames:
    """Hundreds of frames of a melt and a few of other stages, all different."""
    rng = np.random.default_rng(0)
    stages = ["liquid"] * 300 + ["relaxation"] * 8 + ["strain"] * 5 + ["candidate"] * 3
    stages += ["minimum"] * 2
    structures = [
        Atoms("H2", positions=rng.random((2, 3)), cell=np.eye(3) * 3, pbc=True) for _ in stages
    ]
    frames = Frames.from_atoms(structures)
    frames.stages = np.array(stages)
    return frames


def test_few_frames_of_a_stage_validate_too() -> None:
    frames = melt_and_crystals()
    for seed in range(20):
        training, validation = random_split(frames, 0.1, seed)
        assert np.array_equal(np.sort(np.r_[training, validation]), np.arange(len(frames)))
        found = frames.stages[validation]
        assert (found == "liquid").sum() == 30
        assert (found == "relaxation").sum() == (found == "strain").sum() == 1
        # five in all are a group of their own
        assert np.isin(found, ["candidate", "minimum"]).sum() == 1
        again = random_split(frames, 0.1, seed)
        np.testing.assert_array_equal(validation, again[1])
    assert not np.array_equal(validation, random_split(frames, 0.1, 20)[1])
    assert len(random_split(frames[[0, 310]], 0.1, 0)[1]) == 1
    assert len(random_split(frames, 0.0, 0)[1]) == 0


def test_added_frames_leave_most_where_they_were() -> None:
    frames = melt_and_crystals()
    first = set(random_split(frames[np.arange(200)], 0.1, 4)[1])
    second = random_split(frames, 0.1, 4)[1]
    kept = first & set(second)
    assert len(kept) >= 0.7 * len(first)
