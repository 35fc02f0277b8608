"""The training stage: what it shows while it runs, and in the end."""

from __future__ import annotations

from typing import Any

import pytest
from jobflow import run_locally

from nnp.frames import Frames
from nnp.training.options import TrainingOptions
from tests.workflows.samples import copper, emt, shaken
from workflows.conversion import to_atoms
from workflows.stages import training
from workflows.stages.training import TrainingMaker


@pytest.fixture
def frames() -> Frames:
    """Copper at random displacements, with EMT's labels."""
    calculator = emt().build()
    configurations = []
    for seed in range(20):
        atoms = to_atoms(shaken(copper(1), 0.1, seed=seed))
        atoms.calc = calculator
        atoms.get_stress()
        configurations.append(atoms)
    return Frames.from_atoms(configurations)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_last_that_is_shown_is_the_error_of_the_potential(
    frames: Frames, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[float, float, dict[str, Any]]] = []
    monkeypatch.setattr(
        training,
        "report_progress",
        lambda _, done, total, **figures: shown.append((done, total, figures)),
    )
    options = TrainingOptions(hidden=(4,), max_epochs=30, optimizer=optimizer, patience=3)
    job = TrainingMaker(options=options).make(frames, seed=1)
    document = run_locally(job, ensure_success=True)[job.uuid][1].output
    done, total, figures = shown[-1]
    assert done == total
    assert figures == {
        "validation_meV_atom": document.energy_rmse,
        "force_eV_A": document.force_rmse,
        "stress_kbar": document.stress_rmse,
    }
