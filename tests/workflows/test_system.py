"""A chemical system as a campaign: what is melted, how labels are spread, what is ranked."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from jobflow import Flow, JobStore, job, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder, MontyEncoder

from nnp.frames import Frames
from nnp.units import KBAR
from search.composition_space import CompositionSpaceError
from search.relax.limits import RelaxationLimits
from search.state.fitness import Fitness
from tests.workflows.samples import emt
from workflows.chains.melts import Melt, at_melt, melts_of, richest
from workflows.chains.protocols import find_protocol
from workflows.composition import Target, parse_target
from workflows.conversion import to_structure
from workflows.documents.improvement import RelaxedStructure
from workflows.documents.prediction import PredictionDocument
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.frame_compositions import (
    are_of_one_composition,
    beside_atoms,
    compositions_of,
    formula_of_frames,
    not_above,
)
from workflows.stages.at_pressures import above_lowest, levels
from workflows.stages.candidates import CandidateMaker
from workflows.stages.chain import ChainContext
from workflows.stages.cost import Cost
from workflows.stages.dynamics import DynamicsMaker
from workflows.stages.search_labels import by_turns
from workflows.stages.selection import SelectionMaker, groups_of
from workflows.stages.system_ranking import SystemRanking, bond_of_pairs
from workflows.system import (
    SystemTarget,
    elements_of,
    formation_energy,
    melt_compositions,
    parse_system,
    reference_energies,
    same_system,
)

TIGHT = RelaxationLimits(max_force=1e-3, max_stress=0.1, max_steps=300)


def ordered(symbols: str, lattice: float) -> Atoms:
    """Four atoms on the sites of a face-centred cube: L1_0 of Cu2Au2, L1_2 of Cu3Au."""
    sites = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Atoms(symbols, scaled_positions=sites, cell=np.eye(3) * lattice, pbc=True)


CRYSTALS = {
    "Cu": bulk("Cu", "fcc", a=3.6),
    "Au": bulk("Au", "fcc", a=4.1),
    "Cu3Au": ordered("AuCu3", 3.75),
    "CuAu": ordered("Au2Cu2", 3.9),
    "Cu bcc": bulk("Cu", "bcc", a=2.9),
}


def relaxed_energy(atoms: Atoms) -> float:
    """Energy (eV/atom) as ASE's own optimiser finds it."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    assert BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-4, steps=300)
    return atoms.get_potential_energy() / len(atoms)


def found_by_search(*names: str, pressures: tuple[float, ...] = (0.0,)) -> SearchDocument:
    """A search that has found these, at each pressure."""
    candidates = [
        SearchCandidate(
            structure=to_structure(CRYSTALS[name]), energy=float(k), energy_of="emt",
            formula_units=1, found_by="random", found_at=k + 1, pressure=pressure,
        )
        for k, name in enumerate(names)
        for pressure in pressures
    ]  # fmt: skip
    return SearchDocument(
        formula="Cu-Au", formula_units=[], generations=3, n_structures=9, energies_of="emt",
        best_energy=-1.0, candidates=candidates, histories=[], shares=[], discarded=[],
        cpu_seconds=1.0,
    )  # fmt: skip


@job
def found(search: SearchDocument) -> SearchDocument:
    """Hand it on, as the stage before does."""
    return search


def ranking_of(
    search: SearchDocument, known: list[str], pressures: tuple[float, ...] = (0.0,)
) -> PredictionDocument:
    """Relax and rank them by EMT, with known phases."""
    target = parse_system("Cu-Au", None, "emt", atoms_max=4).under(pressures)
    phases = {name: to_structure(CRYSTALS[name]) for name in known}
    before = found(search)
    context = ChainContext(target, emt(), 0, {"search": before.output}, known=phases)
    flow = Flow([before, CandidateMaker(limits=TIGHT).follow(context)])
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(flow, store=store, create_folders=False, log=False, allow_external_references=True)
    store.connect()
    of_all = {"output.@class": "PredictionDocument", "output.pressures": list(target.pressures)}
    stored = store.query_one(of_all, load=True)
    assert stored is not None
    return MontyDecoder().process_decoded(stored["output"])


@pytest.fixture(scope="module")
def alloys() -> PredictionDocument:
    """Copper and its alloys were found; gold, and Cu3Au again, were known."""
    return ranking_of(found_by_search("Cu", "Cu bcc", "CuAu", "Cu3Au"), ["Au", "Cu3Au"])


