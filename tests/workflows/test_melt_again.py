"""A melt-quench by the potential between rounds: where it begins, and what is chosen of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from jobflow import Flow

from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from search.relax.limits import RelaxationLimits
from tests.nnp.samples import disordered, random_potential
from tests.workflows.samples import emt
from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.documents.dynamics import SegmentDocument
from workflows.engines.potential import PotentialEngine
from workflows.jobs.stage import POTENTIAL_QUEUE
from workflows.settings import list_settings, override_all
from workflows.stages import melt_again
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.learning_state import LearningChain, LearningState
from workflows.stages.melt_again import MeltAgain, hot_start
from workflows.stages.search import SearchMaker
from workflows.stages.selection import SelectionMaker
from workflows.stages.training import TrainingMaker

FUNCTIONS = SymmetryFunctions.standard(("Li", "Cl"))


def frames(stage: str, n: int, temperature: float | None = None, seed: int = 0) -> Frames:
    """Frames around one configuration, with energies."""
    rng = np.random.default_rng(seed)
    structures = []
    for _ in range(n):
        atoms = disordered("Li4Cl4", 6.5, seed=seed, closest=1.8)
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        structures.append(atoms)
    found = Frames.from_atoms(structures, stage=stage, temperature=temperature)
    found.energies[:], found.forces[:] = -1.0, 0.0
    return found


TRAINING = Frames.concatenate(
    [
        frames("melting_temperature", 2, 3000.0, seed=1),
        frames("liquid", 3, 1500.0, seed=2),
        frames("quench", 3, 700.0, seed=3),
        frames("minimum", 2, seed=4),
    ]
)


def test_it_begins_with_the_last_liquid_at_the_melting_temperature() -> None:
    found = hot_start(TRAINING)
    assert found is not None
    structure, temperature = found
    assert temperature == 1500.0
    assert structure.cart_coords == pytest.approx(TRAINING[4].positions)
    found = hot_start(TRAINING[[0, 1, 5, 8]])
    assert found is not None
    assert found[1] == 3000.0
    assert found[0].cart_coords == pytest.approx(TRAINING[1].positions)
    assert hot_start(TRAINING[8:]) is None
    assert hot_start(TRAINING[:0]) is None


def runs_of(
    melting: MeltAgain, training: Frames, monkeypatch: pytest.MonkeyPatch, rounds: int = 0
) -> list[Flow]:
    """Dynamics of a round."""
    monkeypatch.setattr(melt_again, "output_of", lambda _: SimpleNamespace(frames=training))
    chain = LearningChain(
        Target("LiCl", (1,)), emt(), 5, SearchMaker(), TrainingMaker(),
        RelaxationLimits(0.1, 1.0, 10), DynamicsMaker(), SelectionMaker(),
    )  # fmt: skip
    state = LearningState.model_construct(potential="p", sample="s", rounds=[None] * rounds)
    return melting.make(chain, state)


def test_melt_and_quench_are_dynamics_by_the_potential(monkeypatch: pytest.MonkeyPatch) -> None:
    melting = MeltAgain(5, superheating=2.0, melt_duration=3.0, quench_rate=300.0)
    melt, quench = runs_of(melting, TRAINING, monkeypatch)
    tasks = [job.function_args[1] for job in (*melt.jobs, *quench.jobs)]
    assert (tasks[0].temperature, tasks[0].new_velocities) == (3000.0, True)
    assert [len(melt.jobs), len(quench.jobs)] == [2, 5]  # of 2 ps at the most: 3 and 9 ps
    assert (tasks[2].temperature, tasks[-1].end_temperature) == (3000.0, 300.0)
    for job in (*melt.jobs, *quench.jobs):
        engine = job.function.__self__.engine
        assert isinstance(engine, PotentialEngine)
        assert engine.potential == "p"
        assert job.config.manager_config["_category"] == POTENTIAL_QUEUE
        assert job.metadata["stage"] == "improve"
    seeds = {task.seed for task in tasks}
    assert len(seeds) == 7
    later = runs_of(melting, TRAINING, monkeypatch, rounds=1)
    assert not seeds & {job.function_args[1].seed for run in later for job in run.jobs}


def test_none_is_asked_for_or_there_is_no_liquid(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_of(MeltAgain(), TRAINING, monkeypatch) == []
    assert runs_of(MeltAgain(5), TRAINING[8:], monkeypatch) == []


def segment(found: Frames) -> SegmentDocument:
    """Part of a run."""
    return SegmentDocument.model_construct(frames=found)


def test_melt_and_quench_share_the_labels() -> None:
    hot, cold = frames("improve", 20, 3000.0, seed=5), frames("improve", 20, 500.0, seed=6)
    hot.positions[:8] = hot.positions[0]  # exploded: all atoms of the first frame in one place
    runs = [[segment(hot[:10]), segment(hot[10:])], [segment(cold), segment(cold[:0])]]
    potential = random_potential(FUNCTIONS, members=3)
    select = SelectionMaker(scaled=0.0)
    chosen = MeltAgain(8).choose(runs, select, 1, TRAINING, potential)
    assert chosen.stages.tolist() == ["melt_quench"] * 8
    assert chosen.temperatures.tolist() == [3000.0] * 4 + [500.0] * 4
    assert np.isnan(chosen.energies).all()
    known = {frame.positions.tobytes() for frame in Frames.concatenate([hot[1:], cold])}
    assert {frame.positions.tobytes() for frame in chosen} <= known
    assert len(MeltAgain(8).choose([[], []], select, 1, TRAINING, potential)) == 0


def test_a_quench_that_never_ends_is_refused() -> None:
    slow = {"improve.melt_quench": 5, "improve.quench_rate": 0.01}
    with pytest.raises(ValueError, match="frames"):
        override_all(find_protocol("quick"), slow).validate()
    override_all(find_protocol("quick"), {**slow, "improve.rounds": 0}).validate()


def test_no_protocol_does_it_unasked() -> None:
    for protocol in ("quick", "paper", "economical"):
        settings = {one.path: one.value for one in list_settings(find_protocol(protocol))}
        assert settings["improve.melt_quench"] == 0
