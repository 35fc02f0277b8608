"""What is better: energy per atom, or whatever one further class says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from nnp.storage.documents import UnknownClassError
from search.options import EvolutionOptions
from search.relax.relaxed import Relaxed
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from search.run.islands import summarise
from search.state.evolution import Evolution
from search.state.fitness import FITNESSES, Fitness, better_first
from tests.search.pair_energy import PairEnergy

SALT = {"Na": 1, "Cl": 1}


@dataclass(frozen=True)
class AboveElements(Fitness):
    """A distance to a hull: from the line between the energies (eV/atom) of two elements."""

    sodium: float = 0.0
    chlorine: float = 0.0

    def of(self, relaxed: Relaxed) -> float:
        """Energy per atom above that of the elements."""
        return super().of(relaxed) - self._elements(relaxed.atoms)

    def energy_at(self, fitness: float, atoms: Atoms) -> float:
        """Undo it."""
        return fitness + self._elements(atoms)

    def _elements(self, atoms: Atoms) -> float:
        number = Counter(atoms.symbols)
        return (number["Na"] * self.sodium + number["Cl"] * self.chlorine) / len(atoms)


@dataclass(frozen=True)
class Cautious(Fitness):
    """An uncertainty that counts against a structure: here the denser, the less is known."""

    per_density: float = 100.0

    def of(self, relaxed: Relaxed) -> float:
        """Energy per atom and twice its uncertainty."""
        per_atom = relaxed.atoms.get_volume() / len(relaxed.atoms)
        return super().of(relaxed) + 2.0 * self.per_density / per_atom


def _evolution(fitness: Fitness | None, seed: int = 3) -> Evolution:
    options = EvolutionOptions(formula_units=(2, 4), population=12, generations=5)
    return Evolution(SALT, options, seed, fitness=fitness)


def _energies(evolution: Evolution) -> list[float]:
    return [individual.energy for individual in evolution.individuals]


def test_energy_per_atom_is_the_fitness_unless_told_otherwise() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    assert Fitness().of(Relaxed(atoms, -6.0, "converged")) == -3.0
    assert Fitness().energy_at(-3.0, atoms) == -3.0


def test_another_zero_of_energy_changes_the_fitness_and_nothing_else(
    rock_salt: PairEnergy,
) -> None:
    """Of one composition, the distance to the elements ranks as energies do: the same search."""
    shifted = AboveElements(sodium=-1.0, chlorine=-2.0)
    plain, above = (
        run_generations(_evolution(fitness), Relaxer(), rock_salt, 5) for fitness in (None, shifted)
    )
    np.testing.assert_allclose(_energies(plain), _energies(above), rtol=0, atol=1e-9)
    assert above.best_fitness == pytest.approx(plain.best_energy + 1.5)
    assert above.best_energy == pytest.approx(plain.best_energy)
    assert [new.id for new in above.best_history] == [new.id for new in plain.best_history]


def test_the_fittest_lead_where_fitness_and_energy_disagree(rock_salt: PairEnergy) -> None:
    fitness = Cautious()
    evolution = run_generations(_evolution(fitness), Relaxer(), rock_salt, 5)
    members = evolution.archive.members
    assert [m.fitness for m in members] == sorted(m.fitness for m in members)
    assert evolution.best_energy > min(m.energy for m in members) + 0.1
    found = [i for i in evolution.individuals if np.isfinite(i.fitness)]
    assert evolution.best_fitness == min(i.fitness for i in found)
    improvements = [new.fitness for new in evolution.best_history]
    assert improvements == sorted(improvements, reverse=True)
    summary = summarise([_evolution(fitness), evolution], 3)
    assert summary.leader is evolution
    assert [member.id for member in summary.best] == [member.id for member in members[:3]]


def test_the_state_keeps_its_fitness(
    rock_salt: PairEnergy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FITNESSES, "cautious", f"{__name__}:Cautious")
    evolution = run_generations(_evolution(Cautious(50.0)), Relaxer(), rock_salt, 2)
    again = Evolution.from_dict(json.loads(json.dumps(evolution.as_dict())))
    assert again.fitness == Cautious(50.0)
    assert again.best_history == evolution.best_history
    for state in (evolution, again):
        run_generations(state, Relaxer(), rock_salt, 3)
    np.testing.assert_array_equal(_energies(again), _energies(evolution))


def test_windows_of_the_relaxer_count_from_the_energy_of_the_same_composition(
    rock_salt: PairEnergy,
) -> None:
    """Given one level for each structure, each is held against its own."""
    shaken = bulk("NaCl", "rocksalt", a=5.6) * (2, 2, 1)
    shaken.rattle(0.2, seed=1)
    relaxer = Relaxer(check_interval=2, energy_window=0.5)
    kept, given_up = relaxer.relax([shaken, shaken], rock_salt, best=[0.0, -50.0])
    assert kept.converged
    assert given_up.status == "aborted: outside the energy window"


def test_better_first_puts_what_has_no_fitness_last_and_keeps_the_order_of_equals() -> None:
    items = [("none", None), ("b", 1.0), ("nan", float("nan")), ("c", 1.0), ("a", -1.0)]
    ordered = better_first(items, lambda item: item[1])
    assert [name for name, _ in ordered] == ["a", "b", "c", "none", "nan"]


def test_a_fitness_without_a_row_is_not_stored() -> None:
    with pytest.raises(UnknownClassError, match=r"give it a row in FITNESSES .*:Cautious"):
        _evolution(Cautious()).as_dict()
