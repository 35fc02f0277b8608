"""Candidates at several pressures: relaxed at each, followed as phases, their transitions."""

from __future__ import annotations

import pytest
from ase import Atoms
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from jobflow import Flow, JobStore, job, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder

from nnp.units import KBAR
from search.relax.limits import RelaxationLimits
from tests.search.pair_energy import oxide_calculator
from workflows.composition import Target
from workflows.conversion import to_structure
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.engines.ase.engine import AseEngine
from workflows.enthalpy_lines import EnthalpyLine, crossings
from workflows.stages.candidates import CandidateMaker
from workflows.stages.chain import ChainContext
from workflows.stages.phases import follow_phases
from workflows.stages.search_series import join_searches

ENGINE = AseEngine(name="oxide", calculator="tests.search.pair_energy:oxide_calculator")
PRESSURES = (0.0, 500.0, 1000.0)
TARGET = Target("MgO", (1, 2)).under(PRESSURES)
TIGHT = RelaxationLimits(max_force=1e-3, max_stress=0.1, max_steps=300)
ROCK_SALT, CESIUM_CHLORIDE = (
    bulk("MgO", "rocksalt", a=4.2), bulk("MgO", "cesiumchloride", a=2.4),
)  # fmt: skip
ZINC_BLENDE = bulk("MgO", "zincblende", a=4.7)


def search(pressure: float, *crystals: Atoms) -> SearchDocument:
    """A search that has found these, by the engine itself."""
    candidates = [
        SearchCandidate(
            structure=to_structure(atoms), pressure=pressure, energy=float(k), energy_of="oxide",
            formula_units=1, found_by="random", found_at=k + 1,
        )
        for k, atoms in enumerate(crystals)
    ]  # fmt: skip
    quantity = "best_enthalpy" if pressure else "best_energy"
    return SearchDocument(
        formula="MgO", formula_units=[1, 2], generations=3, n_structures=9, energies_of="oxide",
        pressure=pressure, best_energy=-1.0, best_enthalpy=-0.5 if pressure else None,
        candidates=candidates, histories=[{"structures": [1.0], quantity: [-1.0]}], shares=[],
        discarded=[("flat", 2)], cpu_seconds=1.0,
    )  # fmt: skip


@job
def found(searches: list[SearchDocument | None], target: Target) -> SearchDocument:
    """Join searches, as the stage before does."""
    return join_searches.original(target, searches)


def run(*searches: SearchDocument | None, target: Target = TARGET) -> PredictionDocument:
    """Run the stage behind these searches and return its result."""
    before = found(list(searches), target)
    context = ChainContext(target, ENGINE, 0, {"search": before.output})
    flow = Flow([before, CandidateMaker(limits=TIGHT).follow(context)])
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, create_folders=False, log=False, allow_external_references=True)
    store.connect()
    of_all = {"output.@class": "PredictionDocument", "output.pressures": list(target.pressures)}
    stored = store.query_one(of_all, load=True)
    assert stored is not None
    return MontyDecoder().process_decoded(stored["output"])


def enthalpy(atoms: Atoms, pressure: float) -> tuple[float, float]:
    """Enthalpy (eV/atom) and volume (Å³/atom) as ASE's own optimiser finds them."""
    atoms = atoms.copy()
    atoms.calc = oxide_calculator()
    atoms.set_cell(atoms.cell * 0.93, scale_atoms=True)
    filtered = FrechetCellFilter(atoms, scalar_pressure=pressure / KBAR)
    assert BFGS(filtered, logfile=None).run(fmax=1e-4, steps=300)
    volume = atoms.get_volume() / 2
    return atoms.get_potential_energy() / 2 + pressure / KBAR * volume, volume


def line(atoms: Atoms) -> EnthalpyLine:
    """Enthalpies of a crystal at many pressures."""
    grid = [250.0 * k for k in range(5)]
    return EnthalpyLine(grid, *zip(*(enthalpy(atoms, p) for p in grid), strict=True))


@pytest.fixture(scope="module")
def magnesia() -> PredictionDocument:
    """Rock salt was found at the lowest pressure only, caesium chloride at the highest only."""
    return run(
        search(0.0, ROCK_SALT, ZINC_BLENDE), search(500.0, ZINC_BLENDE),
        search(1000.0, CESIUM_CHLORIDE),
    )  # fmt: skip


