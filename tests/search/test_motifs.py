"""Motifs of polytypes, of structures of one composition that differ, and of disturbed ones."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

import search.state.motifs
from search.state.motifs import find_motif, likeness, number_motifs, spread_over_motifs

#: Ramsdell symbols and stacking.
POLYTYPES = {"2H": "AB", "3C": "ABC", "4H": "ABCB", "6H": "ABCACB"}


def polytype(stacking: str, elements: tuple[str, str] = ("Zn", "S"), a: float = 3.82) -> Atoms:
    """Tetrahedral layers on each other."""
    shifts = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    n = len(stacking)
    places = [
        (*shifts[layer], (number + height) / n)
        for number, layer in enumerate(stacking)
        for height in (0.0, 0.75)
    ]
    height = a * np.sqrt(2 / 3) * n
    return Atoms(
        n * list(elements), scaled_positions=places, cell=[a, a, height, 90, 90, 120], pbc=True
    )


def forsterite() -> Atoms:
    """Olivine, in Pnma."""
    sites = [
        (0, 0, 0), (0.2774, 0.25, 0.9915), (0.0940, 0.25, 0.4262), (0.0913, 0.25, 0.7657),
        (0.4474, 0.25, 0.2215), (0.1628, 0.0331, 0.2777),
    ]  # fmt: skip
    elements = ["Mg", "Mg", "Si", "O", "O", "O"]
    return crystal(elements, sites, spacegroup=62, cellpar=[10.195, 5.981, 4.754, 90, 90, 90])


def ringwoodite() -> Atoms:
    """Spinel."""
    return crystal(
        ["Mg", "Si", "O"], [(0.5, 0.5, 0.5), (0.125,) * 3, (0.2441,) * 3], spacegroup=227,
        setting=2, cellpar=[8.065] * 3 + [90] * 3,
    )  # fmt: skip


def wadsleyite() -> Atoms:
    """With pairs of tetrahedra."""
    sites = [
        (0, 0, 0), (0, 0.25, 0.970), (0.25, 0.127, 0.25), (0, 0.120, 0.616),
        (0, 0.25, 0.219), (0, 0.25, 0.717), (0, 0.990, 0.256), (0.261, 0.123, 0.993),
    ]  # fmt: skip
    elements = ["Mg", "Mg", "Mg", "Si", "O", "O", "O", "O"]
    return crystal(elements, sites, spacegroup=74, cellpar=[5.698, 11.438, 8.257, 90, 90, 90])


def quartz() -> Atoms:
    """The form of low temperatures."""
    sites = [(0.4697, 0, 2 / 3), (0.4135, 0.2669, 0.1191 + 2 / 3)]
    return crystal(
        ["Si", "O"], sites, spacegroup=154, cellpar=[4.9134, 4.9134, 5.4052, 90, 90, 120]
    )


def high_quartz() -> Atoms:
    """The form above 573 °C."""
    sites = [(0.5, 0, 0), (0.2078, 0.4156, 0.5)]
    return crystal(["Si", "O"], sites, spacegroup=180, cellpar=[4.9965, 4.9965, 5.457, 90, 90, 120])


def stishovite() -> Atoms:
    return crystal(
        ["Si", "O"],
        [(0, 0, 0), (0.3061, 0.3061, 0)],
        spacegroup=136,
        cellpar=[4.177, 4.177, 2.665] + 3 * [90],
    )


def anatase() -> Atoms:
    return crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0, 0, 0.2081)],
        spacegroup=141,
        cellpar=[3.785, 3.785, 9.514] + 3 * [90],
    )


def rutile() -> Atoms:
    return crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0.3048, 0.3048, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959] + 3 * [90],
    )


def same(one: Atoms, other: Atoms) -> bool:
    return number_motifs([one, other]) == [1, 1]


@pytest.mark.parametrize(("elements", "a"), [(("Zn", "S"), 3.82), (("Si", "C"), 3.08)])
def test_polytypes_are_one_motif(elements: tuple[str, str], a: float) -> None:
    stacked = [polytype(stacking, elements, a) for stacking in POLYTYPES.values()]
    assert number_motifs(stacked) == [1, 1, 1, 1]


def test_layers_in_other_stackings_are_one_motif() -> None:
    """CdI2 and CdCl2, whose layers are bound by van der Waals forces only."""
    hexagonal = crystal(
        ["Cd", "I"], [(0, 0, 0), (1 / 3, 2 / 3, 0.249)], spacegroup=164,
        cellpar=[4.24, 4.24, 6.84, 90, 90, 120],
    )  # fmt: skip
    rhombohedral = crystal(
        ["Cd", "I"],
        [(0, 0, 0), (0, 0, 0.2497)],
        spacegroup=166,
        cellpar=[4.24, 4.24, 20.5, 90, 90, 120],
    )
    assert same(hexagonal, rhombohedral)
    motif = find_motif(hexagonal)
    assert motif is not None
    assert motif.dimensions == 2


def test_layers_and_frameworks_of_the_same_tetrahedra_are_other_motifs() -> None:
    """Red HgI2, and HgI2 as in cristobalite: both of tetrahedra that share all corners."""
    layers = crystal(
        ["Hg", "I"], [(0, 0, 0), (0, 0.5, 0.1393)], spacegroup=137,
        cellpar=[4.37, 4.37, 12.44, 90, 90, 90],
    )  # fmt: skip
    framework = crystal(
        ["Hg", "I"],
        [(0, 0, 0), (0.125, 0.125, 0.125)],
        spacegroup=227,
        cellpar=3 * [10.0] + 3 * [90],
    )
    motifs = [find_motif(layers), find_motif(framework)]
    assert [motif.dimensions for motif in motifs if motif] == [2, 3]
    assert {kind.neighbors for m in motifs if m for kind in m.surroundings} == {
        (("I", 4),), (("Hg", 2),)
    }  # fmt: skip
    assert not same(layers, framework)


def test_close_packings_are_one_motif_and_bcc_is_another() -> None:
    packings = [bulk("Cu", "fcc", a=3.6), bulk("Cu", "hcp", a=2.55, c=4.16), bulk("Cu", "bcc", 2.9)]
    assert number_motifs(packings) == [1, 1, 2]


def test_laves_phases_are_one_motif() -> None:
    """MgZn2 and MgCu2 types: other stackings of the same coordinations."""
    hexagonal = crystal(
        ["Mg", "Cu", "Cu"], [(1 / 3, 2 / 3, 0.0629), (0, 0, 0), (0.8305, 0.661, 0.25)],
        spacegroup=194, cellpar=[5.0, 5.0, 8.16, 90, 90, 120],
    )  # fmt: skip
    cubic = crystal(
        ["Mg", "Cu"], [(0.125,) * 3, (0.5,) * 3], spacegroup=227, setting=2,
        cellpar=3 * [7.05] + 3 * [90],
    )  # fmt: skip
    assert hexagonal.get_chemical_formula(empirical=True) == "Cu2Mg"
    assert cubic.get_chemical_formula(empirical=True) == "Cu2Mg"
    assert same(hexagonal, cubic)


def test_other_coordinations_are_other_motifs() -> None:
    arsenide = crystal(
        ["Zn", "S"],
        [(0, 0, 0), (1 / 3, 2 / 3, 0.25)],
        spacegroup=194,
        cellpar=[3.6, 3.6, 5.0, 90, 90, 120],
    )
    structures = [
        bulk("ZnS", "zincblende", a=5.4), bulk("ZnS", "rocksalt", a=5.2),
        bulk("ZnS", "cesiumchloride", a=3.2), arsenide,
    ]  # fmt: skip
    assert number_motifs(structures) == [1, 2, 3, 4]


def test_other_joints_of_the_same_polyhedra_are_other_motifs() -> None:
    assert number_motifs([forsterite(), wadsleyite(), ringwoodite()]) == [1, 2, 3]
    assert number_motifs([rutile(), anatase()]) == [1, 2]


def test_forsterite_is_made_of_octahedra_and_tetrahedra() -> None:
    found = find_motif(forsterite())
    assert found is not None
    assert found.dimensions == 3
    neighbors = {(kind.element, kind.neighbors) for kind in found.surroundings}
    assert neighbors == {
        ("Mg", (("O", 6),)), ("Si", (("O", 4),)), ("O", (("Mg", 3), ("Si", 1)))
    }  # fmt: skip
    (tetrahedra,) = (kind for kind in found.surroundings if kind.element == "Si")
    # each shares three edges and six corners with octahedra, and nothing with another tetrahedron
    assert tetrahedra.joints == ((("Mg", 1), 6), (("Mg", 2), 3))


def test_quartz_is_one_motif_below_and_above_its_transition() -> None:
    assert number_motifs([quartz(), high_quartz(), stishovite()]) == [1, 1, 2]


def test_cells_and_small_displacements_make_no_motifs() -> None:
    for atoms in (forsterite(), rutile(), polytype("ABCB")):
        large = atoms * (1, 1, 2)
        large.set_cell(1.02 * large.cell, scale_atoms=True)
        large.rattle(0.03, seed=1)
        assert same(atoms, large)


def test_a_gas_has_a_motif_of_its_own() -> None:
    lonely = Atoms("Ar", cell=[30, 30, 30], pbc=True)
    numbers = number_motifs([lonely, lonely, bulk("Ar", "fcc", a=5.3)])
    assert len(numbers) == 3


def test_likeness_is_of_the_element_that_differs_most() -> None:
    one, other = find_motif(rutile()), find_motif(anatase())
    assert one is not None
    assert other is not None
    assert likeness(one, one) == pytest.approx(1.0)
    assert likeness(one, other) == pytest.approx(0.0)


def test_choice_of_candidates_goes_round_the_motifs() -> None:
    blende, salt = bulk("ZnS", "zincblende", a=5.4), bulk("ZnS", "rocksalt", a=5.2)
    chloride = bulk("ZnS", "cesiumchloride", a=3.2)
    stacked = [polytype(stacking) for stacking in POLYTYPES.values()]
    structures = [chloride, *stacked, blende, salt, salt]
    energies = [0.9, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    # the three lowest, though of one motif; then the best of the others; then by energy
    assert spread_over_motifs(structures, energies, 3) == [1, 2, 3]
    assert spread_over_motifs(structures, energies, 4) == [1, 2, 3, 6]
    assert spread_over_motifs(structures, energies, 5) == [1, 2, 3, 6, 0]
    assert spread_over_motifs(structures, energies, 6) == [1, 2, 3, 6, 7, 0]
    assert spread_over_motifs(structures, energies, 7) == [1, 2, 3, 4, 6, 7, 0]
    assert spread_over_motifs(structures, energies, 20) == [1, 2, 3, 4, 5, 6, 7, 0]
    assert spread_over_motifs(structures, energies, 2) == [1, 2]
    assert spread_over_motifs([], [], 4) == []


def test_the_example_holds() -> None:
    assert doctest.testmod(search.state.motifs).failed == 0
