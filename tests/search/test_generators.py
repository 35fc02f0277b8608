from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import spglib
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from search.create import random_crystals
from search.create.random_crystals import GenerationError, RandomSymmetric, random_lattice
from search.create.wyckoff import SYSTEMS, choose_sites, space_group
from search.geometry import DistanceLimits
from search.symmetry import spglib_cell

COMPOSITIONS = [
    {"C": 4},
    {"Na": 2, "Cl": 2},
    {"Mg": 8, "Si": 4, "O": 16},
    {"In": 2, "Te": 4, "O": 10, "F": 2},
    {"Li": 1, "Mg": 1, "Al": 1, "Si": 1, "O": 5},
]


@pytest.mark.parametrize("counts", COMPOSITIONS, ids=lambda c: "".join(c))
def test_structures_have_what_was_asked_for(counts: dict[str, int]) -> None:
    """Composition, volume, distances, and at least the symmetry of the group drawn."""
    limits = DistanceLimits.from_radii(list(counts), 0.75)
    rng = np.random.default_rng(0)
    volume = 12.0 * sum(counts.values())
    for _ in range(8):
        atoms = RandomSymmetric(limits).generate(counts, volume, rng)
        symbols = list(atoms.symbols)
        assert {s: symbols.count(s) for s in counts} == counts
        assert atoms.get_volume() == pytest.approx(volume)
        assert not limits.violated(atoms)
        found = spglib.get_symmetry(spglib_cell(atoms), symprec=1e-4)
        assert found is not None
        group = space_group(atoms.info["space_group"])
        assert len(found["rotations"]) >= group.sites[0].multiplicity


@pytest.mark.parametrize("number", range(1, 231, 7))
def test_orbits_have_the_symmetry_of_their_group(number: int) -> None:
    """Atoms in general position, in the primitive cell, have exactly the group's symmetry."""
    group = space_group(number)
    rng = np.random.default_rng(number)
    lattice = random_lattice(SYSTEMS.index(group.system), rng) * 12.0
    fractions = np.concatenate([group.sites[0].orbit(rng.random(3)) for _ in range(2)])
    cell = group.primitive @ lattice
    primitive = fractions @ np.linalg.inv(group.primitive)
    kinds = np.repeat([1, 2], group.sites[0].multiplicity)
    atoms = Atoms(kinds, scaled_positions=primitive % 1.0, cell=cell, pbc=True)
    dataset = spglib.get_symmetry_dataset(spglib_cell(atoms), symprec=1e-5)
    assert dataset is not None
    # in groups with a polar axis two orbits may still be placed more symmetrically: never less
    assert len(dataset.rotations) >= group.sites[0].multiplicity
    assert dataset.number == number or len(dataset.rotations) > group.sites[0].multiplicity


def test_multiplicities_fill_the_primitive_cell() -> None:
    fluorite = space_group(225)
    assert [site.multiplicity for site in fluorite.sites[-4:]] == [6, 2, 1, 1]
    assert [site.free for site in fluorite.sites[-4:]] == [False, False, False, False]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 230), st.integers(0, 10**6))
def test_sites_add_up_and_special_points_are_taken_once(number: int, seed: int) -> None:
    counts = {"Mg": 4, "Al": 8, "O": 16}
    group = space_group(number)
    elements, chosen = choose_sites(
        group.tables.multiplicities,
        group.tables.free,
        np.array(list(counts.values())),
        np.random.default_rng(seed),
    )
    if not len(chosen):
        return
    for element, count in enumerate(counts.values()):
        assert group.tables.multiplicities[chosen[elements == element]].sum() == count
    fixed = [site for site in chosen if not group.sites[site].free]
    assert len(fixed) == len(set(fixed))


def test_same_seed_same_structure() -> None:
    generator = RandomSymmetric(DistanceLimits.from_radii(("Mg", "O")))
    one, other = (
        generator.generate({"Mg": 4, "O": 4}, 80.0, np.random.default_rng(5)) for _ in range(2)
    )
    np.testing.assert_array_equal(one.positions, other.positions)


def test_impossible_volume_is_an_error_and_not_a_hang() -> None:
    generator = RandomSymmetric(DistanceLimits({"Cu-Cu": 2.5}), max_attempts=200)
    with pytest.raises(GenerationError, match="too small"):
        generator.generate({"Cu": 8}, 8.0, np.random.default_rng(0))


def test_the_time_limit_does_not_count_what_compiling_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A first try that takes longer than the limit, and fails, is not the last one."""
    generator = RandomSymmetric(DistanceLimits.from_radii(("Mg", "O")), time_limit=1.0)
    generator.generate({"Mg": 2, "O": 2}, 40.0, np.random.default_rng(0))
    real, calls = random_crystals._crystal, []

    def compiled_at_first(*arguments: Any) -> Any:
        calls.append(time.thread_time())
        if len(calls) == 1:
            while time.thread_time() < calls[0] + 1.2:
                pass
            return False, None, None, None
        return real(*arguments)

    monkeypatch.setattr(random_crystals, "_crystal", compiled_at_first)
    atoms = generator.generate({"Mg": 2, "O": 2}, 40.0, np.random.default_rng(0))
    assert len(atoms) == 4
    assert len(calls) > 1
