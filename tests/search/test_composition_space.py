"""Chemical systems: what is one, and which cells it allows."""

from __future__ import annotations

import json

import pytest

from search.charge_balance import is_balanced
from search.composition_parsing import is_system, parse_ranges, parse_space
from search.composition_space import (
    CompositionSpace,
    CompositionSpaceError,
    formula_of,
    reduced_counts,
)


def formulas(space: CompositionSpace) -> list[str]:
    """All compositions of a system."""
    return [formula_of(counts) for counts in space.compositions()]


def test_elements_make_every_composition_and_blocks_whole_numbers_of_them() -> None:
    binary = parse_space("Mg-Si", atoms_max=3)
    assert formulas(binary) == ["Si", "MgSi2", "MgSi", "Mg2Si", "Mg"]
    assert len(binary.cells) == sum(n + 1 for n in (1, 2, 3))
    oxides = parse_space("MgO-SiO2", atoms_max=7)
    assert formulas(oxides) == ["SiO2", "MgSiO3", "Mg2SiO4", "MgO"]
    assert oxides.cells.sum(axis=1).max() == 7
    ternary = parse_space("Mg-Si-O", atoms_max=6)
    assert len(ternary.cells) == 83  # of 84 ways to have none to six atoms of three kinds, one none


def test_dashes_tell_a_system_from_a_formula() -> None:
    assert is_system("Mg-Si")
    assert is_system("MgO\N{EN DASH}SiO2")
    assert not is_system("Mg2SiO4")


def test_what_belongs_is_told_whatever_the_size_of_the_cell() -> None:
    space = parse_space("MgO-SiO2", atoms_max=7, ranges="SiO2=0.2:0.6")
    assert space.spans({"Mg": 6, "Si": 4, "O": 14})
    assert not space.has({"Mg": 6, "Si": 4, "O": 14})
    assert space.has({"Mg": 2, "Si": 1, "O": 4})
    assert not space.spans({"Mg": 1, "Si": 4, "O": 9})  # too much of SiO2
    assert not space.spans({"Mg": 1, "O": 2})  # no mixture of the blocks
    assert not space.spans({"Mg": 1, "Ca": 1})
    assert space.spans({"Mg": 1, "O": 1})  # a corner, whatever the ranges


def test_ranges_are_of_atoms_for_elements_and_of_blocks_for_blocks() -> None:
    by_block = parse_space("MgO-SiO2", atoms_max=12, ranges="SiO2=0.5:0.5")
    assert formulas(by_block) == ["SiO2", "MgSiO3", "MgO"]
    by_element = parse_space("MgO-SiO2", atoms_max=12, ranges="Mg=0.25:0.3")
    assert formulas(by_element) == ["SiO2", "Mg3Si2O7", "Mg2SiO4", "MgO"]
    assert parse_ranges("Mg=:0.5, Si = 0.1:") == (("Mg", 0.0, 0.5), ("Si", 0.1, 1.0))


@pytest.mark.parametrize(
    ("counts", "balanced"),
    [
        ({"Li": 1, "Al": 1, "Cl": 4}, True),
        ({"Fe": 3, "O": 4}, True),  # two states of iron at once
        ({"Mg": 2, "Si": 1}, True),
        ({"Na": 1, "Cl": 1, "O": 4}, True),
        ({"Al": 1, "Cl": 5}, False),
        ({"Li": 1, "Al": 1}, False),
        ({"Li": 3}, True),
    ],
)
def test_charges(counts: dict[str, int], balanced: bool) -> None:
    assert is_balanced(counts) is balanced


def test_charge_balance_leaves_ionic_compounds_and_the_corners() -> None:
    space = parse_space("Li-Al-Cl", atoms_max=8, charge_balance=True)
    assert {"Li", "Al", "Cl", "LiCl", "AlCl3", "LiAlCl4"} <= set(formulas(space))
    assert "LiAl" not in formulas(space)


def test_a_space_is_a_document() -> None:
    space = parse_space("MgO-SiO2", atoms_max=10, ranges="MgO=0.3:0.7", charge_balance=True)
    again = CompositionSpace.from_dict(json.loads(json.dumps(space.as_dict())))
    assert again == space
    assert hash(again) == hash(space)
    assert reduced_counts({"Mg": 4, "O": 4}) == {"Mg": 1, "O": 1}


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        # systems
        ("Mg", {}, "two blocks or more"),
        ("Mg--Si", {}, "a dash with nothing beside it"),
        ("Li-Be-B-C-N-O", {}, "five|5 are the most"),
        ("Mg-Si-O-Al-Ca", {"atoms_max": 100}, "lower --atoms-max"),
        # blocks
        ("Mg-Xx", {}, "no elements there are"),
        ("MgO-Mg2O2", {}, "a block twice"),
        ("MgO-SiO2-MgSiO3", {}, "can be written by the blocks before it"),
        ("MgO-Si0.5O", {}, "does not parse"),
        ("MgO-SiO2", {"atoms_max": 2}, "its largest block has 3 atoms"),
        # ranges
        ("Mg-Si", {"ranges": "Mg=0.8:0.2"}, "the smaller one first"),
        ("Mg-Si", {"ranges": "O=0.1:0.2"}, "nothing that Mg-Si has"),
        ("Mg-Si", {"ranges": "Mg=0.48:0.49", "atoms_max": 4}, "no cell of 1 to 4 atoms"),
        ("Mg-Si", {"ranges": "Mg=2:4"}, "leaves 0 to 1"),
        ("Mg-Si", {"ranges": "Mg=half"}, "does not parse"),
        ("Mg-Si", {"ranges": "Mg=0.1:0.2,Mg=0.3:0.4"}, "two ranges of Mg"),
    ],
)
def test_what_is_no_system_is_refused_in_a_sentence(
    text: str, options: dict[str, object], says: str
) -> None:
    with pytest.raises(CompositionSpaceError, match=says) as refused:
        parse_space(text, **options)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
