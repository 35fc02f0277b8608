"""The training set against better calculations."""

from __future__ import annotations

import numpy as np
import pytest
from jobflow import run_locally

from nnp.frames import Frames
from nnp.units import KBAR
from tests.workflows.samples import emt
from workflows.composition import Target
from workflows.stages.check import CheckMaker, InaccurateError
from workflows.stages.cost import CostContext

N_FRAMES, N_ATOMS = 12, 5


def training_set(seed: int = 0) -> Frames:
    """Frames without meaning."""
    rng = np.random.default_rng(seed)
    return Frames(
        counts=np.full(N_FRAMES, N_ATOMS),
        numbers=np.full(N_FRAMES * N_ATOMS, 17),
        cells=np.tile(9 * np.eye(3), (N_FRAMES, 1, 1)),
        positions=rng.random((N_FRAMES * N_ATOMS, 3)),
        energies=-15 + rng.random(N_FRAMES),
        forces=rng.normal(size=(N_FRAMES * N_ATOMS, 3)),
        stresses=rng.normal(size=(N_FRAMES, 3, 3)),
        stages=np.array(["liquid"] * N_FRAMES),
        temperatures=np.full(N_FRAMES, 1500.0),
        times=np.arange(N_FRAMES, dtype=float),
    )


def better(frames: Frames, shift: float, noise: float, force: float) -> Frames:
    """The same with other energies (meV/atom) and forces (eV/Å), errors of alternating sign."""
    signs = np.where(np.arange(N_FRAMES) % 2, 1.0, -1.0)
    changed = frames[np.arange(N_FRAMES)]
    changed.energies = changed.energies + (shift + noise * signs) * N_ATOMS / 1000
    changed.forces = changed.forces + force * np.where(changed.forces > 0, 1, -1)
    changed.stresses = changed.stresses + 2.0 / KBAR
    return changed


def batches(maker: CheckMaker, frames: Frames) -> list[Frames | None]:
    """Frames as the jobs of the check return them."""
    return [frames[i : i + maker.batch] for i in range(0, len(frames), maker.batch)]


def test_errors_raw_and_with_the_mean_shift_removed() -> None:
    maker, frames = CheckMaker(batch=5), training_set()
    document = maker.describe(frames, batches(maker, better(frames, 30.0, 2.0, 0.05)))
    assert document.n_frames == N_FRAMES
    assert document.energy_error == pytest.approx(30.0)
    assert document.energy_error_shifted == pytest.approx(2.0)
    assert document.force_error == pytest.approx(0.05)
    assert document.stress_error == pytest.approx(2.0)
    assert document.warning is None


@pytest.mark.parametrize(("noise", "force"), [(4.5, 0.05), (1.0, 0.13)])
def test_beyond_the_papers_limits_there_is_a_warning_with_advice(
    noise: float, force: float
) -> None:
    maker, frames = CheckMaker(batch=5), training_set()
    document = maker.describe(frames, batches(maker, better(frames, 0.0, noise, force)))
    assert document.warning is not None
    assert "convergence.max_energy" in document.warning


def test_strict_stops() -> None:
    maker, frames = CheckMaker(strict=True), training_set()
    work = maker.compare(frames, batches(maker, better(frames, 0.0, 9.0, 0.2)))
    with pytest.raises(InaccurateError, match=r"check\.strict=false"):
        run_locally(work, raise_immediately=True, log=False)


def test_failed_batches_and_frames_leave_gaps() -> None:
    maker, frames = CheckMaker(batch=5), training_set()
    results = batches(maker, better(frames, 3.0, 0.0, 0.0))
    results[1] = None
    results[0].energies[2] = np.nan
    document = maker.describe(frames, results)
    assert document.n_frames == 6
    assert document.failed == 6
    assert document.energy_error == pytest.approx(3.0)
    nothing = maker.describe(frames, [None, None, None])
    assert nothing.n_frames == 0
    assert nothing.warning


def test_the_cost_is_what_runs() -> None:
    maker, frames = CheckMaker(n_frames=10, batch=4), training_set()
    context = CostContext(Target("Cl2"), emt(), n_frames=N_FRAMES)
    recomputed, decisions = maker.cost(context)
    response = maker.recompute.original(maker, frames, emt(), 0)
    *runs, _comparison = response.replace.jobs
    assert recomputed.fireworks == len(runs) == 3
    assert recomputed.reference_evaluations == sum(len(run.function_args[0]) for run in runs) == 10
    assert decisions.fireworks == 3  # what draws, what compares, and what passes on the output


def test_the_warning_names_the_engines_own_setting() -> None:
    assert CheckMaker().judge(1.0, 0.01, "gpaw") is None
    for branch in ("gpaw", "vasp"):
        warning = CheckMaker().judge(50.0, 0.01, branch)
        assert warning is not None
        assert warning.endswith(f"convergence.max_force, or give {branch}.cutoff")
    unknown = CheckMaker().judge(50.0, 0.01)
    assert unknown is not None
    assert unknown.endswith("convergence.max_force")
