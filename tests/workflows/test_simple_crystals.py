"""Simple crystals of the ends of a system: what an engine makes of them, and who uses that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder

from tests.workflows.samples import emt
from workflows.composition import parse_target
from workflows.documents.simple_crystals import SimpleCrystalsDocument
from workflows.frame_compositions import compositions_of
from workflows.stages.simple_crystals import SimpleCrystalsMaker
from workflows.stages.simple_ends import ends_not_among, lowest_ends, relaxed_ends
from workflows.system import SystemTarget, parse_system


@pytest.fixture(scope="module")
def target() -> SystemTarget:
    """Copper and gold, whose ends are close packed by EMT."""
    return parse_system("Cu-Au", None, "emt", atoms_max=4)


@pytest.fixture(scope="module")
def found(target: SystemTarget) -> SimpleCrystalsDocument:
    """What EMT makes of ten simple crystals of each end."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    work = SimpleCrystalsMaker(crystals=10).make(target, emt(), 3)
    run_locally(work, store=store, create_folders=False, log=False, allow_external_references=True)
    store.connect()
    stored = store.query_one({"output.@class": "SimpleCrystalsDocument"}, load=True)
    assert stored is not None
    return MontyDecoder().process_decoded(stored["output"])


def test_the_engine_finds_the_close_packed_ends(found: SimpleCrystalsDocument) -> None:
    for formula in ("Cu", "Au"):
        lowest = {one.space_group for one in found.lowest_of(formula, 0.02)}
        assert lowest & {"Fm-3m", "P6_3/mmc"}
    energies = [one.energy for one in found.crystals if one.formula == "Cu"]
    assert energies == sorted(energies)


def test_all_is_labelled_and_counted(found: SimpleCrystalsDocument) -> None:
    assert set(found.frames.stages) == {"relaxation"}
    assert np.isfinite(found.frames.energies).all()
    assert len(compositions_of(found.frames)) == 2
    assert len(found.frames) >= len(found.crystals)
    assert found.evaluations >= len(found.frames)
    assert found.summary()["reference_evaluations"] == found.evaluations


def test_the_lowest_are_candidates_unless_they_are_already(
    found: SimpleCrystalsDocument, target: SystemTarget
) -> None:
    chosen = ends_not_among([], [], found, target)
    formulas = [target.formula_of(one.structure) for one in chosen]
    assert set(formulas) == {"Cu", "Au"}
    assert ends_not_among(chosen, [], found, target) == []
    assert ends_not_among([], [], None, target) == []


def test_they_count_as_relaxed_from_the_beginning(
    found: SimpleCrystalsDocument, target: SystemTarget
) -> None:
    ends = relaxed_ends(found, target, "emt")
    for formula in target.block_formulas:
        energy = min(one.energy for one in found.crystals if one.formula == formula)
        own = [one.energy for one in ends if target.formula_of(one.structure) == formula]
        assert own[0] == energy
        assert max(own) <= energy + 0.02
    assert {one.engine for one in ends} == {"emt"}
    # after some steps only, whatever the limits were there: candidates go on with them
    assert not any(one.converged for one in ends)
    assert ends_not_among([], ends, found, target) == []
    assert relaxed_ends(None, target, "emt") == []
    copper = parse_target("Cu", None, "emt")
    assert relaxed_ends(found, copper, "emt") == lowest_ends(ends, copper) == []


def test_the_lowest_of_each_end_is_strained(
    found: SimpleCrystalsDocument, target: SystemTarget
) -> None:
    ends = relaxed_ends(found, target, "emt")
    lower = ends[-1].model_copy(update={"energy": ends[-1].energy - 1.0})
    assert target.formula_of(lower.structure) == target.block_formulas[-1]
    assert lowest_ends([*ends, lower], target) == [lower, ends[0]]
    squeezed = ends[0].model_copy(update={"pressure": 100.0})
    assert len(lowest_ends([*ends, squeezed], target)) == 3


@pytest.mark.parametrize(
    ("formula", "expected"),
    [("Si", [1, 2, 3, 4]), ("Mg2Si", [3]), ("SiO2", [3]), ("MgSiO3", [5])],
)
def test_cells_are_small_but_hold_a_formula_unit(formula: str, expected: Sequence[int]) -> None:
    contents = SimpleCrystalsMaker(crystal_atoms=4).contents(formula)
    assert [sum(counts.values()) for counts in contents] == expected
