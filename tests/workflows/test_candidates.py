"""Relaxing and ranking at the reference level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import pytest
from ase.calculators.emt import EMT
from jobflow import JobStore, run_locally
from maggma.stores import MemoryStore
from monty.json import MontyDecoder
from pymatgen.core import Lattice, Structure

from nnp.units import KBAR
from search.relax.relaxed import Relaxed
from search.state.fitness import FITNESSES, Fitness
from search.symmetry import find_space_group
from tests.workflows.samples import copper, emt, engine
from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.conversion import to_atoms
from workflows.documents.agreement import Agreement
from workflows.documents.improvement import ImproveDocument, RelaxedStructure
from workflows.documents.prediction import CandidateDocument, PredictionDocument
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.engines.ase.engine import AseEngine
from workflows.stages.agreement import Gate
from workflows.stages.candidate_choice import choose_candidates
from workflows.stages.candidate_state import AskedCandidates, CandidateChain
from workflows.stages.candidates import CandidateMaker
from workflows.stages.ranking import distinct, doubt, fitness_of


def search_result(structures: list[Structure], energies_of: str = "potential") -> SearchDocument:
    """A search that found these structures."""
    candidates = [
        SearchCandidate(
            structure=structure,
            energy=0.0,
            energy_of=energies_of,
            formula_units=len(structure),
            found_by="random",
            found_at=1,
        )
        for structure in structures
    ]
    return SearchDocument(
        formula="Cu", formula_units=[4], generations=1, n_structures=9, energies_of=energies_of,
        best_energy=0.0, candidates=candidates, histories=[], shares=[], discarded=[],
        cpu_seconds=1.0,
    )  # fmt: skip


def run(
    engine: AseEngine,
    structures: list[Structure],
    store: JobStore | None = None,
    energies_of: str = "potential",
    maker: CandidateMaker | None = None,
    pressure: float = 0.0,
) -> PredictionDocument:
    """Run the stage and return its result."""
    found = search_result(structures, energies_of)
    chain = CandidateChain(Target("Cu", (4,), pressure), engine)
    job = (maker or CandidateMaker()).make(found, chain)
    store = store or JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(job, store=store, create_folders=False, log=False, allow_external_references=True)
    store.connect()
    stored = store.query_one({"output.@class": "PredictionDocument"}, load=True)
    assert stored is not None
    return MontyDecoder().process_decoded(stored["output"])


def test_fcc_copper_lies_below_bcc() -> None:
    body_centred = Structure.from_spacegroup("Im-3m", Lattice.cubic(2.8), ["Cu"], [[0, 0, 0]])
    ranked = run(emt(), [body_centred, copper(1, 3.7)]).candidates
    assert [candidate.space_group for candidate in ranked] == ["Fm-3m", "Im-3m"]
    assert ranked[0].energy_above_best == 0.0
    assert 10 < ranked[1].energy_above_best < 60  # meV/atom in effective medium theory
    assert [candidate.motif for candidate in ranked] == [1, 2]


def test_at_a_pressure_candidates_are_ranked_by_enthalpy() -> None:
    """Simple cubic copper is larger than face-centred: pressure adds to what it lies above it."""
    cubic = Structure(Lattice.cubic(2.4), ["Cu"], [[0, 0, 0]])
    above = {}
    for pressure in (0.0, 300.0):
        document = run(emt(), [cubic, copper(1, 3.6)], pressure=pressure)
        ranked = document.candidates
        assert [candidate.space_group for candidate in ranked] == ["Fm-3m", "Pm-3m"]
        assert document.pressure == pressure
        above[pressure] = ranked[1].energy_above_best
        for candidate in ranked:
            assert candidate.pressure == pressure
            assert candidate.max_stress <= 4.0
            enthalpy = candidate.energy + pressure * candidate.volume / KBAR
            assert fitness_of(candidate) == pytest.approx(enthalpy, abs=1e-9)
            assert candidate.enthalpy == (pytest.approx(enthalpy) if pressure else None)
            atoms = to_atoms(candidate.structure)
            atoms.calc = EMT()
            assert -atoms.get_stress()[:3].mean() * KBAR == pytest.approx(pressure, abs=4.0)
    assert above[300.0] > above[0.0]
    assert document.summary()["pressure_kbar"] == 300.0


@dataclass(frozen=True)
class Loose(Fitness):
    """A reward for volume, larger than the differences in energy."""

    per_volume: float = 5.0

    def of(self, relaxed: Relaxed) -> float:
        """Energy per atom, less what the volume is worth."""
        per_atom = relaxed.atoms.get_volume() / len(relaxed.atoms)
        return super().of(relaxed) - self.per_volume * per_atom


def test_candidates_are_ranked_by_the_fitness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FITNESSES, "loose", f"{__name__}:Loose")
    body_centred = Structure(Lattice.cubic(2.87), ["Cu"] * 2, [[0, 0, 0], [0.5, 0.5, 0.5]])
    structures = [copper(1, 3.7), body_centred]
    ranked = run(emt(), structures, maker=CandidateMaker(fitness=Loose())).candidates
    assert [candidate.space_group for candidate in ranked] == ["Im-3m", "Fm-3m"]
    assert ranked[0].energy > ranked[1].energy
    assert ranked[0].volume > ranked[1].volume
    for candidate in ranked:
        expected = candidate.energy - 5.0 * candidate.volume
        assert fitness_of(candidate) == pytest.approx(expected)
        above = 1000 * (expected - fitness_of(ranked[0]))
        assert candidate.energy_above_best == pytest.approx(above, abs=1e-6)


def test_the_trajectory_of_a_candidate_is_found_by_its_job() -> None:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    # the second becomes the first one's structure, and is counted once
    ranked = run(emt(), [copper(1, 3.7), copper(1, 3.4), copper(2, 3.9)], store).candidates
    (best,) = ranked
    output = MontyDecoder().process_decoded(store.get_output(best.job, load=True))
    assert set(output.frames.stages) == {"candidates"}
    assert len(output.frames) > 1
    assert output.frames.energies[-1] / output.frames.counts[-1] == pytest.approx(best.energy)
    assert output.frames.energies[0] > output.frames.energies[-1]


def test_the_configurations_of_all_relaxations_are_labels_that_are_kept() -> None:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    body_centred = Structure.from_spacegroup("Im-3m", Lattice.cubic(2.8), ["Cu"], [[0, 0, 0]])
    # the second becomes the first one's structure; its labels count all the same
    ranked = run(emt(), [copper(1, 3.7), copper(1, 3.4), body_centred], store)
    stored = store.query_one({"output.@class": "PredictionDocument"})
    assert "blob_uuid" in stored["output"]["frames"]  # not in the document itself
    relaxed = store.query({"output.@class": "RelaxDocument"}, load=True)
    each = [len(MontyDecoder().process_decoded(one["output"]).frames) for one in relaxed]
    assert len(each) == 3
    assert len(ranked.frames) == ranked.n_frames == sum(each)
    assert set(ranked.frames.stages) == {"candidate"}
    for frame in ranked.frames:
        (atoms,) = frame.to_atoms()
        atoms.calc = EMT()
        assert frame.energies[0] == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        assert frame.forces == pytest.approx(atoms.get_forces(), abs=1e-9)


def test_only_a_search_on_the_potential_gives_energies_of_the_potential() -> None:
    """A search at the reference level has none, and its own are not passed off as such."""
    for energies_of, expected in (("potential", 0.0), ("emt", None)):
        (candidate,) = run(emt(), [copper(1, 3.7)], energies_of=energies_of).candidates
        assert candidate.potential_energy == expected


def test_a_relaxation_that_dies_leaves_a_gap() -> None:
    result = run(engine("FailingWhenLarge"), [copper(2), copper(1, 3.7)])
    assert [candidate.job for candidate in result.candidates]
    assert [(c.formula_units, c.conventional_units) for c in result.candidates] == [(1, 4)]
    assert len(result.failures) == 1
    assert result.failures[0].startswith("candidate 1")


def test_no_candidate_at_all_gets_a_sentence() -> None:
    maker = CandidateMaker()
    with pytest.raises(ValueError, match="found no acceptable structure"):
        CandidateMaker.relax.original(maker, search_result([]), CandidateChain(Target("Cu"), emt()))


def test_supercells_and_settings_count_as_one_structure() -> None:
    def document(structure: Structure, energy: float) -> CandidateDocument:
        return CandidateDocument(
            formula="Cu", chemical_system="Cu", formula_units=len(structure), space_group="x",
            space_group_number=1, energy=energy, potential_energy=0.0, density=1.0, volume=1.0,
            engine="emt", structure=structure,
        )  # fmt: skip

    primitive = copper(1).get_primitive_structure()
    kept = distinct([document(copper(2), 0.001), document(primitive, 0.0)])
    assert [candidate.formula_units for candidate in kept] == [1]
    apart = distinct([document(copper(1), 0.0), document(copper(1), 0.02)])
    assert len(apart) == 2, "energies too far apart are two structures, whatever the matcher says"


def test_space_group_of_a_degenerate_cell_is_p1() -> None:
    crowded = Structure(Lattice.cubic(1e-3), ["Cu", "Cu"], [[0, 0, 0], [0, 0, 0]])
    assert find_space_group(to_atoms(copper(1)), 0.01) == ("Fm-3m", 225)
    assert find_space_group(to_atoms(crowded), 0.1) == ("P1", 1)


def relaxed_before(structure: Structure, energy: float, stress: float) -> RelaxedStructure:
    """A structure that a round of learning has relaxed so far."""
    (found,) = search_result([structure]).candidates
    return RelaxedStructure(
        structure=structure, energy=energy, engine="emt", converged=stress < 1, max_force=0.0,
        max_stress=stress, job=f"at {energy}", found=found,
    )  # fmt: skip


def improved_by(relaxed: list[RelaxedStructure], *, trusted: bool = True) -> ImproveDocument:
    """Rounds of learning that left these structures."""
    agreement = Agreement(window=50.0, n=0)
    return ImproveDocument(
        formula="Cu", rounds=[], reason="enough", trusted=trusted, potential="none",
        first=agreement, last=agreement, relaxed=relaxed, candidates=[],
    )  # fmt: skip


CHAIN = CandidateChain(Target("Cu", (4,)), emt())
BODY_CENTRED = Structure.from_spacegroup("Im-3m", Lattice.cubic(2.8), ["Cu"], [[0, 0, 0]])


def test_what_the_rounds_have_relaxed_is_ranked_and_not_relaxed_again() -> None:
    done = relaxed_before(copper(1, 3.61), -0.01, stress=0.1)
    maker = CandidateMaker()
    candidates = search_result([copper(1, 3.6), BODY_CENTRED]).candidates
    chosen = choose_candidates(candidates, 20, maker.limits, improved_by([done]))
    assert [candidate.structure for candidate in chosen] == [BODY_CENTRED]
    ranked = CandidateMaker.rank.original(maker, [], CHAIN, AskedCandidates(before=[done]))
    assert [(c.job, c.rank, c.converged) for c in ranked.candidates] == [("at -0.01", 1, True)]


def test_what_the_rounds_left_half_way_goes_on_and_is_never_lost() -> None:
    """The lowest goes on; one too many stays in the ranking as it is, with a star."""
    begun = [
        relaxed_before(copper(1, 3.8), 0.02, 90.0), relaxed_before(BODY_CENTRED, 0.01, 90.0),
    ]  # fmt: skip
    maker = CandidateMaker(n_candidates=1)
    (going_on,) = choose_candidates([], 1, maker.limits, improved_by(begun))
    assert (going_on.energy, going_on.energy_of) == (0.01, "emt")
    assert going_on.structure is BODY_CENTRED
    flow = CandidateMaker.relax.original(
        maker, search_result([]), CHAIN, improved_by(begun)
    ).replace
    relaxation, ranking = flow.jobs
    (stays,) = ranking.function_args[2].before
    assert (relaxation.function_args[0], stays.job) == (BODY_CENTRED, "at 0.02")
    ranked = CandidateMaker.rank.original(maker, [], CHAIN, AskedCandidates(before=[stays]))
    assert [(c.job, c.converged) for c in ranked.candidates] == [("at 0.02", False)]


def test_a_potential_that_does_not_resolve_its_candidates_gets_more_of_them() -> None:
    crystals = [
        Structure.from_spacegroup("Im-3m", Lattice.cubic(2.4 + 0.1 * k), ["Cu"], [[0, 0, 0]])
        for k in range(20)
    ]
    candidates = search_result(crystals).candidates
    choose = partial(choose_candidates, candidates, 8, CandidateMaker().limits)
    assert len(choose(improved_by([], trusted=False))) == 12
    assert len(choose(improved_by([]))) == 8
    assert len(choose()) == 8


def test_a_ranking_that_the_engine_contradicts_is_not_to_be_trusted() -> None:
    ranked = run(emt(), [copper(1, 3.7)]).candidates
    assert doubt(ranked, Gate()) is None
    holes = [c.model_copy(update={"potential_energy": c.energy - 1.354}) for c in ranked]
    said = doubt(holes, Gate())
    assert said is not None
    assert said.startswith("this ranking is not to be trusted")
    assert "inf" not in said
    assert "-1354.0" in said
    # what an earlier potential has found says nothing of the last one
    learnt = [c.model_copy(update={"potential_energy": None}) for c in holes]
    assert doubt(learnt, Gate()) is None


def test_relaxations_share_the_budget() -> None:
    maker = CandidateMaker(budget=100)
    flow = CandidateMaker.relax.original(
        maker, search_result([copper(1, 3.7), BODY_CENTRED]), CHAIN
    ).replace
    steps = [work.function.__self__.limits.max_steps for work in flow.jobs[:-1]]
    assert steps == [42, 42], "the symmetry has a seventh"
    without = replace(maker, symmetry_tolerance=0.01)
    assert without.limits_of(2).max_steps == 49
    assert maker.limits_of(1000).max_steps == 1
    assert CandidateMaker().limits_of(1000) == CandidateMaker().limits
    assert CandidateMaker(budget=10**6).limits_of(2) == CandidateMaker().limits


def test_the_quick_protocol_makes_a_thousand_evaluations_at_most() -> None:
    """But for the rounds that a hopeless potential gets besides."""
    quick = find_protocol("quick")
    rounds = quick.improve.rounds * (
        quick.improve.labels + quick.improve.relaxations * (quick.improve.relaxation_steps + 1)
    )
    assert quick.active.rounds * quick.active.labels + rounds + quick.candidates.budget <= 1000
