"""One population over the compositions of a system."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from search.composition_parsing import parse_space
from search.composition_space import CompositionSpace, formula_of
from search.create.operators import NoChildError
from search.create.prototypes import PrototypeError
from search.create.registry import OPERATORS
from search.geometry import DistanceLimits
from search.options import EvolutionOptions
from search.relax.relaxer import Relaxer
from search.run.driver import load, run_generations, save
from search.run.islands import exchange, merge_archives, set_up_islands, summarise
from search.state.evolution import Evolution
from search.state.population import PER_COMPOUND
from tests.search.pair_energy import lennard_jones_mixture

CHANGING = [name for name, row in OPERATORS.items() if row.changes_composition]


def _space(atoms_max: int = 6) -> CompositionSpace:
    return parse_space("Ar-Kr", atoms_max=atoms_max)


def _options(generations: int = 4, population: int = 12, **more: object) -> EvolutionOptions:
    return EvolutionOptions(generations=generations, population=population, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def searched() -> Evolution:
    """A short search."""
    evolution = Evolution(_space(), _options(5, 16), seed=4)
    return run_generations(evolution, Relaxer(), lennard_jones_mixture(), 5)


def test_the_hull_is_at_zero_and_all_else_above(searched: Evolution) -> None:
    members = searched.archive.members
    assert [m.fitness for m in members] == sorted(m.fitness for m in members)
    on_hull = [m for m in members if m.fitness == 0.0]
    assert len(on_hull) >= 3
    assert min(m.fitness for m in members) == 0.0
    assert searched.best_energy < -0.05  # unlike atoms attract each other more
    # the table of all individuals knows what the archive knows
    for one in members:
        assert searched.individuals[one.id].fitness == one.fitness
    assert len({new.id for new in searched.best_history}) == len(searched.best_history)
    assert {m.id for m in on_hull} <= {new.id for new in searched.best_history}


def test_the_first_structures_are_spread_over_the_system() -> None:
    evolution = Evolution(parse_space("Mg-Si-O", atoms_max=8), _options(population=24), seed=1)
    cells = [Counter(candidate.atoms.symbols) for candidate in evolution.ask()]
    assert all(evolution.composition.has(counts) for counts in cells)  # type: ignore[union-attr]
    elements = Counter(next(iter(counts)) for counts in cells if len(counts) == 1)
    assert {elements[symbol] >= 2 for symbol in ("Mg", "Si", "O")} == {True}
    assert len({formula_of(dict(sorted(counts.items()))) for counts in cells}) >= 12
    assert len({sum(counts.values()) for counts in cells}) >= 3


def test_later_structures_stay_in_the_system_and_parents_differ(searched: Evolution) -> None:
    space = searched.composition
    assert isinstance(space, CompositionSpace)
    candidates = Evolution.from_dict(json.loads(json.dumps(searched.as_dict())))
    candidates.options.generations = 100
    assert all(space.has(Counter(c.atoms.symbols)) for c in candidates.ask())
    parents = Counter(member.compound for member in candidates._parents())
    assert len(parents) >= 4
    assert max(parents.values()) <= PER_COMPOUND
    made = Counter(individual.operator for individual in searched.individuals)
    assert sum(made[name] for name in CHANGING) >= 5
    crossed = [i for i in searched.individuals if i.operator == "composition heredity"]
    assert all(len(i.parents) == 2 for i in crossed)


def test_a_search_that_was_stopped_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    energy, path = lennard_jones_mixture(), tmp_path / "state.json"
    whole = Evolution(_space(), _options(5, 10, restart_after=2), seed=7)
    whole = run_generations(whole, Relaxer(), energy, 5)
    part = Evolution(_space(), _options(5, 10, restart_after=2), seed=7)
    run_generations(part, Relaxer(), energy, 2)
    part.ask()  # and it is stopped while these are being relaxed
    save(part, path)
    part = run_generations(load(path), Relaxer(), energy, 5)
    assert part.as_dict() == whole.as_dict()
    save(part, path)
    assert load(path).as_dict() == part.as_dict()


def test_islands_share_what_they_know_of_the_hull() -> None:
    energy = lennard_jones_mixture()
    islands = set_up_islands(_space(), _options(3, 8), seeds=[1, 2])
    for island in islands:
        run_generations(island, Relaxer(), energy, 2)
    best = [[replace(m, atoms=m.structure.copy()) for m in i.best(4)] for i in islands]
    for island, others in zip(islands, reversed(best), strict=True):
        exchange(island, [others])
        lowest = min(member.fitness for member in island.archive.members)
        assert lowest == 0.0
    merged = merge_archives(islands)
    assert [m.fitness for m in merged] == sorted(m.fitness for m in merged)
    assert merged[0].fitness == 0.0
    assert summarise(islands, 5).best[0].space_group is not None


def test_the_best_of_each_composition_stays_in_a_full_archive() -> None:
    evolution = Evolution(_space(4), _options(6, 12, archive_size=12), seed=2)
    evolution = run_generations(evolution, Relaxer(), lennard_jones_mixture(), 6)
    assert len(evolution.archive) == 12
    kept = {member.compound for member in evolution.archive.members}
    assert len(kept) == len(_space(4).compositions())


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize("system", ["Mg-Si-O", "MgO-SiO2"])
def test_operators_stay_in_the_system_and_keep_distances(name: str, system: str) -> None:
    space = parse_space(system, atoms_max=14)
    limits = DistanceLimits.from_radii(space.elements)
    rng = np.random.default_rng(5)
    quartz_like = Atoms("SiO2SiO2", scaled_positions=rng.random((6, 3)), cell=[5, 5, 5], pbc=True)
    parents = [bulk("MgO", "rocksalt", a=4.2).repeat((2, 1, 1)), quartz_like]
    function, made = OPERATORS[name].function, 0
    for _ in range(10):
        chosen = parents if OPERATORS[name].parents == 2 else [parents[int(rng.integers(2))]]
        try:
            child = function(*chosen, limits, rng, space=space)
        except NoChildError:
            continue
        made += 1
        assert space.has(Counter(child.symbols))
        assert not limits.violated(child)
    assert made >= 3 or (system, name) == ("MgO-SiO2", "transmutation")


def test_volumes_of_new_structures_follow_those_of_their_composition(searched: Evolution) -> None:
    for member in searched.archive.members[:5]:
        counts = Counter(member.structure.symbols)
        volume = searched.adaptation.volume_per_atom_of(counts)
        assert volume == pytest.approx(member.volume, rel=0.25)


def test_prototypes_of_a_system_are_refused_and_seeds_are_relaxed_first() -> None:
    with pytest.raises(PrototypeError, match="not known of a whole system"):
        Evolution(_space(), _options(prototypes="aflow"))
    seeds = [bulk("Ar", "fcc", a=5.3)]
    assert Evolution(_space(), _options(), seeds=seeds).ask()[0].operator == "seed"
    with pytest.raises(ValueError, match="of another composition"):
        Evolution(_space(), _options(), seeds=[bulk("Cu", "fcc", a=3.6)])
