"""States of a search by what has changed since the one before."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from search.state.changes import StateChanges
from search.state.evolution import Evolution
from tests.search.pair_energy import rock_salt

GENERATIONS = 7


def plain(document: Any) -> Any:
    return json.loads(json.dumps(document))


@pytest.fixture(scope="module")
def states() -> list[dict[str, Any]]:
    """States after each generation of a search that begins a new lineage on the way."""
    options = EvolutionOptions(
        formula_units=(2,), population=6, generations=GENERATIONS, restart_after=2
    )
    evolution = Evolution({"Na": 1, "Cl": 1}, options, seed=4)
    relaxer = Relaxer(RelaxationLimits(max_steps=30))
    found = [plain(evolution.as_dict())]
    for generation in range(1, GENERATIONS + 1):
        evolution = run_generations(evolution, relaxer, rock_salt(), generation, n_best=5)
        found.append(plain(evolution.as_dict()))
    return found


def test_the_later_state_comes_back_to_the_last_bit(states: list[dict[str, Any]]) -> None:
    assert states[-1]["lineages"]["restarts"]  # else half of the code is not tried
    for before, after in [*pairwise(states), (states[1], states[-1])]:
        kept = plain(before)
        changes = StateChanges.from_dict(plain(StateChanges.between(before, after).as_dict()))
        assert changes.applied_to(before) == after
        assert before == kept  # nobody has written in it


def test_a_chain_of_changes_leads_to_the_same_search(states: list[dict[str, Any]]) -> None:
    state = states[0]
    for before, after in pairwise(states):
        state = StateChanges.between(before, after).applied_to(state)
    one, other = Evolution.from_dict(plain(state)), Evolution.from_dict(plain(states[-1]))
    one.options.generations = other.options.generations = GENERATIONS + 1
    asked = [[c.atoms.positions for c in evolution.ask()] for evolution in (one, other)]
    for position, same in zip(*asked, strict=True):
        assert np.array_equal(position, same)


def test_changes_are_smaller_than_the_state(states: list[dict[str, Any]]) -> None:
    before, after = states[-2], states[-1]
    changes = json.dumps(StateChanges.between(before, after).as_dict())
    assert len(changes) < 0.7 * len(json.dumps(after))
    same = StateChanges.between(after, after)
    assert not same.changed
