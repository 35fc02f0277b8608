"""How a search is judged, on campaigns made up of crystals of effective medium theory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from pymatgen.core import Lattice, Structure

from search.relax.energy import AseEnergy, BatchEnergy
from tests.benchmarks.known import PHASES
from tests.benchmarks.phases import KnownPhase, Phase, disturb, relax_known, same_phase
from tests.benchmarks.solve_found import Found, Minimum, Relaxation
from tests.benchmarks.solve_judgement import (
    LEFT_OUT,
    LOST,
    NOT_FOUND,
    RANKED_WRONGLY,
    Reason,
    judge,
)
from tests.benchmarks.training import Kept
from workflows.conversion import to_atoms, to_structure

ELEMENTS = ("Au", "Cu")
RUTILE, ANATASE = (phase.structure() for phase in PHASES[:2])


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> KnownPhase:
    """The ordered phase of CuAu, its ground state by effective medium theory too."""
    lattice = Lattice.tetragonal(2.8, 3.67)
    structure = Structure(lattice, ["Cu", "Au"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    kept = Kept(tmp_path_factory.mktemp("known"))
    return relax_known(Phase("CuAu_L10", "", structure, "CuAu", 1), "emt", kept)


@pytest.fixture(scope="module")
def rocksalt() -> Structure:
    """Another structure, of another volume."""
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.2), ["Cu", "Au"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ).get_primitive_structure()


@pytest.fixture(scope="module")
def emt() -> BatchEnergy:
    """A potential that agrees with the engine."""
    return AseEnergy(EMT(), ELEMENTS)


@pytest.fixture
def missed(layered: KnownPhase, rocksalt: Structure) -> Found:
    """A search that has seen nothing but another structure, 100 meV/atom higher."""
    assert not same_phase(layered.relaxed, rocksalt)
    higher = layered.energy + 0.1
    return Found(
        ranking=[Minimum(rocksalt, higher)],
        relaxations=[Relaxation(rocksalt, rocksalt, higher)],
        candidates=[Minimum(rocksalt, higher)],
        archive=[Minimum(rocksalt, higher)],
        unknown=[],
        structures=10,
        evaluations=20,
    )


def reason_of(known: KnownPhase, found: Found, potential: BatchEnergy | None) -> Reason:
    verdict = judge(known, found, potential)
    assert not verdict.solved
    assert verdict.difference == pytest.approx(100.0, abs=0.01)
    assert verdict.reason is not None
    return verdict.reason


def nearly(structure: Structure) -> Structure:
    """The same crystal, as relaxations at finite forces leave it."""
    return to_structure(disturb(to_atoms(structure), seed=3))


def test_solved(layered: KnownPhase, rocksalt: Structure, emt: BatchEnergy, missed: Found) -> None:
    ranking = [Minimum(nearly(layered.relaxed), layered.energy + 0.0009), *missed.ranking]
    verdict = judge(layered, replace(missed, ranking=ranking), emt)
    assert verdict.solved
    assert not verdict.prefers_another
    assert verdict.reason is None
    assert verdict.rank == 1
    assert verdict.difference == pytest.approx(0.9)


def test_a_milli_electronvolt_is_the_limit(
    layered: KnownPhase, emt: BatchEnergy, missed: Found
) -> None:
    ranking = [Minimum(layered.relaxed, layered.energy + 0.0011)]
    assert not judge(layered, replace(missed, ranking=ranking), emt).solved


def test_engine_prefers_another(layered: KnownPhase, rocksalt: Structure, missed: Found) -> None:
    ranking = [Minimum(rocksalt, layered.energy - 0.002), Minimum(layered.relaxed, layered.energy)]
    verdict = judge(layered, replace(missed, ranking=ranking), None)
    assert verdict.solved
    assert verdict.prefers_another
    assert verdict.rank == 2
    assert not verdict.same_group("given", 0.1)


def test_rank_counts_volume_and_cells(missed: Found) -> None:
    known = KnownPhase(Phase("TiO2", "", RUTILE, "TiO2", 2), RUTILE, -8.0, -8.0)
    swollen = RUTILE.copy()
    swollen.scale_lattice(1.15 * RUTILE.volume)
    doubled = RUTILE * (1, 1, 2)
    ranking = [Minimum(s, -8.0) for s in (ANATASE, swollen, doubled)]
    verdict = judge(known, replace(missed, ranking=ranking), None)
    assert verdict.rank == 3
    assert [verdict.within(rank) for rank in (1, 5, 20)] == [False, True, True]
    assert judge(known, replace(missed, ranking=ranking[:2]), None).rank is None


def test_space_groups_as_given_and_as_relaxed(missed: Found) -> None:
    """What misses a symmetry by a little has it by the loose tolerance alone."""
    known = KnownPhase(Phase("TiO2", "", RUTILE, "TiO2", 2), ANATASE, -8.0, -8.0)
    shifted = RUTILE.copy()
    shifted.translate_sites([2], [0.005, 0.0, 0.0], frac_coords=True)
    verdict = judge(known, replace(missed, ranking=[Minimum(shifted, -8.0)]), None)
    assert verdict.same_group("given", 0.1)
    assert not verdict.same_group("given", 0.01)
    assert not verdict.same_group("relaxed", 0.1)


def test_not_found(layered: KnownPhase, emt: BatchEnergy, missed: Found) -> None:
    """The potential prefers it to all that was found, and nobody came there."""
    reason = reason_of(layered, missed, emt)
    assert reason.kind == NOT_FOUND
    assert reason.held_by_potential
    assert reason.potential_above_best == pytest.approx(-100.0, abs=0.1)
    assert reason.lower == 0


def test_ranked_wrongly(
    layered: KnownPhase, rocksalt: Structure, emt: BatchEnergy, missed: Found
) -> None:
    """The potential has something else 20 meV/atom below it."""
    below = [Minimum(rocksalt, layered.energy - 0.02)]
    reason = reason_of(layered, replace(missed, candidates=below, archive=below), emt)
    assert reason.kind == RANKED_WRONGLY
    assert reason.potential_above_best == pytest.approx(20.0, abs=0.1)
    assert reason.lower == 1
    assert "20.0 meV/atom" in reason.text


def test_ranked_wrongly_where_the_potential_does_not_hold_it(
    layered: KnownPhase, missed: Found
) -> None:
    small = AseEnergy(LennardJones(sigma=2.0, epsilon=0.05, rc=6.0), ELEMENTS)
    reason = reason_of(layered, missed, small)
    assert reason.kind == RANKED_WRONGLY
    assert reason.held_by_potential is False
    assert "does not hold it" in reason.text


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("candidates", "2 of 2 candidates"),
        ("archive", "2 of 2 in the archive"),
        ("unknown", "too uncertain"),
    ],
)
def test_left_out(
    layered: KnownPhase, emt: BatchEnergy, missed: Found, where: str, words: str
) -> None:
    """The last search had it, and the engine never got it."""
    seen = [*getattr(missed, where), Minimum(nearly(layered.relaxed), layered.energy)]
    reason = reason_of(layered, replace(missed, **{where: seen}), emt)
    assert reason.kind == LEFT_OUT
    assert words in reason.text


def test_lost_in_relaxation_elsewhere(
    layered: KnownPhase, rocksalt: Structure, emt: BatchEnergy, missed: Found
) -> None:
    """It was chosen, and the engine's relaxation left it; that it was a candidate is no news."""
    start = nearly(layered.relaxed)
    found = replace(
        missed,
        relaxations=[*missed.relaxations, Relaxation(start, rocksalt, layered.energy + 0.1)],
        candidates=[*missed.candidates, Minimum(start, layered.energy)],
    )
    reason = reason_of(layered, found, emt)
    assert reason.kind == LOST
    assert "in another structure, 100.0 meV/atom above" in reason.text


