"""Judging a potential of copper against effective medium theory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from jobflow import SETTINGS, Flow, JobStore, run_locally
from maggma.stores import MemoryStore
from monty.json import jsanitize
from pymatgen.core import Structure

from nnp.evaluation import predict
from nnp.frames import Frames
from nnp.potential import Potential
from nnp.training.options import TrainingOptions
from nnp.training.trainer import train
from nnp.units import KBAR
from tests.workflows.samples import copper, emt, engine
from workflows.composition import Target
from workflows.conversion import to_structure
from workflows.documents.decoding import decode
from workflows.documents.judge import JudgeDocument
from workflows.documents.search import SearchDocument
from workflows.documents.training import SampleDocument, TrainingDocument
from workflows.engines.ase.engine import AseEngine
from workflows.engines.ase.relax import AseRelaxMaker
from workflows.stages.comparison import TestCrystal, distinct_crystals, in_training
from workflows.stages.judge import JudgeMaker
from workflows.stages.unseen_crystals import random_crystals

TARGET = Target("Cu", (1, 2))
HEXAGONAL = bulk("Cu", "hcp", a=2.55, c=4.16)
CUBIC = bulk("Cu", "bcc", a=2.85)


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Rattled and strained crystals of copper, labelled."""
    labelled = []
    for seed in range(24):
        atoms = bulk("Cu", ("fcc", "bcc")[seed % 2], a=(3.6, 2.87)[seed % 2], cubic=True)
        atoms *= (2, 2, 1)
        atoms.set_cell(atoms.cell * (0.94 + 0.01 * (seed % 12)), scale_atoms=True)
        atoms.rattle(0.12, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        labelled.append(atoms)
    return Frames.from_atoms(labelled, stage="liquid")


@pytest.fixture(scope="module")
def potential(frames: Frames) -> Potential:
    """Potential trained on them."""
    options = TrainingOptions(hidden=(8,), optimizer="lbfgs", max_epochs=40)
    return train(frames, options).potential


def store_with(frames: Frames, potential: Potential) -> JobStore:
    """Job store in which a campaign has left its training set and its potential."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    sample = SampleDocument(
        formula="Cu", n_frames=len(frames), n_atoms=16, frames_by_stage={}, shortest_distances={},
        volume_per_atom=12.0, series={}, frames=frames,
    )  # fmt: skip
    training = TrainingDocument(
        formula="Cu", n_training=20, n_validation=4, validation_split="block", converged=True,
        energy_rmse=1.0, force_rmse=0.1, stress_rmse=1.0, epochs=40, history=[], parity={},
        potential=potential,
    )  # fmt: skip
    for name, document in (("sample", sample), ("train", training)):
        output = jsanitize(document, strict=True, enum_values=True)
        store.update(
            {"uuid": name, "index": 1, "output": output}, save={"data": [Frames, Potential]}
        )
    return store


def judged(
    store: JobStore, maker: JudgeMaker, known: dict[str, Structure], reference: AseEngine
) -> JudgeDocument:
    """Run the stage and give its result."""
    work = maker.make("train", "sample", TARGET, reference, seed=1, known=known)
    flow = Flow([work], output=work.output)
    flow.update_metadata({"campaign": "mine"}, dynamic=True)
    run_locally(flow, store=store, create_folders=False, log=False, allow_external_references=True)
    output = decode(store.get_output(work.uuid, which="last", load=True))
    assert isinstance(output, JudgeDocument)
    return output


def small() -> JudgeMaker:
    """Of few structures."""
    maker = JudgeMaker(generations=1, n_random=3)
    return replace(
        maker,
        search=replace(maker.search, evolution=replace(maker.search.evolution, population=4)),
        relaxer=replace(maker.relaxer, limits=replace(maker.relaxer.limits, max_steps=200)),
    )


KNOWN = {"fcc": copper(1), "hcp": to_structure(HEXAGONAL), "bcc": to_structure(CUBIC)}


def test_a_potential_is_compared_with_the_engine(frames: Frames, potential: Potential) -> None:
    store = store_with(frames, potential)
    document = judged(store, small(), KNOWN, emt())
    by_label = {point.label: point for point in document.points}
    assert {"fcc", "bcc"} <= set(by_label)
    fcc = by_label["fcc"]

    # the energies are those of the engine and of the potential, at the engine's geometry
    (atoms,) = document.frames[[document.points.index(fcc)]].to_atoms()
    plain = atoms.copy()
    plain.calc = EMT()
    assert fcc.reference_energy == pytest.approx(plain.get_potential_energy() / len(plain))
    alone = predict(potential, Frames.from_atoms([plain])).energies[0] / len(plain)
    assert fcc.potential_energy == pytest.approx(float(alone))
    assert fcc.relaxed_energy is not None
    assert fcc.relaxed_energy <= fcc.potential_energy + 1e-6
    assert fcc.stays

    # and the figures follow from them
    tested = document.tested
    errors = 1000 * np.array([p.potential_energy - p.reference_energy for p in tested])
    lowest = min(p.reference_energy for p in tested)
    inside = np.array([p.reference_energy <= lowest + 0.5 for p in tested])
    widest = document.single_points[-1]
    assert widest["n"] == inside.sum() >= 3
    assert widest["rmse"] == pytest.approx(np.sqrt(np.mean(errors[inside] ** 2)))
    assert document.lowest["known_phase"] in ("fcc", "hcp")
    assert document.lowest["reference"] == document.points[0].label
    assert {point.origin for point in document.points} <= {"known", "random", "search"}
    assert document.reference_evaluations["known"] >= 3
    assert document.reference_evaluations["search to its limits"] >= 4
    assert document.potential_seconds > 0
    assert set(document.coverage["known"]) == {"Cu"}
    assert not store.query_one({"output.@class": SearchDocument.__name__})


@pytest.mark.slow
def test_a_longer_test_computes_only_what_is_new(
    frames: Frames, potential: Potential, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Counter[str]()
    relax = AseRelaxMaker._relax

    def counted(self: AseRelaxMaker, *args: Any) -> bool:
        runs["all"] += 1
        return relax(self, *args)

    monkeypatch.setattr(AseRelaxMaker, "_relax", counted)
    store = store_with(frames, potential)
    monkeypatch.setattr(SETTINGS, "JOB_STORE", store)  # as in a worker
    first = judged(store, small(), {"fcc": KNOWN["fcc"]}, emt())
    before = _energies(store)
    assert runs["all"] == len(before) >= 8  # of the search, and of all crystals to the end
    more = replace(small(), n_random=4, generations=2)
    second = judged(store, more, {"fcc": KNOWN["fcc"], "bcc": KNOWN["bcc"]}, emt())
    after = _energies(store)
    assert before.items() < after.items()
    assert runs["all"] == len(after)
    energies = [{p.label: p.reference_energy for p in d.points}["fcc"] for d in (first, second)]
    assert energies[0] == energies[1]


def _energies(store: JobStore) -> dict[str, float]:
    """Energies of relaxations by the ids of their jobs."""
    found = store.query({"output.@class": "RelaxDocument"}, ["uuid", "output.energy"])
    return {d["uuid"]: d["output"]["energy"] for d in found}


def test_what_training_has_seen_counts_in_no_figure(frames: Frames, potential: Potential) -> None:
    """As where relaxations of candidates are in the training set."""
    relaxed = copper(1, 3.59).copy()
    atoms = bulk("Cu", "fcc", a=3.5892)
    atoms.calc = EMT()
    atoms.get_forces()
    atoms.get_stress()
    grown = Frames.concatenate([frames, Frames.from_atoms([atoms], stage="candidates")])
    maker = replace(small(), n_random=0, generations=0)
    document = judged(store_with(grown, potential), maker,
                         {"fcc": relaxed, "bcc": KNOWN["bcc"]}, emt())  # fmt: skip
    seen = {point.label: point.in_training for point in document.points}
    assert seen == {"fcc": True, "bcc": False}
    assert document.single_points[-1]["n"] == 1
    assert document.lowest["reference"] == "fcc"  # seen or not
    assert document.summary()["judge"]["in_training"] == 1


def test_liquids_and_other_crystals_are_not_taken_for_a_test_structure(frames: Frames) -> None:
    atoms = bulk("Cu", "fcc", a=3.5892)
    atoms.calc = EMT()
    crystal = TestCrystal("fcc", "known", atoms, atoms.get_potential_energy())
    assert in_training([crystal], frames) == [False]
    hexagonal = HEXAGONAL.copy()
    hexagonal.calc = EMT()
    hexagonal.get_potential_energy()
    other = Frames.from_atoms([hexagonal])
    # of nearly the same energy and volume, and yet another crystal
    assert abs(other.energies[0] / 2 - crystal.energy) < 0.02
    assert in_training([replace(crystal, energy=other.energies[0] / 2)], other) == [False]
    assert in_training([], frames) == []


def test_at_a_pressure_crystals_are_compared_by_enthalpy() -> None:
    """The one of lower energy, but larger, comes second."""
    small, large = bulk("Cu", "fcc", a=3.5), bulk("Cu", "fcc", a=3.9)
    crystals = [
        TestCrystal("large", "known", large, -1.0),
        TestCrystal("small", "known", small, -0.9),
    ]
    assert [crystal.label for crystal in distinct_crystals(crystals)] == ["large", "small"]
    assert [crystal.label for crystal in distinct_crystals(crystals, 200.0)] == ["small", "large"]
    work = 200.0 * small.get_volume() / KBAR
    assert crystals[1].enthalpy(200.0) == pytest.approx(-0.9 + work)


def test_twins_count_once() -> None:
    one = TestCrystal("a", "known", bulk("Cu", "fcc", a=3.6), -1.0)
    twin = TestCrystal("b", "search", bulk("Cu", "fcc", a=3.61, cubic=True), -1.001)
    other = TestCrystal("c", "search", CUBIC, -1.001)
    assert [c.label for c in distinct_crystals([one, twin, other])] == ["c", "a"]


def test_what_fails_is_a_gap_and_says_so(frames: Frames, potential: Potential) -> None:
    maker = replace(small(), n_random=0, generations=0)
    document = judged(
        store_with(frames, potential), maker, {"large": copper(2), "fcc": copper(1)},
        engine("FailingWhenLarge"),
    )  # fmt: skip
    assert [point.label for point in document.points] == ["fcc"]
    assert len(document.failures) == 1
    assert document.failures[0].startswith("large: ")


def test_nothing_to_judge_by_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to judge by"):
        JudgeMaker(generations=0, n_random=0).make("train", "sample", TARGET, emt(), 0)


def test_the_first_random_crystals_do_not_depend_on_their_number() -> None:
    few, many = random_crystals(TARGET, 2, seed=5), random_crystals(TARGET, 4, seed=5)
    assert few == many[:2]
    assert [len(atoms) for atoms in many] == [1, 2, 1, 2]
