"""Formulas as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.composition import FormulaError, Target, parse_target

KNOWN = frozenset({"Li", "Al", "Cl", "Mg", "Si", "O", "Cu", "In", "Te", "F", "Ba", "Ag", "Na"})


@pytest.mark.parametrize(
    ("typed", "formula", "counts"),
    [
        ("LiAlCl4", "LiAlCl4", {"Li": 1, "Al": 1, "Cl": 4}),
        ("Ba2AgSi3", "Ba2AgSi3", {"Ba": 2, "Ag": 1, "Si": 3}),
        ("Mg4Si2O8", "Mg2SiO4", {"Mg": 2, "Si": 1, "O": 4}),
        ("Cu", "Cu", {"Cu": 1}),
        ("InTe2O5F", "InTe2O5F", {"In": 1, "Te": 2, "O": 5, "F": 1}),
    ],
)
def test_formulas_are_reduced_and_keep_their_spelling(
    typed: str, formula: str, counts: dict[str, int]
) -> None:
    target = parse_target(typed, KNOWN, "chgnet")
    assert target.formula == formula
    assert target.counts == counts


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("LiAlCL4", "did you mean LiAlCl4"),
        ("NACL", "did you mean NaCl"),
        ("", "does not parse"),
        ("hello", "does not parse"),
        ("Li0.5O", "not whole numbers"),
        ("LiAlXe", "does not know Xe"),
        ("LiAlClMgSiO", "five are the most"),
    ],
)
def test_a_bad_formula_gets_a_sentence(typed: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse_target(typed, KNOWN, "chgnet")


def test_formula_units_fit_the_largest_cell() -> None:
    assert parse_target("LiAlCl4", KNOWN, "x").formula_units == (1, 2, 4)
    assert parse_target("InTe2O5F", KNOWN, "x").formula_units == (1, 2)
    assert parse_target("LiAlCl4", KNOWN, "x", atoms_max=12).formula_units == (1, 2)
    assert parse_target("LiAlCl4", KNOWN, "x", formula_units=(4, 2, 4)).formula_units == (2, 4)
    with pytest.raises(FormulaError, match="too small"):
        parse_target("LiAlCl4", KNOWN, "x", atoms_max=3)
    with pytest.raises(FormulaError, match="1 or more"):
        parse_target("LiAlCl4", KNOWN, "x", formula_units=(0,))


@given(st.text(max_size=12))
def test_any_text_is_a_target_or_a_formula_error(text: str) -> None:
    try:
        target = parse_target(text, KNOWN, "chgnet")
    except FormulaError:
        return
    assert all(count >= 1 for count in target.counts.values())


def test_a_target_survives_json() -> None:
    target = Target("LiAlCl4", (1, 2))
    assert Target.from_dict(target.as_dict()) == target
