"""A search ends when it has found nothing new for long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import bulk

from search.options import EvolutionOptions
from search.relax.relaxed import Relaxed
from search.relax.relaxer import Relaxer
from search.run.driver import SearchFigures, run_generations
from search.run.islands import exchange, summarise
from search.state.evolution import Evolution
from search.state.novelty import LEADING
from tests.search.pair_energy import PairEnergy

COPPER = {"Cu": 1}


def _evolution(patience: int | None = 3, seeds: tuple[Atoms, ...] = (), **more: int) -> Evolution:
    options = EvolutionOptions(
        formula_units=(1,), population=2, generations=100, patience=patience, **more
    )
    return Evolution(COPPER, options, 1, seeds)


def _told(evolution: Evolution, *outcomes: tuple[float, Atoms] | None) -> Evolution:
    """Take in a generation of such energies and structures; none: given up."""
    candidates = evolution.ask()
    given_up = [Relaxed(c.atoms, float("nan"), "aborted: nowhere") for c in candidates]
    for i, outcome in enumerate(outcomes):
        if outcome is not None:
            given_up[i] = Relaxed(outcome[1], outcome[0], "converged")
    evolution.tell(given_up)
    return evolution


FCC, BCC = bulk("Cu", "fcc", a=3.6), bulk("Cu", "bcc", a=2.87)


def _sheared(number: int) -> Atoms:
    """One of many different crystals."""
    atoms = bulk("Cu", "fcc", a=3.6)
    cell = atoms.cell.array.copy()
    cell[2] *= 1.0 + 0.06 * number
    atoms.set_cell(cell)
    return atoms


def test_generations_without_news_end_it() -> None:
    evolution = _told(_evolution(), (-1.0, FCC))
    for _ in range(2):
        assert not _told(evolution).finished
    assert _told(evolution).ended == "nothing new for 3 generations"
    assert evolution.generation == 4


def test_nothing_at_all_ends_it_too_and_no_patience_never() -> None:
    for patience, ended in ((3, "nothing new for 3 generations"), (None, None)):
        evolution = _evolution(patience)
        for _ in range(3):
            _told(evolution)
        assert evolution.ended == ended


def test_a_copy_is_no_news_and_a_better_best_and_a_new_structure_are() -> None:
    evolution = _told(_evolution(), (-1.0, FCC))
    _told(evolution, (-1.0002, FCC))
    assert evolution.novelty.since == 1
    _told(evolution, (-1.02, FCC))
    assert evolution.novelty.since == 3
    _told(evolution, (-0.9, BCC))
    assert evolution.novelty.since == 4
    # a parent has to be within the energy window
    _told(evolution, (-0.5, _sheared(9)))
    assert evolution.novelty.since == 4


def test_many_small_steps_of_the_best_are_news_when_they_add_up() -> None:
    evolution = _told(_evolution(patience=30), (-1.0, FCC))
    news = []
    for step in range(1, 8):
        _told(evolution, (-1.0 - 0.0004 * step, FCC))
        news.append(evolution.novelty.since)
    assert news == [1, 1, 4, 4, 4, 7, 7]


def test_only_the_leading_count() -> None:
    evolution = _evolution(patience=3)
    for number in range(LEADING):
        _told(evolution, (-1.0 + 0.01 * number, _sheared(number)))
    since = evolution.novelty.since
    assert len(evolution.archive) == LEADING
    assert since == evolution.generation
    _told(evolution, (-0.71, _sheared(LEADING)))
    assert evolution.novelty.since == since
    _told(evolution, (-0.905, _sheared(LEADING + 2)))
    assert evolution.novelty.since == evolution.generation


def test_it_waits_for_all_seeds() -> None:
    seeds = tuple(bulk("Cu", "fcc", a=3.6 + 0.001 * i) for i in range(12))
    evolution = _evolution(2, seeds)
    for _ in range(6):
        assert not evolution.finished
        _told(evolution, *[(-1.0, FCC)] * 2)
    assert not evolution.seeds
    ends = []
    while not evolution.finished:
        _told(evolution)
        ends.append(evolution.generation)
    assert ends == [6 + 1][: len(ends)]


def test_migrants_are_news_but_wake_nobody() -> None:
    here, there = _told(_evolution(), (-1.0, FCC)), _told(_evolution(), (-2.0, BCC))
    _told(_told(here))
    exchange(here, [there.best(1)])
    assert here.novelty.since == 3
    assert here.migrants == 1
    exchange(here, [there.best(1)])  # known by now
    while not here.finished:
        _told(here)
    assert here.generation == 6
    exchange(here, [_told(there, (-3.0, _sheared(5))).best(1)])
    assert here.finished
    assert here.migrants == 2


def test_structures_and_generations_are_reasons_too() -> None:
    few = _evolution(max_structures=2)
    assert _told(few, (-1.0, FCC)).ended == "structures"
    few.options.generations = 1
    assert few.ended == "generations"
    assert summarise([few, _evolution()], 3).ended == ["generations", "not finished"]


def test_it_survives_storage(tmp_path: Path) -> None:
    evolution = _told(_told(_evolution(), (-1.0, FCC)))
    stored = json.loads(json.dumps(evolution.as_dict()))
    again = Evolution.from_dict(stored)
    assert again.novelty.since == 1
    assert again.novelty.best == evolution.novelty.best
    del stored["novelty"], stored["options"]["patience"]
    assert not Evolution.from_dict(stored).finished


def test_a_search_for_rock_salt_ends_by_itself(rock_salt: PairEnergy) -> None:
    def begin() -> Evolution:
        options = EvolutionOptions(
            formula_units=(1,), population=8, generations=300, patience=6, restart_after=4
        )
        return Evolution({"Na": 1, "Cl": 1}, options, 3)

    seen: list[SearchFigures] = []
    ended = run_generations(begin(), Relaxer(), rock_salt, 300, progress=seen.append, n_best=5)
    assert ended.ended == "nothing new for 6 generations"
    assert ended.generation == ended.novelty.since + 6 < 300
    assert ended.best(1)[0].space_group in (221, 225)
    assert [f.ended for f in seen if not f.went_on][-2:] == [None, ended.ended]
    # it stays ended
    again = run_generations(ended, Relaxer(), rock_salt, 300, n_best=5)
    assert again.generation == ended.generation
    patient = begin()
    patient.options.patience = None
    further = run_generations(patient, Relaxer(), rock_salt, ended.generation + 6)
    assert further.best_energy == pytest.approx(ended.best_energy, abs=0.002)
