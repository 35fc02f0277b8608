"""Choosing space groups: as users write them, what fits into them, and what comes out of them."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from pyxtal.symmetry import Group

from search.create.random_crystals import GenerationError, RandomSymmetric
from search.create.registry import OPERATORS
from search.create.space_groups import SpaceGroupError, fits, read_space_groups, usable_units
from search.create.symmetric_operators import _chosen_symmetry
from search.create.wyckoff import ORDERS, space_group
from search.geometry import DistanceLimits
from search.options import EvolutionOptions
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from search.state.evolution import Evolution
from search.symmetry import TIGHT_TOLERANCE, find_space_group
from search.symmetry_operations import Symmetry
from tests.search.pair_energy import PairEnergy

LIMITS = DistanceLimits.from_radii(("Mg", "Si", "O"), 0.8)
NUMBERS = tuple(range(1, 231))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-230", NUMBERS), ("2,14,62", (2, 14, 62)), (" 62 , 2, 14 - 15,62", (2, 14, 15, 62)),
        ("Pnma", (62,)), ("Pbnm", (62,)), ("P21/c,P2_1/c,P 1 21/c 1", (14,)), ("P-1", (2,)),
        ("Fm-3m,R-3m,194", (166, 194, 225)), ("230", (230,)),
    ],
)  # fmt: skip
def test_numbers_ranges_and_symbols(text: str, numbers: tuple[int, ...]) -> None:
    assert read_space_groups(text) == numbers
    assert set(EvolutionOptions(space_groups=text).groups or NUMBERS) == set(numbers)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "from 1 to 230, not 0"), ("231", "not 231"), ("1-231", "not 231"),
        ("Pnmaa", "no space group 'Pnmaa'"), ("62-14", "62-14 ends before it begins"),
        ("", "no space group ''"), ("2,,3", "no space group ''"), ("2;3", "no space group '2;3'"),
        ("-5", "no space group '-5'"), ("1" * 50, "no space group '1"), ("pnma", "'pnma'"),
    ],
)  # fmt: skip
def test_what_is_none_gets_a_sentence(text: str, said: str) -> None:
    with pytest.raises(SpaceGroupError, match=said) as raised:
        read_space_groups(text)
    assert len(str(raised.value)) < 160
    with pytest.raises(ValueError, match=said):
        EvolutionOptions(space_groups=text)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 230), st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_what_fits_agrees_with_pyxtal(number: int, counts: list[int]) -> None:
    centrings = round(1 / np.linalg.det(space_group(number).primitive))
    theirs, _ = Group(number).check_compatible([n * centrings for n in counts])
    assert fits(number, {str(k): n for k, n in enumerate(counts)}) == bool(theirs)


def test_formula_units_that_fit() -> None:
    forsterite = {"Mg": 2, "Si": 1, "O": 4}
    assert usable_units((62,), forsterite, (1, 2, 4)) == (4,)
    assert usable_units((2, 62), forsterite, (1, 2, 4)) == (1, 2, 4)
    with pytest.raises(SpaceGroupError, match="can hold Mg2SiO4 with 1, 2 formula units"):
        usable_units((62,), forsterite, (1, 2))


def contains(atoms: Atoms, number: int) -> bool:
    """Whether a crystal has at least the operations of a space group, in some setting."""
    found = Symmetry.of(atoms, TIGHT_TOLERANCE)
    wanted = Counter(
        (round(np.linalg.det(r)), round(np.trace(r)))
        for r in space_group(number).sites[0].rotations
    )
    present = Counter((round(np.linalg.det(r)), round(np.trace(r))) for r in found.rotations)
    return len(found.rotations) % ORDERS[number - 1] == 0 and not wanted - present


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 230), st.integers(0, 10**6))
def test_a_random_crystal_has_the_symmetry_asked_for(number: int, seed: int) -> None:
    """At least: chance, or special positions, may give it more."""
    counts = next(
        ({"Mg": 2 * z, "Si": z, "O": 4 * z} for z in (1, 2, 4)
         if fits(number, {"Mg": 2 * z, "Si": z, "O": 4 * z})),
        {"Mg": int(ORDERS[number - 1])},
    )  # fmt: skip
    volume = 25.0 * sum(counts.values())
    generator = RandomSymmetric(LIMITS, (number,), max_attempts=200)
    try:
        atoms = generator.generate(counts, volume, np.random.default_rng(seed))
    except GenerationError:
        return  # no room, which is another matter
    assert atoms.info["space_group"] == number
    assert contains(atoms, number)
    assert ORDERS[find_space_group(atoms, TIGHT_TOLERANCE).number - 1] % ORDERS[number - 1] == 0


def test_symmetry_that_is_missing_is_seen() -> None:
    rng = np.random.default_rng(3)
    low = RandomSymmetric(LIMITS, (2,)).generate({"Mg": 4, "Si": 2, "O": 8}, 350.0, rng)
    assert contains(low, 2)
    assert not contains(low, 14)


def test_a_search_makes_its_structures_in_the_groups_asked_for(rock_salt: PairEnergy) -> None:
    options = EvolutionOptions(
        formula_units=(1, 2, 4), population=12, generations=3, space_groups="14,62,136"
    )
    evolution = Evolution({"Na": 1, "Cl": 1}, options, seed=1)
    assert json.loads(json.dumps(evolution.as_dict()))["options"]["space_groups"] == "14,62,136"
    weights = np.array(evolution.adaptation.group_weights())
    assert set(np.flatnonzero(weights) + 1) == {14, 62, 136}
    made = 0
    for _ in range(3):
        for candidate in evolution.ask():
            if candidate.operator == "random":
                assert candidate.space_group in (14, 62, 136)
                made += 1
            elif candidate.operator == "topological":
                assert find_space_group(candidate.atoms, TIGHT_TOLERANCE).number in (14, 62, 136)
        run_generations(evolution, Relaxer(), rock_salt, evolution.generation + 1)
    assert made > 10


def test_a_search_in_groups_that_hold_nothing_is_refused() -> None:
    options = EvolutionOptions(formula_units=(1,), space_groups="Pnma")
    with pytest.raises(ValueError, match="none of the space groups asked for can hold NaCl"):
        Evolution({"Na": 1, "Cl": 1}, options)


def test_a_state_from_before_there_was_a_choice_goes_on() -> None:
    evolution = Evolution({"Na": 1, "Cl": 1}, EvolutionOptions(population=4), seed=1)
    asked = [c.atoms.get_volume() for c in evolution.ask()]
    state = json.loads(json.dumps(evolution.as_dict()))
    del state["options"]["space_groups"], state["prototypes"]
    again = Evolution.from_dict(state)
    assert again.options.groups is None
    assert [c.atoms.get_volume() for c in again.ask()] == pytest.approx(asked)


def test_orbit_operators_work_in_groups_asked_for() -> None:
    """In a subgroup only if that may be: else in the parent's own."""
    chosen: Counter[int | None] = Counter()
    free: Counter[int | None] = Counter()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        parent = RandomSymmetric(LIMITS, (62,)).generate({"Mg": 8, "Si": 4, "O": 16}, 450.0, rng)
        cell = np.array(parent.cell)
        chosen[
            _chosen_symmetry(parent, np.random.default_rng(seed), (14, 62)).space_group(cell)
        ] += 1
        free[_chosen_symmetry(parent, np.random.default_rng(seed), None).space_group(cell)] += 1
    assert set(chosen) == {14, 62}
    assert set(free) - {14, 62}
    takers = {name for name, operator in OPERATORS.items() if operator.chooses_group}
    assert takers == {"orbit mutation", "orbit permutation"}