def test_lost_in_relaxation_half_way(layered: KnownPhase, emt: BatchEnergy, missed: Found) -> None:
    start = nearly(layered.relaxed)
    found = replace(missed, relaxations=[Relaxation(start, start, layered.energy + 0.1)])
    reason = reason_of(layered, found, emt)
    assert reason.kind == LOST
    assert "in the known phase still" in reason.text


def test_lost_on_the_way_there(
    layered: KnownPhase, rocksalt: Structure, emt: BatchEnergy, missed: Found
) -> None:
    """It began elsewhere and came to the known phase, too high to be at its end."""
    end = nearly(layered.relaxed)
    found = replace(missed, relaxations=[Relaxation(rocksalt, end, layered.energy + 0.1)])
    assert reason_of(layered, found, emt).kind == LOST


def test_lost_in_a_relaxation_that_failed(
    layered: KnownPhase, emt: BatchEnergy, missed: Found
) -> None:
    start = nearly(layered.relaxed)
    found = replace(missed, relaxations=[Relaxation(start, start, None)])
    assert reason_of(layered, found, emt).text == f"{LOST}: it failed"


def test_nothing_ranked(layered: KnownPhase, missed: Found) -> None:
    with pytest.raises(ValueError, match="nothing is ranked for CuAu_L10"):
        judge(layered, replace(missed, ranking=[]), None)


def test_what_is_found_is_kept(missed: Found, tmp_path: Path) -> None:
    missed.save(tmp_path / "found.json")
    again = Found.load(tmp_path / "found.json")
    assert again is not None
    assert again.ranking[0].structure == missed.ranking[0].structure
    assert again.relaxations[0].energy == missed.relaxations[0].energy
    replace(missed, version=0).save(tmp_path / "old.json")
    assert Found.load(tmp_path / "old.json") is None
