"""Dynamics by a trained potential ends where the potential knows nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from jobflow import SETTINGS, Flow, Job, JobStore, job, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder, jsanitize

from nnp.calculator import NeuralNetworkCalculator
from nnp.calibration import Calibration
from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential
from tests.nnp.samples import random_potential
from tests.workflows.samples import copper, shaken
from workflows.conversion import to_atoms
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.training import TrainingDocument
from workflows.engines.ase.dynamics import AseDynamicsMaker
from workflows.engines.ase.engine import AseEngine
from workflows.engines.ase.relax import AseRelaxMaker
from workflows.engines.base import DynamicsTask, SegmentSettings
from workflows.engines.potential import PotentialEngine
from workflows.stages.melting_temperature import MeltingTemperatureMaker


def gentle(spread: float = 0.0, shortest: float = 2.0) -> Potential:
    """Two networks with forces next to none, whose energies differ by about the spread (eV)."""
    potential = random_potential(SymmetryFunctions.standard(("Cu",)), members=2)
    potential.weights[-1][:] *= 1e-6
    potential.biases[-1][0, :, 0] = [-spread, spread]
    potential.calibration = Calibration()
    potential.record["shortest_distances"] = [[shortest]]
    return potential


@job(data=[Potential])
def trained(potential: Potential) -> TrainingDocument:
    """A training whose result is given."""
    return TrainingDocument(
        formula="Cu", n_training=1, n_validation=1, validation_split="random", converged=True,
        energy_rmse=0.0, force_rmse=0.0, stress_rmse=0.0, epochs=1, history=[], parity={},
        potential=potential,
    )  # fmt: skip


def segment(potential: Potential, n_steps: int = 40) -> SegmentDocument:
    """One segment by a potential that another job trained."""
    training = trained(potential)
    maker = AseDynamicsMaker(
        engine=PotentialEngine(potential=training.uuid),
        settings=SegmentSettings(n_steps, 2.0, 10, 100.0),
    )
    work: Job = maker.make(copper(2), DynamicsTask("liquid", 800.0, 800.0, seed=1))
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    flow = Flow([training, work], order="linear")
    responses = run_locally(flow, store=store, create_folders=False, log=False)
    return responses[work.uuid][1].output


def test_dynamics_fetches_the_potential_by_the_job_that_trained_it() -> None:
    document = segment(gentle(shortest=0.5))
    assert document.engine == "NNP"
    assert document.stopped is None
    assert len(document.frames) == 4


def test_a_run_does_not_depend_on_what_its_worker_ran_before() -> None:
    """To the last digit: a neighbour list that is left has another order."""
    potential = random_potential(SymmetryFunctions.standard(("Cu",)), members=2)
    potential.weights[-1][:] *= 0.01
    training = trained(potential)
    engine = PotentialEngine(potential=training.uuid, max_uncertainty=1e6, closest=0.0)
    maker = AseDynamicsMaker(engine=engine, settings=SegmentSettings(30, 2.0, 10, 100.0))

    def go_on(structure: object, seed: int) -> Job:
        return maker.make(structure, DynamicsTask("liquid", 800.0, 800.0, seed=seed))

    start = shaken(copper(2), 0.2)
    first, other = go_on(start, 1), go_on(copper(2, 3.5), 3)
    after_itself, after_another = (go_on(first.output.structure, 2) for _ in range(2))
    flow = Flow([training, first, after_itself, other, after_another], order="linear")
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    responses = run_locally(flow, store=store, create_folders=False, log=False)
    frames = [responses[work.uuid][1].output.frames for work in (after_itself, after_another)]
    assert len(frames[0]) == 3
    np.testing.assert_array_equal(frames[0].forces, frames[1].forces)


def test_dynamics_ends_where_the_energy_is_uncertain() -> None:
    document = segment(gentle(spread=0.15))
    assert "uncertain by 150 meV/atom" in document.stopped
    assert len(document.frames) == 1
    assert len(document.temperatures) == len(document.pressures) == 1
    # at its start and at rest: the next segment draws velocities
    assert document.structure.cart_coords == pytest.approx(copper(2).cart_coords)
    assert not np.any(document.structure.site_properties["velocities"])


def test_dynamics_ends_before_atoms_collide() -> None:
    """Hardly any forces: the atoms fly straight, and some come too close after a while."""
    document = segment(gentle(shortest=2.7), n_steps=2000)
    assert "Cu-Cu" in document.stopped
    assert 0 < len(document.frames) < 200
    last = document.frames[-1]
    distances = last.to_atoms()[0].get_all_distances(mic=True) + 9 * np.eye(32)
    assert distances.min() >= 0.8 * 2.7
    assert document.structure.cart_coords == pytest.approx(last.positions)


def test_reasons_to_stop() -> None:
    engine = PotentialEngine(max_uncertainty=0.1, closest=0.8)
    atoms = to_atoms(copper(1))
    atoms.calc = NeuralNetworkCalculator(gentle(shortest=2.5))
    atoms.get_potential_energy()
    assert engine.stop_reason(atoms) is None
    atoms.positions[1] = atoms.positions[0] + (1.9, 0, 0)
    atoms.get_potential_energy()
    # the shortest of those that are too short: to the next image, not the 1.90 Å to the atom itself
    assert "1.71 Å" in str(engine.stop_reason(atoms))
    atoms.calc.results["uncertainty"] = np.nan
    assert "uncertain" in str(engine.stop_reason(atoms))
    assert AseEngine().stop_reason(Atoms()) is None


def test_a_stopped_run_counts_as_liquid() -> None:
    point = MeltingTemperatureMaker().judge(3000.0, [segment(gentle(spread=0.15))])
    assert point.liquid
    assert not point.species


def test_the_engine_survives_json() -> None:
    engine = PotentialEngine(potential="some-job", max_uncertainty=0.2)
    text = json.dumps(jsanitize(engine.as_dict(), strict=True))
    assert MontyDecoder().process_decoded(json.loads(text)) == engine


def test_a_potential_without_stress_relaxes_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = gentle()
    blind.record["n_stresses"] = 0
    training = trained(blind)
    work = AseRelaxMaker(engine=PotentialEngine(potential=training.uuid)).make(copper(1), "test")
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    monkeypatch.setattr(SETTINGS, "JOB_STORE", store)
    flow = Flow([training, work], order="linear")
    with pytest.raises(ValueError, match="NNP gives no stress, which relaxing a cell needs"):
        run_locally(flow, store=store, create_folders=False, log=False, raise_immediately=True)
