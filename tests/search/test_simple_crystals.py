"""Simple crystals: what symmetry leaves free, and which come first."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from search.create.simple_crystals import BOND, free_parameters, simple_crystals
from search.symmetry import find_space_group
from search.symmetry_operations import Symmetry


def graphite() -> Atoms:
    """AA stacked: a and c."""
    return Atoms(
        "C2",
        scaled_positions=[[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0]],
        cell=[[2.46, 0, 0], [-1.23, 2.1304, 0], [0, 0, 3.4]],
        pbc=True,
    )


def pyrite() -> Atoms:
    """The edge of the cube, and x of sulfur."""
    from ase.spacegroup import crystal

    return crystal(
        ("Fe", "S"),
        [(0, 0, 0), (0.385, 0.385, 0.385)],
        spacegroup=205,
        cellpar=[5.4] * 3 + [90] * 3,
    )


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (bulk("Si", "diamond", 5.43), 1),
        (bulk("Cu", "fcc", 3.6), 1),
        (bulk("NaCl", "rocksalt", 5.6), 1),
        (bulk("Mg", "hcp", 3.2, 5.2), 2),
        (bulk("ZnO", "wurtzite", 3.25, 5.2), 3),  # a, c, and u: the origin along c is free
        (graphite(), 2),
        (pyrite(), 2),
        # triclinic, and one atom against the other
        (Atoms("CuAu", [[0, 0, 0], [1.1, 1.7, 2.3]], cell=[[3, 0, 0], [0.4, 4, 0], [0.3, 0.7, 5]],
               pbc=True), 9),
    ],
)  # fmt: skip
def test_free_parameters_are_those_of_crystallography(atoms: Atoms, expected: int) -> None:
    assert free_parameters(Symmetry.of(atoms, 0.01)) == expected


@pytest.mark.parametrize("seed", range(3))
def test_open_and_dense_lattices_come_first(seed: int) -> None:
    made = simple_crystals([{"Si": n} for n in (1, 2)], 12, np.random.default_rng(seed))
    groups = [find_space_group(atoms).symbol for atoms in made]
    assert {"Pm-3m", "Fm-3m", "Im-3m", "Fd-3m"} <= set(groups[:8])
    assert {"P6_3/mmc", "P6/mmm", "I4_1/amd"} <= set(groups)
    parameters = [atoms.info["free_parameters"] for atoms in made]
    assert parameters == sorted(parameters)
    diamond = made[groups.index("Fd-3m")]
    assert diamond.get_all_distances(mic=True)[0, 1] == pytest.approx(BOND * 2 * 1.11)


def test_blocks_are_made_in_simple_structures_too() -> None:
    made = simple_crystals([{"Mg": 1, "O": 1}], 10, np.random.default_rng(0))
    groups = [find_space_group(atoms).symbol for atoms in made]
    assert {"Fm-3m", "Pm-3m", "F-43m"} <= set(groups)  # rock salt, CsCl, zinc blende
