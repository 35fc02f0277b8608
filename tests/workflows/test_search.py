"""What the search's jobs leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from jobflow import JobStore, Maker, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder, jsanitize

from search.options import EvolutionOptions
from search.relax.energy import AseEnergy
from search.relax.limits import RelaxationLimits
from search.relax.relaxed import Relaxed
from search.relax.relaxer import Relaxer
from search.relax.trust import UNCONDITIONAL, UNKNOWN, Trust
from search.run.driver import run_generations
from search.state.evolution import Evolution
from search.state.fitness import FITNESSES, Fitness
from tests.search.ensemble import gold_and_copper
from tests.workflows.samples import emt
from workflows.composition import Target
from workflows.conversion import to_structure
from workflows.documents.decoding import decode
from workflows.documents.search import SearchDocument
from workflows.settings import list_settings
from workflows.stages.reference_search import ReferenceSearchMaker
from workflows.stages.search import SearchMaker
from workflows.stages.search_documents import (
    NothingFoundError,
    island_document,
    search_document,
)

TARGET = Target("CuAu", (1,))


def start() -> Evolution:
    """A search of two structures."""
    options = EvolutionOptions(formula_units=(1,), population=2, generations=1)
    return Evolution(TARGET.counts, options, 1)


def test_candidates_say_whether_they_are_under_the_tight_limits() -> None:
    for relaxer, expected in ((Relaxer(), True), (Relaxer(RelaxationLimits(max_steps=2)), False)):
        ended = run_generations(start(), relaxer, AseEnergy(EMT()), 1, n_best=4)
        document = search_document(TARGET, [island_document(ended, 1.0)], 4, "potential")
        assert [candidate.converged for candidate in document.candidates] == [
            expected for _ in document.candidates
        ]
        assert document.n_went_on == len(ended.went_on)
        assert document.summary()["relaxed_on_to_tight_limits"] == len(ended.went_on)


def test_a_search_takes_other_generations_between_two_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its islands were finished with the generations that they began with."""
    begun: list[list[str]] = []

    def note(_maker: Maker, _model: str, _target: Target, _states: Any, blocks: list[str]) -> None:
        begun.append(blocks)

    monkeypatch.setattr(SearchMaker, "_next_round", note)
    for generations, rounds in ((1, []), (3, [["block"]])):
        ended = run_generations(start(), Relaxer(), AseEnergy(EMT()), 1)
        maker = SearchMaker(evolution=EvolutionOptions(generations=generations), n_best=4)
        islands = [island_document(ended, 1.0)]
        response = SearchMaker.advance.original(maker, "", TARGET, islands, ["block"])
        assert begun == rounds
        assert (response is None) == bool(rounds)


def test_what_can_change_between_blocks_are_numbers_of_the_search() -> None:
    for kind in (SearchMaker, ReferenceSearchMaker):
        assert set(kind.CHANGEABLE) <= {setting.path for setting in list_settings(kind())}


MINE = """
from dataclasses import dataclass

from search.state.fitness import Fitness


@dataclass(frozen=True)
class Mine(Fitness):
    weight: float = 1.0
"""
#: What a worker does that has just begun: the class is not loaded, the row is there or not.
WORKER = """
import json, sys

from nnp.storage.documents import UnknownClassError
from search.state.fitness import FITNESSES
from workflows.documents.decoding import decode
from workflows.stages.search import SearchMaker  # jobs are its methods

stored = json.loads(sys.stdin.read())
try:
    decode(stored)
except UnknownClassError as error:
    print("'Mine'" in str(error), "my_fitness" in sys.modules)
FITNESSES["mine"] = "my_fitness:Mine"
print(decode(stored).evolution.fitness.weight)
"""


