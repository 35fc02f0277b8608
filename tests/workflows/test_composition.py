"""Formulas as people type them."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.composition import (
    FormulaError,
    Target,
    compound,
    parse_composition,
    parse_target,
    same_compound,
)

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
        ("Mg2SiO4@", "characters that no formula has \\(@\\)"),
        ("Mg2+SiO4", "characters that no formula has \\(\\+\\)"),
        ("Mg₂SiO₄", "did you mean Mg2SiO4\\?"),
        ("MgSO4.7H2O", "did you mean MgSO4\\(H2O\\)7\\?"),
        ("MgSO4·7H2O", "did you mean MgSO4\\(H2O\\)7\\?"),
        ("MgCl2 * 6 H2O", "did you mean MgCl2\\(H2O\\)6\\?"),
        ("Zn(NO3)2.6H2O", "did you mean Zn\\(NO3\\)2\\(H2O\\)6\\?"),
        ("CaSO4·0.5H2O", "did you mean \\(CaSO4\\)2\\(H2O\\)1\\?"),
        ("CuSO4.2.5H2O", "did you mean \\(CuSO4\\)2\\(H2O\\)5\\?"),
        ("Mg0Si", "an amount of zero"),
        ("Mg(OH)0.0Si", "an amount of zero"),
        ("Li0.5CoO2", "write them as such"),
        ("Mg999O998", "1000 are the most"),
        ("Mg99999999999999999999", "does not parse"),
        ("((((" * 100, "at most 200 characters"),
        ("Li" * 90 + "(" * 15, "does not parse"),
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


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("D2O", "H2O"), ("LiOD", "LiOH"), ("HDO", "HHO"), ("T", "H"), ("Mg(OT)2", "Mg(OH)2")],
)
def test_isotopes_are_refused_with_what_to_write(typed: str, meant: str) -> None:
    message = f"{typed} names an isotope, .*; write {meant}"
    for read in (parse_composition, lambda formula: parse_target(formula, None, "x")):
        with pytest.raises(FormulaError, match=re.escape(message).replace(r"\.\*", ".*")):
            read(typed)
    assert parse_target(meant, None, "x").counts["H"] >= 1
    with pytest.raises(FormulaError, match=r"did you mean MgCl2\(H2O\)2\?"):
        parse_target("MgCl2·2D2O", None, "x")


@pytest.mark.parametrize("formula", ["Dy2O3", "TiO2", "TlCl", "Db", "TeO2", "Ta", "NdTh"])
def test_elements_that_begin_like_an_isotope_are_none(formula: str) -> None:
    assert parse_target(formula, None, "x").formula == formula


def test_spellings_are_of_one_compound() -> None:
    assert {compound(formula) for formula in ("CuAu", "AuCu", "Cu2Au2", "Au 2 Cu2")} == {"CuAu"}
    assert same_compound("MgSO4(H2O)7", "H14MgO11S")
    assert not same_compound("CuAu", "CuAu3")
    assert same_compound("no formula", "no formula")
    assert not same_compound("no formula", "nor this")


def test_cells_are_bounded() -> None:
    for options in ({"formula_units": (10**20,)}, {"atoms_max": 10**20}):
        with pytest.raises(FormulaError, match="1000 are the most"):
            parse_target("LiCl", KNOWN, "x", **options)  # type: ignore[arg-type]


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


def test_a_noble_gas_is_no_reason_to_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_target("Ar2", None, "emt").formula == "Ar"
        assert same_compound("XeF2", "F2Xe")
        assert same_compound("HeNe", "NeHe")


@pytest.mark.parametrize("formula", ["Cu1e1", "Cu1e400", "Cu1e-3Au"])
def test_amounts_with_an_exponent_are_no_formula(formula: str) -> None:
    with pytest.raises(FormulaError):
        parse_target(formula, None, "emt")
