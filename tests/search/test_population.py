from __future__ import annotations

from typing import Any

import pytest
from ase.build import bulk

from search.options import NicheOptions
from search.state.archive import Archive
from search.state.individual import Individual
from search.state.population import select


def _archive() -> Archive:
    """Five variants of fcc lowest, then three other structures of growing energy."""
    archive = Archive(("Cu",), 1e-6, 1e-6, 100)
    structures = [bulk("Cu", "fcc", a=3.6 + 0.004 * i) for i in range(5)]
    structures += [bulk("Cu", "bcc", a=2.87), bulk("Cu", "sc", a=2.4), bulk("Cu", "diamond", a=5.4)]
    for i, atoms in enumerate(structures):
        energy = -1.0 + 0.01 * i
        archive.add(Individual(i, 0, "random", (), 1, energy, energy, 10.0, "converged", atoms))
    assert len(archive) == 8
    return archive


def _ids(
    archive: Archive,
    antiseeds: dict[int, float] | None = None,
    size: int = 4,
    window: float = 1.0,
    **options: Any,
) -> list[int]:
    chosen = select(archive, antiseeds or {}, size, window, NicheOptions(**options))
    return [individual.id for individual in chosen]


def test_one_basin_does_not_fill_the_population() -> None:
    assert _ids(_archive(), per_niche=8) == [0, 1, 2, 3]
    assert _ids(_archive(), per_niche=2) == [0, 1, 5, 6]
    assert _ids(_archive(), per_niche=1) == [0, 5, 6, 7]


def test_window_holds() -> None:
    assert _ids(_archive(), per_niche=1, window=0.055) == [0, 5]


def test_antiseeds_repel_what_is_near_them_and_nothing_else() -> None:
    archive = _archive()
    plain = _ids(archive, per_niche=1)
    repelled = _ids(archive, {0: 20.0}, per_niche=1)
    assert plain[0] == 0
    assert repelled[0] == 5
    assert repelled[-1] in range(5)


def test_antiseeds_can_be_turned_off() -> None:
    archive = _archive()
    options = NicheOptions(antiseeds=False, per_niche=1)
    assert [i.id for i in select(archive, {0: 20.0}, 4, 1.0, options)] == [0, 5, 6, 7]


def test_height_follows_the_spread_of_energies() -> None:
    """The same antiseed that reorders close energies leaves a clear winner in front."""
    archive = _archive()
    archive.fitness[5:] += 5.0
    archive.fitness[:5] -= 5.0
    lowest = select(archive, {0: 0.5}, 3, 100.0, NicheOptions(per_niche=1))
    assert lowest[0].id < 5


def test_antiseeds_of_forgotten_structures_do_nothing() -> None:
    assert _ids(_archive(), {99: 50.0}, per_niche=1) == [0, 5, 6, 7]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_size(size: int) -> None:
    assert len(_ids(_archive(), size=size, per_niche=8)) == size
