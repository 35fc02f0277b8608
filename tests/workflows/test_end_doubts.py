"""Ends of a system whose reference may be wrong are named."""

from __future__ import annotations

import pytest
from ase.build import bulk

from workflows.conversion import to_structure
from workflows.documents.prediction import CandidateDocument
from workflows.stages.end_doubts import LEAST, doubtful_ends
from workflows.system import parse_system

TARGET = parse_system("Na-Cl", None, "", atoms_max=4)


def crystal(symbol: str, off: float, expected: float | None = None) -> CandidateDocument:
    """A crystal that the potential puts so many eV/atom too high."""
    structure = to_structure(bulk(symbol, "fcc", a=5.3))
    return CandidateDocument(
        formula=symbol, chemical_system=symbol, formula_units=1, space_group="Fm-3m",
        space_group_number=225, energy=-3.0, single_point=off - 3.0, expected_error=expected,
        density=1.0, volume=37.0, engine="emt", converged=True, structure=structure,
        relaxed=structure, found_by="random", motif=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("off", "expected", "tried", "doubts"),
    [
        (0.0, None, LEAST, []),
        (0.04, 0.001, LEAST, []),  # small, whatever was expected
        (0.3, None, LEAST, ["off by +300 meV/atom"]),
        (-0.3, 0.05, LEAST, ["off by -300 meV/atom"]),
        (0.3, 0.2, LEAST, []),  # as expected
        (0.0, None, 1, ["only 2 kinds of crystals"]),
    ],
)
def test_what_the_potential_or_too_few_crystals_leave_open(
    off: float, expected: float | None, tried: int, doubts: list[str]
) -> None:
    rows = [crystal("Na", off, expected), crystal("Cl", 0.0)]
    told = doubtful_ends(TARGET, rows, {"Na": tried, "Cl": LEAST})
    assert len(told) == len(doubts)
    for sentence, doubt in zip(told, doubts, strict=True):
        assert sentence.startswith("the reference of Na is uncertain")
        assert doubt in sentence


def test_a_crystal_far_above_the_lowest_says_nothing() -> None:
    high = crystal("Na", 1.0)
    high.energy, high.single_point = -2.0, -1.0
    rows = [crystal("Na", 0.0), high, crystal("Cl", 0.0)]
    assert doubtful_ends(TARGET, rows, {"Na": LEAST, "Cl": LEAST}) == []
