"""Refining relaxed crystals to the highest symmetry that keeps their energy."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from jobflow import SETTINGS, JobStore, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from launch.report.crystals import write_crystal
from launch.report.files import write_structures
from search.relax.limits import RelaxationLimits
from search.symmetry import TIGHT_TOLERANCE, find_space_group
from tests.workflows.samples import Wells, emt, shaken, wells
from tests.workflows.test_candidates import search_result
from workflows.composition import Target, parse_target
from workflows.conversion import to_atoms
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.engines.base import Engine
from workflows.engines.registry import find_engine
from workflows.stages.candidate_state import AskedCandidates, CandidateChain
from workflows.stages.candidates import CandidateMaker
from workflows.stages.cost import CostContext
from workflows.stages.refinement import share_out, variants_of

REFERENCE = (
    Path(os.environ.get("DEVITRIFY_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
    / "structures"
)

ROCK_SALT = Structure.from_spacegroup(
    "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
)
RUTILE = Structure.from_spacegroup(
    "P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
CALCITE = Structure.from_spacegroup(
    "R-3c", Lattice.hexagonal(4.99, 17.06), ["Ca", "C", "O"],
    [[0, 0, 0], [0, 0, 0.25], [0.257, 0, 0.25]],
).get_primitive_structure()  # fmt: skip
FORSTERITE = Structure.from_spacegroup(
    "Pnma", Lattice.orthorhombic(10.2, 5.98, 4.76), ["Mg", "Mg", "Si", "O", "O", "O"],
    [[0, 0, 0], [0.2774, 0.25, 0.9915], [0.0940, 0.25, 0.4262],
     [0.0913, 0.25, 0.7657], [0.4474, 0.25, 0.2215], [0.1628, 0.0331, 0.2777]],
)  # fmt: skip
#: Where relaxations leave some hundredths of an Å.
ROUGH = RelaxationLimits(max_force=0.3, max_stress=5.0, max_steps=40)


def run(
    structures: list[Structure],
    engine: Engine,
    maker: CandidateMaker | None = None,
    store: JobStore | None = None,
) -> PredictionDocument:
    """Run the stage and return its result."""
    store = store or JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    formula = structures[0].composition.reduced_formula
    target = parse_target(formula, None, engine.name, (1,), None)
    chain = CandidateChain(target, engine)
    job = (maker or CandidateMaker(limits=ROUGH)).make(search_result(structures), chain)
    job.set_uuid("f4ae7af5-3c3b-4d8a-8ca4-6d2b9b1f4a51")
    run_locally(job, store=store, create_folders=False, log=False, allow_external_references=True)
    store.connect()
    stored = store.query_one({"output.@class": "PredictionDocument"}, load=True)
    assert stored is not None
    found: PredictionDocument = MontyDecoder().process_decoded(stored["output"])
    return found


@pytest.mark.parametrize(
    ("crystal", "group", "units"),
    [(RUTILE, "P4_2/mnm", (2, 2)), (CALCITE, "R-3c", (2, 6)), (FORSTERITE, "Pnma", (4, 4))],
)
def test_a_shaken_crystal_is_refined_to_its_group(
    crystal: Structure, group: str, units: tuple[int, int]
) -> None:
    start = shaken(crystal, 0.01, 0.002)
    assert find_space_group(to_atoms(start), TIGHT_TOLERANCE).symbol == "P1"
    (found,) = run([start], wells(crystal)).candidates
    assert found.space_group == group
    assert (found.formula_units, found.conventional_units) == units
    assert found.symmetry_tolerance is not None
    assert TIGHT_TOLERANCE < found.symmetry_tolerance <= 0.3
    assert found.refined_by
    assert found.energy <= found.relaxed_energy + 0.001
    assert found.relaxed is not None
    assert find_space_group(to_atoms(found.relaxed), TIGHT_TOLERANCE).number < 3
    assert StructureMatcher().fit(found.structure, found.relaxed)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="no reference structures here")
@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*_*.vasp")), ids=lambda path: path.stem)
def test_known_phases_are_refined_to_their_groups(path: Path) -> None:
    known = Structure.from_file(path)
    if len(known) > 60:
        pytest.skip("a supercell")
    ideal = variants_of(0, known, 0.1)
    crystal = ideal[0].structure if ideal else known
    group = find_space_group(to_atoms(crystal), TIGHT_TOLERANCE)
    (found,) = run([shaken(crystal, 0.01, 0.001)], wells(crystal)).candidates
    assert (found.space_group, found.space_group_number) == group


def test_rock_salt_by_pair_interactions_has_one_formula_unit_however_many_were_asked_for() -> None:
    """A supercell of eight atoms without symmetry, relaxed roughly."""
    result = run([shaken(ROCK_SALT, 0.08, 0.01)], find_engine("pair"))
    (found,) = result.candidates
    assert found.space_group == "Fm-3m"
    assert (found.formula_units, found.conventional_units) == (1, 4)
    assert len(found.structure) == 2
    assert len(found.relaxed) == 8
    assert found.energy <= found.relaxed_energy + 0.001


def distorted(depth: float) -> PredictionDocument:
    """A dimerised chain of cells, its atoms in the two minima of wells of a depth, eV."""
    crystal = Structure.from_spacegroup(
        "Pm-3m", Lattice.cubic(3.2), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ) * (2, 1, 1)
    start = crystal.copy()
    signs = np.where(start.frac_coords[:, 0] < 0.5, 1, -1)
    for site, sign in enumerate(signs):
        start.translate_sites([site], [0.05 * sign, 0, 0], frac_coords=False, to_unit_cell=False)
    limits = RelaxationLimits(max_force=0.001, max_stress=0.1, max_steps=100)
    return run([start], wells(crystal, depth=depth), CandidateMaker(limits=limits))


def test_a_true_distortion_stays() -> None:
    """The symmetric crystal is a saddle 4 meV/atom higher; no force there, and no way down."""
    result = distorted(0.004)
    (found,) = result.candidates
    assert found.space_group != "Pm-3m"
    assert found.symmetry_tolerance == TIGHT_TOLERANCE
    assert found.refined_by == ""
    assert found.energy == pytest.approx(found.relaxed_energy) == pytest.approx(0.0, abs=1e-5)
    assert result.evaluations > found.steps + 1, "the symmetric one was tried"


def test_a_distortion_that_gains_less_than_a_mev_is_none() -> None:
    (found,) = distorted(0.0004).candidates
    assert found.space_group == "Pm-3m"
    assert found.energy == pytest.approx(0.0004, abs=1e-5)
    assert found.symmetry_tolerance == pytest.approx(0.2)
    assert found.formula_units == 1


def test_a_twin_without_symmetry_is_no_row_of_its_own() -> None:
    starts = [shaken(RUTILE, 0.02, 0.002, seed) for seed in range(3)]
    result = run([*starts, RUTILE], wells(RUTILE))
    assert [found.space_group for found in result.candidates] == ["P4_2/mnm"]


def test_nothing_is_evaluated_where_no_higher_symmetry_is_in_sight() -> None:
    result = run([RUTILE], wells(RUTILE))
    assert result.evaluations == 1
    (found,) = result.candidates
    assert (found.refined_by, found.symmetry_tolerance) == ("", TIGHT_TOLERANCE)
    maker = CandidateMaker(limits=ROUGH, symmetry_tolerance=TIGHT_TOLERANCE)
    (found,) = run([shaken(RUTILE, 0.01, 0.002)], wells(RUTILE), maker).candidates
    assert found.space_group == "P1", "no looser tolerance was allowed"


def test_evaluations_stay_within_the_budget() -> None:
    starts = [shaken(FORSTERITE, 0.05, 0.004, seed) for seed in range(3)]
    for budget in (12, 20, 40):
        maker = CandidateMaker(limits=ROUGH, budget=budget)
        assert run(starts, wells(FORSTERITE), maker).evaluations <= budget


def test_shares_of_the_refinements() -> None:
    assert share_out(5, 5, None) == (5, 5)
    assert share_out(5, 5, 100) == (5, 5)
    assert share_out(5, 5, 20) == (5, 3)
    assert share_out(5, 5, 10) == (3, 2)
    assert share_out(5, 5, 2) == (0, 5)
    assert share_out(0, 5, 0) == (0, 5)
    assert share_out(4, 1, 4) == (2, 1)


def test_cost_counts_the_refinements() -> None:
    context = CostContext(Target("NaCl", (1,)), find_engine("pair"), n_crystals=8)
    without = CandidateMaker(symmetry_tolerance=TIGHT_TOLERANCE).cost(context)
    added = sum(c.reference_evaluations for c in CandidateMaker().cost(context)) - sum(
        c.reference_evaluations for c in without
    )
    assert added == 4 * 5


def ranked(refined: RelaxDocument | None) -> CandidateDocument:
    """Rank one relaxed crystal without symmetry, of which a symmetric one became this."""
    start = shaken(RUTILE, 0.01, 0.002)
    relaxed = RelaxDocument(structure=start, engine="x", energy=-1.0, converged=True, steps=7)
    asked = AskedCandidates(candidates=search_result([start]).candidates, jobs=["first"])
    chain = CandidateChain(Target("TiO2", (2,)), emt())
    rank = CandidateMaker.rank.original
    result = rank(CandidateMaker(), [relaxed], chain, asked, [(0, 0.1, "second")], [refined])
    (document,) = result.candidates
    assert result.evaluations == 8 + (0 if refined is None else refined.steps + 1)
    return document


def test_an_evaluation_that_fails_leaves_the_relaxed_structure() -> None:
    failed = RelaxDocument(structure=RUTILE, engine="x", failure="it died")
    for outcome in (None, failed):
        document = ranked(outcome)
        assert (document.space_group, document.energy, document.refined_by) == ("P1", -1.0, "")
    higher = RelaxDocument(structure=RUTILE, engine="x", energy=-0.9985, steps=2)
    assert ranked(higher).space_group == "P1"
    near = RelaxDocument(structure=RUTILE, engine="x", energy=-0.9995, converged=True, steps=2)
    document = ranked(near)
    assert (document.space_group, document.energy) == ("P4_2/mnm", -0.9995)
    assert (document.refined_by, document.job) == ("second", "first")
    assert (document.symmetry_tolerance, document.relaxed_energy) == (0.1, -1.0)


def test_a_stage_that_runs_again_computes_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    monkeypatch.setattr(SETTINGS, "JOB_STORE", store)
    start = shaken(RUTILE, 0.01, 0.002)
    first = run([start], wells(RUTILE), store=store)
    jobs = {document["uuid"] for document in store.query({}, ["uuid"])}
    evaluations = Wells.evaluations
    again = run([start], wells(RUTILE), store=store)
    assert {document["uuid"] for document in store.query({}, ["uuid"])} == jobs
    assert Wells.evaluations == evaluations
    assert first.candidates[0].energy == again.candidates[0].energy


@pytest.mark.parametrize("crystal", [ROCK_SALT, RUTILE, CALCITE, FORSTERITE])
def test_files_have_the_symmetry_and_read_back(crystal: Structure, tmp_path: Path) -> None:
    prediction = run([shaken(crystal, 0.01, 0.002)], wells(crystal))
    (found,) = prediction.candidates
    path, beside = write_structures(prediction, tmp_path / "structures")
    symmetric, relaxed = Structure.from_file(path), Structure.from_file(beside)
    for tolerance in (0.001, 0.01):
        analyzer = SpacegroupAnalyzer(symmetric, tolerance)
        assert analyzer.get_space_group_symbol() == found.space_group
    conventional = analyzer.get_conventional_standard_structure()
    assert len(symmetric) == len(conventional)
    unit = crystal.composition.reduced_composition.num_atoms
    assert len(symmetric) == found.conventional_units * unit
    np.testing.assert_allclose(symmetric.volume / len(symmetric), found.volume, rtol=1e-4)
    assert StructureMatcher().fit(symmetric, found.relaxed)
    assert StructureMatcher(1e-5, 1e-4, 1e-3, primitive_cell=False).fit(relaxed, found.relaxed)
    assert SpacegroupAnalyzer(relaxed, 0.001).get_space_group_symbol() == "P1"
    assert f"_cell_formula_units_Z   {found.conventional_units}" in path.read_text()
    assert f"less than {found.symmetry_tolerance:g} angstrom" in path.read_text()
    assert path.read_text().isascii(), "as CIF wants it"


def test_a_slightly_oblique_cell_stays_oblique_in_its_file(tmp_path: Path) -> None:
    oblique = Structure(Lattice.monoclinic(3.0, 4.0, 5.0, 92.0), ["Po"], [[0, 0, 0]])
    path, _ = write_crystal(tmp_path / "po.cif", oblique, None, None)
    assert Structure.from_file(path).lattice.beta == pytest.approx(92.0)


def test_a_crystal_of_which_no_symmetry_is_found_is_written_all_the_same(tmp_path: Path) -> None:
    crowded = Structure(Lattice.cubic(1e-3), ["Cu", "Cu"], [[0, 0, 0], [0, 0, 0]])
    path, _ = write_crystal(tmp_path / "cu.cif", crowded, None, None)
    assert "P 1" in path.read_text()
