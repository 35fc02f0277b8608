"""Validation in stretches of time."""

import numpy as np
import pytest
from ase import Atoms

from nnp.frames import Frames
from nnp.training.split import block_split


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