def test_a_new_worker_reads_a_fitness_that_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_fitness.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FITNESSES, "mine", "my_fitness:Mine")
    state = start()
    state.fitness = import_module("my_fitness").Mine(2.5)
    stored = json.dumps(jsanitize(island_document(state, 1.0), strict=True, enum_values=True))
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    ended = subprocess.run(
        [sys.executable, "-c", WORKER], input=stored, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert ended.stdout.splitlines() == ["True False", "2.5"]


@dataclass(frozen=True)
class Doubled(Fitness):
    """Twice the energy per atom."""

    def of(self, relaxed: Relaxed) -> float:
        """Fitness in eV/atom."""
        return 2.0 * super().of(relaxed)


def test_the_makers_hand_their_fitness_to_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FITNESSES, "doubled", f"{__name__}:Doubled")
    begun: list[Fitness] = []

    def note(_maker: Maker, _model: object, _target: Target, state: Any, *_: object) -> None:
        begun.append((state[0] if isinstance(state, list) else state).fitness)

    monkeypatch.setattr(SearchMaker, "_next_round", note)
    monkeypatch.setattr(ReferenceSearchMaker, "_next_generation", note)
    for fitness in (Fitness(), Doubled()):
        options = EvolutionOptions(population=2, generations=1)
        maker = SearchMaker(evolution=options, fitness=fitness)
        assert SearchMaker.from_dict(maker.as_dict()).fitness == fitness
        SearchMaker.start.original(maker, "", TARGET, 12.0, {}, 1, "")
        reference = ReferenceSearchMaker(evolution=options, fitness=fitness)
        ReferenceSearchMaker.start.original(reference, TARGET, emt(), 1, 12.0)
    # the reference level has no uncertainty
    trusting = [fitness.trusting(Trust()) for fitness in (Fitness(), Doubled())]
    assert begun == [trusting[0], Fitness(), trusting[1], Doubled()]
    assert not [s.path for s in list_settings(SearchMaker()) if "fitness" in s.path]


def test_a_search_without_a_structure_is_no_result() -> None:
    state = start()
    state.tell([Relaxed(c.atoms, float("nan"), "aborted: nowhere") for c in state.ask()])
    with pytest.raises(NothingFoundError, match="2 times nowhere"):
        search_document(TARGET, [island_document(state, 1.0)], 4, "potential")


def test_the_document_tells_what_is_unknown_and_why_the_search_ended() -> None:
    state = start()
    state.fitness = Fitness(caution=1.0, max_uncertainty=0.1)
    state.options = replace(state.options, generations=2)
    known, unknown = (
        Relaxed(candidate.atoms, energy, "converged", uncertainty=uncertainty)
        for candidate, energy, uncertainty in zip(
            state.ask(), (-2.0, -4.0), (0.05, 0.4), strict=True
        )
    )
    state.tell([known, unknown])
    state.tell([replace(unknown, atoms=c.atoms, energy=-1.0) for c in state.ask()])
    document = search_document(TARGET, [island_document(state, 1.0)], 4, "potential")
    assert [(c.energy, c.uncertainty) for c in document.candidates] == [(-1.0, 0.05)]
    assert document.best_energy == -1.0
    assert [c.energy for c in document.unknown] == sorted(c.energy for c in document.unknown)
    assert document.unknown[0].energy == -2.0
    assert {c.uncertainty for c in document.unknown} == {0.4}
    assert document.ended == ["generations"]
    assert document.summary()["ended"] == "generations"
    assert document.summary()["unknown_structures"] == len(document.unknown)
    assert document.summary()["discarded"][UNKNOWN] == 3
    assert document.warning is None
    again = decode(jsanitize(document, strict=True, enum_values=True))
    assert isinstance(again, SearchDocument)
    assert again.unknown[0].structure == document.unknown[0].structure


def test_where_nothing_is_known_the_lowest_unknown_are_candidates_with_a_warning() -> None:
    state = start()
    state.fitness = Fitness(max_uncertainty=0.1)
    state.tell([Relaxed(c.atoms, -c.id - 1.0, "converged", uncertainty=0.2) for c in state.ask()])
    document = search_document(TARGET, [island_document(state, 1.0)], 4, "potential")
    assert document.candidates == document.unknown
    assert document.best_energy == -1.0
    assert "raise max_uncertainty" in str(document.warning)


def test_a_search_in_jobs_begins_with_the_structures_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = bulk("CuAu", "rocksalt", a=5.0), bulk("CuAu", "cesiumchloride", a=3.1)
    maker = SearchMaker(
        evolution=EvolutionOptions(population=3, generations=2),
        islands=2,
        block=1,
        threads=1,
        trust=UNCONDITIONAL,
    )
    seeds = [to_structure(atoms) for atoms in cells]
    work = maker.make(gold_and_copper(), TARGET, 14.0, {}, 1, seeds=seeds)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(work, store=store, log=False)
    document = MontyDecoder().process_decoded(store.get_output(work.uuid, load=True))
    assert document.n_structures == 12
    assert document.ended == ["generations", "generations"]
    # one on each island, the first there
    blocks = store.query({"output.@class": "IslandDocument"}, ["output"], load=True)
    states = [MontyDecoder().process_decoded(block["output"]).evolution for block in blocks]
    assert len(states) == 4
    states = [state for state in states if state is not None]
    assert len(states) == 2  # the last of each island; those before were dropped
    for state in states:
        seeded = [i.id for i in state.individuals if i.operator == "seed"]
        assert seeded == [0]
    assert all(candidate.uncertainty is not None for candidate in document.candidates)
    assert not document.unknown