def test_distances_from_the_hull_are_those_of_relaxed_energies(alloys: PredictionDocument) -> None:
    energy = {name: relaxed_energy(atoms) for name, atoms in CRYSTALS.items()}
    (hull,) = alloys.hulls
    formation = {
        "CuAu": energy["CuAu"] - (energy["Cu"] + energy["Au"]) / 2,
        "Cu3Au": energy["Cu3Au"] - (3 * energy["Cu"] + energy["Au"]) / 4,
    }
    assert hull.stable == ["Cu", "Cu3Au", "CuAu", "Au"]
    rows = {(row.formula, row.space_group): row for row in [*alloys.candidates, *alloys.known]}
    for formula, group in (("CuAu", "P4/mmm"), ("Cu3Au", "Pm-3m")):
        row = rows[formula, group]
        assert row.formation_energy == pytest.approx(formation[formula], abs=1e-4)
        assert row.above_hull == 0.0
        assert row.reaction is None
    assert rows["CuAu", "P4/mmm"].formula_units == 1
    # what is not the lowest of its composition
    highest = alloys.candidates[-1]
    above = 1000 * (energy["Cu bcc"] - energy["Cu"])
    if highest.space_group == "Im-3m":  # unless bcc has slid into fcc
        assert highest.above_hull == pytest.approx(above, abs=0.5)
        assert highest.reaction == "becomes a lower structure of Cu"
    assert [row.rank for row in alloys.candidates] == list(range(1, len(alloys.candidates) + 1))


def test_known_phases_are_marked_and_stand_beside_what_was_found(
    alloys: PredictionDocument,
) -> None:
    assert {(row.formula, row.known) for row in alloys.known} == {("Au", "Au"), ("Cu3Au", "Cu3Au")}
    found = {row.formula: row.known for row in alloys.candidates if row.above_hull == 0.0}
    assert found == {"Cu": None, "CuAu": None, "Cu3Au": "Cu3Au"}
    # the known ones alone make Cu3Au, not copper
    of_known = {row.formula: row.above_known for row in alloys.candidates}
    assert of_known["Cu3Au"] == pytest.approx(0.0, abs=0.1)
    assert of_known["Cu"] is None
    assert {one.formula: one.known for one in alloys.hulls[0].references} == {
        "Cu": None, "Au": "Au",
    }  # fmt: skip
    assert alloys.summary()["hulls"][0]["stable"] == ["Cu", "Cu3Au", "CuAu", "Au"]


def test_each_pressure_has_a_hull_of_enthalpies() -> None:
    pressures = (0.0, 300.0)
    search = found_by_search("Cu", "Au", "CuAu", pressures=pressures)
    document = ranking_of(search, ["Cu3Au"], pressures)
    assert [hull.pressure for hull in document.hulls] == list(pressures)
    free, pressed = [
        {row.formula: row for row in [*own.candidates, *own.known]}
        for own in document.by_pressure()
    ]
    for name, row in pressed.items():
        assert row.enthalpy == pytest.approx(row.energy + 300.0 / KBAR * row.volume, abs=1e-6)
        assert row.volume < free[name].volume
        assert row.pressure == 300.0
    ends = (pressed["Cu"].enthalpy + pressed["Au"].enthalpy) / 2
    formation = pressed["CuAu"].enthalpy - ends
    assert pressed["CuAu"].formation_energy == pytest.approx(formation, abs=1e-9)
    assert abs(formation - free["CuAu"].formation_energy) > 1e-3
    assert document.hull_at(300.0) is document.hulls[1]
    assert len({row.rank for row in document.by_pressure()[1].candidates}) == 3


def test_energies_of_two_engines_never_share_a_hull(alloys: PredictionDocument) -> None:
    target = parse_system("Cu-Au", None, "emt", atoms_max=4)
    other = alloys.known[0].model_copy(update={"engine": "chgnet"})
    with pytest.raises(ValueError, match="chgnet do not compare with those of emt"):
        SystemRanking(target, "emt", Fitness(), 1e-3).rank([*alloys.candidates, other])


