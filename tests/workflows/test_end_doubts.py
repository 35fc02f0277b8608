"""Ends of a system whose reference may be wrong are named."""

from __future__ import annotations

import pytest
from ase.build import bulk

from tests.fuzz.samples import potential
from workflows.conversion import to_structure
from workflows.documents.prediction import CandidateDocument
from workflows.stages.agreement import single_points
from workflows.stages.end_doubts import LEAST, doubtful_ends
from workflows.system import parse_system

TARGET = parse_system("Na-Cl", None, "", atoms_max=4)


def crystal(symbol: str, off: float) -> CandidateDocument:
    """A crystal whose energy by the engine is that of the potential, less so many eV/atom."""
    structure = to_structure(bulk(symbol, "fcc", a=5.3))
    energies, _ = single_points([structure], potential())
    energy = float(energies[0]) - off
    return CandidateDocument(
        formula=symbol, chemical_system=symbol, formula_units=1, space_group="Fm-3m",
        space_group_number=225, energy=energy, relaxed_energy=energy, density=1.0, volume=37.0,
        engine="emt", converged=True, structure=structure, relaxed=structure, found_by="random",
        motif=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("off", "tried", "doubts"),
    [
        (0.0, LEAST, []),
        (0.3, LEAST, ["off by +300 meV/atom"]),
        (0.0, 1, ["only 2 kinds of crystals"]),
    ],
)
def test_what_the_potential_or_too_few_crystals_leave_open(
    off: float, tried: int, doubts: list[str]
) -> None:
    rows = [crystal("Na", off), crystal("Cl", 0.0)]
    told = doubtful_ends(TARGET, rows, {"Na": tried, "Cl": LEAST}, potential())
    assert len(told) == len(doubts)
    for sentence, doubt in zip(told, doubts, strict=True):
        assert sentence.startswith("the reference of Na is uncertain")
        assert doubt in sentence