def test_what_was_found_at_one_pressure_is_relaxed_at_all(magnesia: PredictionDocument) -> None:
    assert magnesia.pressures == list(PRESSURES)
    for at in magnesia.by_pressure():
        assert {c.pressure for c in at.candidates} == {at.pressure}
        groups = [c.space_group for c in at.candidates]
        best = "Pm-3m" if at.pressure == 1000.0 else "Fm-3m"
        assert groups[0] == best
        assert {"Pm-3m", "Fm-3m"} <= set(groups)
        assert [c.rank for c in at.candidates] == list(range(1, len(groups) + 1))
        assert at.candidates[0].energy_above_best == 0.0
        for atoms, group in ((ROCK_SALT, "Fm-3m"), (CESIUM_CHLORIDE, "Pm-3m")):
            candidate = next(c for c in at.candidates if c.space_group == group)
            expected, volume = enthalpy(atoms, at.pressure)
            assert (candidate.enthalpy or candidate.energy) == pytest.approx(expected, abs=1e-5)
            assert candidate.volume == pytest.approx(volume, rel=1e-3)
    # each relaxation's configurations are labels
    assert magnesia.n_frames == len(magnesia.frames) > 10
    assert magnesia.failures == []


def test_what_no_oxidation_states_balance_is_told_once() -> None:
    """And not once more for each pressure."""
    fluorite = bulk("MgO2", "fluorite", a=4.8)
    target = Target("MgO2", (1,)).under((0.0, 100.0))
    told = run(search(0.0, fluorite), search(100.0, fluorite), target=target).warning
    assert told is not None
    assert told.count("oxidation states") == 1
    assert "GPa" not in told


def test_the_transition_is_where_the_lines_of_the_known_phases_cross(
    magnesia: PredictionDocument,
) -> None:
    rock_salt, cesium_chloride = magnesia.phases[:2]
    assert (rock_salt.name, cesium_chloride.name) == ("1 (Fm-3m)", "2 (Pm-3m)")
    (transition,) = magnesia.transitions
    # three at which they were relaxed, and about where their lines crossed
    assert rock_salt.pressures == cesium_chloride.pressures
    assert [p.pressure for p in rock_salt.points if p.rank] == list(PRESSURES)
    (more,) = [p.pressure for p in rock_salt.points if not p.rank]
    assert more == pytest.approx(transition.pressure, abs=10.0)
    assert (transition.below, transition.above) == (1, 2)
    (expected,) = crossings([line(ROCK_SALT), line(CESIUM_CHLORIDE)])
    assert expected.pressure == pytest.approx(655.0, abs=5.0)
    assert transition.pressure == pytest.approx(expected.pressure, abs=1.0)
    assert -0.1 < transition.volume_change < -0.02
    summary = magnesia.summary()
    assert summary["pressures_kbar"] == list(PRESSURES)
    assert summary["transitions"][0]["pressure_kbar"] == transition.pressure


def test_a_pressure_at_which_nothing_was_found_gets_what_the_others_have() -> None:
    document = run(search(0.0, ROCK_SALT), None, search(1000.0, CESIUM_CHLORIDE))
    middle = document.by_pressure()[1]
    assert [c.space_group for c in middle.candidates] == ["Fm-3m", "Pm-3m"]
    assert "no candidates of its own at 50 GPa" in " ".join(document.failures)
    assert len(document.transitions) == 1


def row(atoms: Atoms, pressure: float, enthalpy: float) -> CandidateDocument:
    """A ranked crystal."""
    return CandidateDocument(
        formula="MgO", chemical_system="Mg-O", formula_units=1, space_group="?",
        space_group_number=1, pressure=pressure, energy=enthalpy, enthalpy=enthalpy, density=1.0,
        volume=10.0, rank=1, engine="oxide", job=f"{enthalpy} {pressure}",
        structure=to_structure(atoms),
    )  # fmt: skip


def test_phases_are_the_same_but_for_the_volume_or_led_to_by_a_relaxation() -> None:
    dense = ROCK_SALT.copy()
    dense.set_cell(dense.cell * 0.85, scale_atoms=True)
    first, second = row(ROCK_SALT, 0.0, -3.8), row(ZINC_BLENDE, 0.0, -3.7)
    last = row(dense, 500.0, -0.1)
    rankings = {0.0: [first, second], 500.0: [last]}
    assert [one.rows for one in follow_phases(rankings, 4)] == [
        {0.0: first, 500.0: last},
        {0.0: second},  # not known at the other
    ]
    (only,) = follow_phases(rankings, 1)
    assert only.rows == {0.0: first, 500.0: last}
    # zinc blende has become rock salt and is no phase of its own: the lower one stays
    (only,) = follow_phases(rankings, 4, [(second, last)])
    assert only.rows == {0.0: first, 500.0: last}