def test_a_block_without_a_crystal_is_told(alloys: PredictionDocument) -> None:
    target = parse_system("Cu-Au", None, "emt", atoms_max=4)
    rows = [row for row in alloys.candidates if row.formula != "Cu"]
    found, _, hull = SystemRanking(target, "emt", Fitness(), 1e-3).rank(rows)
    assert {row.formation_energy for row in found} == {None}
    assert any("no crystal of Cu" in note for note in hull.notes)


def test_molecules_are_known_by_their_bonds() -> None:
    pair = Atoms("O2", positions=[[0, 0, 0], [0, 0, 1.21]], cell=[4, 4, 4], pbc=True)
    assert bond_of_pairs(to_structure(pair)) == pytest.approx(1.21)
    chain = Atoms("O", cell=[1.5, 4, 4], pbc=True)
    assert bond_of_pairs(to_structure(chain)) is None


def test_ends_and_points_spread_between_them_are_melted() -> None:
    binary = parse_system("Mg-Si", None, "", atoms_max=8)
    assert melt_compositions(binary) == ("Mg", "Si", "MgSi", "MgSi3", "Mg3Si")
    ternary = parse_system("Mg-Si-O", None, "", atoms_max=8)
    melted = melt_compositions(ternary)
    assert melted[:4] == ("Mg", "Si", "O", "MgSiO")
    assert len(melted) == 7
    assert melt_compositions(binary, 2) == ("Mg", "Si")
    oxides = parse_system("MgO-SiO2", None, "", atoms_max=14)
    assert melt_compositions(oxides, 3)[:2] == ("MgO", "SiO2")
    narrow = parse_system("Mg-Si", None, "", atoms_max=6, ranges="Mg=0.3:0.7")
    assert set(melt_compositions(narrow, 4)) <= set(narrow.compounds)
    at_two = melts_of(binary.under([0.0, 100.0]), 2)
    assert at_two == [Melt("Mg", 0.0), Melt("Mg", 100.0), Melt("Si", 0.0), Melt("Si", 100.0)]
    assert melts_of(Target("MgO"), 7) == [Melt("MgO", 0.0)]
    seeds = {at_melt(DynamicsMaker(seed=4), at_two, melt).seed for melt in at_two}
    assert len(seeds) == 4
    assert at_melt(DynamicsMaker(seed=4), at_two, at_two[0]).seed == 4
    assert richest(melts_of(ternary)) == 3


def test_a_system_is_stored_and_read() -> None:
    target = parse_system("MgO-SiO2", None, "", atoms_max=14, ranges="MgO=0.2:").under([0.0, 50.0])
    again = json.loads(json.dumps(target, cls=MontyEncoder), cls=MontyDecoder)
    assert again == target
    assert again.at(50.0).pressure == 50.0
    assert isinstance(again.at(50.0), SystemTarget)
    assert again.formula_of(to_structure(bulk("MgO", "rocksalt", a=4.2))) == "MgO"
    assert elements_of("MgO-SiO2") == ("Mg", "O", "Si")
    assert same_system("Mg-Si", "Si-Mg")
    assert not same_system("Mg-Si", "Mg-O")
    with pytest.raises(CompositionSpaceError, match="emt does not know Mg"):
        parse_system("Cu-Mg", frozenset({"Cu"}), "emt")


def test_formation_is_counted_from_the_blocks() -> None:
    target = parse_system("MgO-SiO2", None, "", atoms_max=14)
    references = reference_energies(target, {"MgO": -6.0, "SiO2": -8.0})
    assert references == [-12.0, -24.0]
    # Mg2SiO4: -49 - (2 * -12 - 24) = -1 eV for seven atoms
    assert formation_energy(target, "Mg2SiO4", -7.0, references) == pytest.approx(-1 / 7)
    assert formation_energy(target, "MgSi", -7.0, references) is None
    assert formation_energy(target, "Mg2SiO4", -7.0, [None, -24.0]) is None


def test_numbers_of_a_system_follow_from_those_of_a_formula() -> None:
    maker = find_protocol("quick")
    of_system = maker.system.spread(maker, 5)
    assert of_system.active.labels == 65  # of each of five melts
    assert of_system.candidates.n_candidates == 35
    assert of_system.candidates.budget == 875
    assert of_system.improve.relaxations == 12
    # and a formula has its own
    target = parse_target("MgO", None, "")
    alone = evaluations(maker.cost(target))
    assert alone["label"] == 260
    system = parse_system("Mg-Si", None, "", atoms_max=8)
    together = evaluations(maker.cost(system))
    assert together["label"] == 650
    # a third of what the compositions would take one by one is more than enough
    assert together.total() < len(system.compounds) * alone.total() / 3


