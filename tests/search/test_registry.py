"""An operator is one function and one row of the registry."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms

from search.create.registry import OPERATORS, Operator, Wanted
from search.geometry import DistanceLimits
from search.options import EvolutionOptions
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from search.state.evolution import Evolution
from tests.search.pair_energy import PairEnergy

SALT = {"Na": 1, "Cl": 1}


def squeezed(parent: Atoms, limits: DistanceLimits, rng: np.random.Generator) -> Atoms:
    """Shorten one lattice vector: an operator of one parent."""
    child = parent.copy()
    cell = child.cell.array.copy()
    cell[rng.integers(3)] *= 0.9
    child.set_cell(cell, scale_atoms=True)
    limits.push_apart(child)
    return child


def on_a_grid(wanted: Wanted, rng: np.random.Generator) -> Atoms:
    """Atoms on a cubic grid: an operator without parents."""
    symbols = [symbol for symbol, n in wanted.counts.items() for _ in range(n)]
    n = int(np.ceil(len(symbols) ** (1 / 3)))
    points = np.argwhere(np.ones((n, n, n)))[rng.permutation(n**3)[: len(symbols)]] / n
    cell = np.eye(3) * wanted.volume ** (1 / 3)
    return Atoms(symbols, scaled_positions=points, cell=cell, pbc=True)


def _search(energy: PairEnergy, seed: int = 1) -> Evolution:
    options = EvolutionOptions(formula_units=(2,), population=12, generations=4)
    return run_generations(Evolution(SALT, options, seed), Relaxer(), energy, 4)


def test_shares_at_the_start_are_those_of_the_rows() -> None:
    shares = EvolutionOptions().shares
    keeping = {name: row.share for name, row in OPERATORS.items() if not row.changes_composition}
    assert shares == keeping
    assert sum(keeping.values()) > 0.99
    assert EvolutionOptions().usable_shares(of_system=True).keys() == OPERATORS.keys() - {
        "prototype"
    }
    assert {row.parents for row in OPERATORS.values()} == {0, 1, 2}


@pytest.mark.parametrize(
    ("row", "parents"),
    [(Operator(squeezed, parents=1, share=0.5), 1), (Operator(on_a_grid, parents=0, share=0.5), 0)],
    ids=["of a parent", "from nothing"],
)
def test_a_new_row_is_used_by_the_search(
    row: Operator, parents: int, rock_salt: PairEnergy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anything else being told of it: in shares, options, books and states."""
    with pytest.raises(ValueError, match="unknown operators"):
        EvolutionOptions(shares={"random": 0.5, "mine": 0.5})
    monkeypatch.setitem(OPERATORS, "mine", row)
    assert EvolutionOptions(shares={"random": 0.5, "mine": 0.5}).shares["mine"] == 0.5
    evolution = _search(rock_salt)
    mine = [individual for individual in evolution.individuals if individual.operator == "mine"]
    assert len(mine) > 3
    assert all(len(individual.parents) == parents for individual in mine)
    assert (min(individual.generation for individual in mine) == 0) == (parents == 0)
    made = evolution.share_history.table()[:, 1, evolution.share_history.operators.index("mine")]
    assert made.sum() == len(mine)
    again = Evolution.from_dict(json.loads(json.dumps(evolution.as_dict())))
    assert "mine" in again.shares.current()


def test_an_operator_that_needs_an_option_waits_for_it(
    rock_salt: PairEnergy, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Operator(on_a_grid, parents=0, share=0.5, needs="volume_per_atom")
    monkeypatch.setitem(OPERATORS, "mine", row)
    evolution = _search(rock_salt)
    assert "mine" not in {individual.operator for individual in evolution.individuals}
    options = EvolutionOptions(formula_units=(2,), population=12, volume_per_atom=22.0)
    assert "mine" in {candidate.operator for candidate in Evolution(SALT, options).ask()}