def evaluations(costs: list[Cost]) -> Counter[str]:
    """Evaluations of the reference engine by stage."""
    found = Counter[str]()
    for cost in costs:
        found[cost.stage] += cost.reference_evaluations
    return found


def test_frames_of_several_compositions_are_told_apart() -> None:
    frames = Frames.from_atoms(
        [CRYSTALS["Cu"], CRYSTALS["CuAu"], CRYSTALS["Cu"] * (2, 1, 1), CRYSTALS["Au"]]
    )
    assert [rows.tolist() for rows in compositions_of(frames)] == [[0, 2], [1], [3]]
    assert formula_of_frames(frames) == "Cu-Au"
    assert formula_of_frames(frames[[0, 2]]) == "Cu"
    apart = [frames[[k]] for k in range(4)]
    assert are_of_one_composition([apart[0], apart[2], Frames.from_atoms([])])
    assert not are_of_one_composition([apart[0], apart[1]])
    assert not are_of_one_composition([apart[0], apart[3]])
    assert not are_of_one_composition([frames])
    # -3 eV an atom of copper, -2 of gold, and the alloy 0.1 eV/atom below them
    energies = np.array([-3.0, -10.0 - 0.4, -6.0, -2.0])
    labelled = Frames(**{**vars_of(frames), "energies": energies})
    beside = beside_atoms(labelled, np.array([0, 2, 3]))
    np.testing.assert_allclose(beside, [0.0, -0.1, 0.0, 0.0], atol=1e-12)
    # copper 0.5 eV/atom too high is left out, though it lies far below gold
    new = Frames(**{**vars_of(frames[[0]]), "energies": np.array([-2.5])})
    assert len(not_above([new], labelled, 0.3)[0]) == 0
    assert len(not_above([new], labelled, 0.6)[0]) == 1
    groups = groups_of(frames)
    assert sorted(row for rows in groups for row in rows.tolist()) == [0, 1, 2, 3]
    assert len(groups) == 3


def test_every_composition_has_its_share_of_labels() -> None:
    atoms = []
    for name in ("Cu", "Au", "CuAu"):
        for seed in range(6):
            copy = CRYSTALS[name] * (1 if len(CRYSTALS[name]) > 1 else 2)
            copy.rattle(0.1, seed=seed)
            atoms.append(copy)
    frames = Frames.from_atoms(atoms, stage="liquid")
    plain, scaled, _ = SelectionMaker().select(frames, 12, seed=1)
    assert [len(rows) for rows in compositions_of(plain)] == [3, 3, 3]
    assert [len(rows) for rows in compositions_of(scaled)] == [1, 1, 1]


def vars_of(frames: Frames) -> dict[str, np.ndarray]:
    """Arrays of frames by their names."""
    return {name: getattr(frames, name) for name in frames.__dataclass_fields__}


def test_labels_and_relaxations_go_where_the_hull_is() -> None:
    found = found_by_search("Cu", "Cu bcc", "CuAu", "Au").candidates
    energies = {"Cu": -3.0, "Au": -2.0, "CuAu": -2.6}
    rows = [
        one.model_copy(update={"energy": e})
        for one, e in zip(found, (-3.0, -2.99, -2.6, -2.0), strict=True)
    ]
    # gold is the highest and on the hull; the second copper lies 10 meV/atom above it
    assert above_lowest(rows) == pytest.approx([0.0, 0.01, 0.0, 0.0])
    assert levels(rows)[2] == pytest.approx(energies["CuAu"])
    order = [one.structure.composition.reduced_formula for one in by_turns(rows)]
    assert order == ["Cu", "CuAu", "Au", "Cu"]
    # the engine knows a gold that is 1 eV/atom lower: the compound lies 0.4 eV/atom above the hull
    gold = RelaxedStructure(
        structure=rows[3].structure, energy=-3.0, engine="emt", job="", found=rows[3]
    )
    order = [one.structure.composition.reduced_formula for one in by_turns(rows, [gold])]
    assert order == ["Cu", "Cu", "CuAu", "Au"]
