from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from ase.build import bulk

from search.options import EvolutionOptions
from search.relax.energy import BatchEnergy
from search.relax.limits import RelaxationLimits
from search.relax.relaxed import Relaxed
from search.relax.relaxer import Relaxer
from search.state.evolution import Evolution
from search.state.fingerprint import distances
from search.state.individual import Individual
from tests.search.pair_energy import PairEnergy


def _options(**changes: Any) -> EvolutionOptions:
    settings = {"formula_units": (2, 4), "population": 12, "generations": 6}
    return EvolutionOptions(**{**settings, **changes})


def _run(evolution: Evolution, energy: BatchEnergy, generations: int) -> Evolution:
    for _ in range(generations):
        candidates = evolution.ask()
        relaxed = Relaxer().relax(
            [c.atoms for c in candidates], energy, distances=evolution.distance_limits
        )
        evolution.tell(relaxed)
    return evolution


def _energies(evolution: Evolution) -> list[float]:
    return [individual.energy for individual in evolution.individuals]


def test_lennard_jones_is_close_packed(lennard_jones: PairEnergy) -> None:
    """Four argon atoms: fcc or hcp, at the energy of the perfect crystal."""
    options = EvolutionOptions(formula_units=(4,), population=15, volume_per_atom=36.0)
    evolution = _run(Evolution({"Ar": 1}, options, seed=1), lennard_jones, 5)
    best = evolution.best(1)[0]
    assert best.space_group in (194, 225)
    fcc = Relaxer(RelaxationLimits(max_stress=0.1)).relax(
        [bulk("Ar", "fcc", a=5.2)], lennard_jones
    )[0]
    assert best.energy == pytest.approx(fcc.energy, abs=0.01)


def test_ions_order_as_rock_salt(rock_salt: PairEnergy) -> None:
    """Two sizes of cell in one search; ions of these sizes have six neighbours."""
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=3), rock_salt, 6)
    best = evolution.best(3)
    assert best[0].space_group == 225
    assert {individual.formula_units for individual in evolution.individuals} == {2, 4}
    assert len({round(b.energy, 6) for b in best}) == 3


def test_wrong_volume_corrects_itself(rock_salt: PairEnergy) -> None:
    evolution = Evolution({"Na": 1, "Cl": 1}, _options(volume_per_atom=30.0), seed=1)
    _run(evolution, rock_salt, 5)
    best = evolution.best(1)[0]
    assert evolution.adaptation.volume_per_atom == pytest.approx(best.volume, rel=0.35)
    assert evolution.adaptation.volume_per_atom < 20.0


def test_operators_take_over_after_the_first_generation(rock_salt: PairEnergy) -> None:
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=2), rock_salt, 4)
    first = [i for i in evolution.individuals if i.generation == 0]
    later = [i for i in evolution.individuals if i.generation > 0]
    assert {i.operator for i in first} <= {"random", "topological"}
    assert len({i.operator for i in later}) >= 4
    assert all(len(i.parents) == 2 for i in later if i.operator == "heredity")
    assert all(max(i.parents, default=-1) < i.id for i in later)


def test_books_balance(rock_salt: PairEnergy) -> None:
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=2), rock_salt, 4)
    assert [i.id for i in evolution.individuals] == list(range(48))
    fate = Counter(i.status.split(" ")[0].rstrip(":") for i in evolution.individuals)
    assert fate["duplicate"] == evolution.discards["duplicate"]
    aborted = sum(n for reason, n in evolution.discards.items() if reason != "duplicate")
    assert fate["aborted"] == aborted - sum(
        n for reason, n in evolution.discards.items() if ": " in reason
    )
    assert fate["converged"] + fate["not"] == len(evolution.archive)
    structures, _, energies, _ = zip(*evolution.best_history, strict=True)
    assert list(structures) == sorted(structures)
    assert list(energies) == sorted(energies, reverse=True)
    assert energies[-1] == evolution.best_energy == min(evolution.archive.energies)


def test_same_seed_same_run_other_seed_another(rock_salt: PairEnergy) -> None:
    runs = [
        _energies(_run(Evolution({"Na": 1, "Cl": 1}, _options(), seed), rock_salt, 3))
        for seed in (7, 7, 8)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert runs[0] != runs[2]


def test_asking_twice_gives_the_same_candidates(rock_salt: PairEnergy) -> None:
    evolution = Evolution({"Na": 1, "Cl": 1}, _options(), seed=1)
    assert evolution.ask() is evolution.ask()


@pytest.mark.parametrize("with_pending", [False, True])
def test_state_round_trip_goes_on_identically(rock_salt: PairEnergy, with_pending: bool) -> None:
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=5), rock_salt, 2)
    evolution.best(3)
    if with_pending:
        evolution.ask()
    text = json.dumps(evolution.as_dict())
    again = Evolution.from_dict(json.loads(text))
    assert again.structures == evolution.structures
    assert again.discards == evolution.discards
    assert [m.space_group for m in again.best(3)] == [m.space_group for m in evolution.best(3)]
    np.testing.assert_array_equal(
        _energies(_run(again, rock_salt, 2)), _energies(_run(evolution, rock_salt, 2))
    )


def test_state_is_small(rock_salt: PairEnergy) -> None:
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=5), rock_salt, 4)
    per_structure = len(json.dumps(evolution.as_dict())) / evolution.structures
    assert per_structure < 600


def test_budget_of_structures_ends_the_search(rock_salt: PairEnergy) -> None:
    evolution = Evolution({"Na": 1, "Cl": 1}, _options(max_structures=20), seed=1)
    while not evolution.finished:
        _run(evolution, rock_salt, 1)
    assert evolution.structures == 20


def test_lost_and_failed_calculations_are_recorded(rock_salt: PairEnergy) -> None:
    evolution = Evolution({"Na": 1, "Cl": 1}, _options(), seed=1)
    candidates = evolution.ask()
    outcome = Relaxer().relax([c.atoms for c in candidates], rock_salt)
    outcome[0] = Relaxed(candidates[0].atoms, float("nan"), "aborted: job failed")
    outcome[1] = Relaxed(candidates[1].atoms, float("nan"), "converged")
    evolution.tell(outcome)
    assert evolution.discards["job failed"] == 1
    assert evolution.individuals[0].status == "aborted: job failed"
    assert evolution.individuals[1].status == "aborted: energy is not finite"
    assert np.isfinite(evolution.best_energy)


def test_mistaken_drivers_are_told() -> None:
    evolution = Evolution({"Na": 1, "Cl": 1}, _options(), seed=1)
    candidates = evolution.ask()
    with pytest.raises(ValueError, match="asked for 12"):
        evolution.tell([])
    foreign = candidates[0].atoms.copy()
    foreign.numbers[:] = 11
    results = [Relaxed(foreign, -1.0, "converged") for _ in candidates]
    with pytest.raises(ValueError, match="another composition"):
        evolution.tell(results)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"formula_units": ()}, "formula_units"),
        ({"shares": {"random": 0.5, "magic": 0.5}}, "magic"),
        ({"shares": {"heredity": 1.0}}, "random generator"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _options(**changes)


def test_distances_of_other_elements_are_refused() -> None:
    with pytest.raises(ValueError, match="different elements"):
        Evolution({"Na": 1, "Cl": 1}, _options(shortest_distances={"Na-Na": 2.0}))


def test_spacing_is_learned_from_the_best_and_kept_by_new_structures(rock_salt: PairEnergy) -> None:
    """Sodium ions end up far apart; new structures start that way, random ones and children."""
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=4), rock_salt, 3)
    learned, first = evolution.adaptation.spacing.as_dict(), evolution.distance_limits.as_dict()
    assert all(learned[pair] >= first[pair] for pair in first)
    assert learned["Na-Na"] > 1.2 * first["Na-Na"]
    assert 0.7 < learned["Cl-Na"] / (0.85 * 2.8) < 1.2
    crowded = [c for c in evolution.ask() if evolution.adaptation.spacing.violated(c.atoms)]
    assert len(crowded) <= 1
    fixed = _run(
        Evolution({"Na": 1, "Cl": 1}, _options(learned_spacing=None), seed=4), rock_salt, 3
    )
    assert fixed.adaptation.spacing.as_dict() == first


def test_seeds_come_first_and_may_win(rock_salt: PairEnergy) -> None:
    salt = bulk("NaCl", "rocksalt", a=5.6)
    evolution = Evolution({"Na": 1, "Cl": 1}, _options(), seed=1, seeds=[salt])
    again = Evolution.from_dict(json.loads(json.dumps(evolution.as_dict())))
    for state in (evolution, again):
        candidates = state.ask()
        assert candidates[0].operator == "seed"
        assert all(c.operator in ("random", "topological") for c in candidates[1:])
        assert candidates[0].formula_units == 1
        assert len(candidates) == 12
    _run(evolution, rock_salt, 1)
    # chance may find rock salt too; the lower of the two stays
    best = evolution.best(1)[0]
    assert best.space_group == 225
    assert evolution.individuals[0].operator == "seed"
    assert evolution.individuals[0].energy == pytest.approx(best.energy, abs=2e-3)


def test_seed_of_another_composition_is_refused() -> None:
    with pytest.raises(ValueError, match="another composition"):
        Evolution({"Na": 1, "Cl": 1}, _options(), seeds=[bulk("Cu")])


def test_islands_exchange_their_best(rock_salt: PairEnergy) -> None:
    one, other = (_run(Evolution({"Na": 1, "Cl": 1}, _options(), s), rock_salt, 2) for s in (1, 2))
    before = one.structures
    new = one.add_migrants(other.best(4))
    assert 1 <= new <= 4
    assert one.structures == before == 24
    assert one.best_energy <= other.best_energy
    assert other.best(1)[0].operator != "island"
    again = Evolution.from_dict(json.loads(json.dumps(one.as_dict())))
    for state in (one, again):
        _run(state, rock_salt, 1)
        assert state.structures == 36
    np.testing.assert_array_equal(_energies(one), _energies(again))
    one.ask()
    with pytest.raises(RuntimeError, match="between"):
        one.add_migrants(other.best(1))


def test_symmetry_classes_are_learned(rock_salt: PairEnergy) -> None:
    """Orders of groups whose structures end low are drawn more often; chances stay chances."""
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=2), rock_salt, 3)
    weights = np.array(evolution.adaptation.group_weights())
    assert weights.sum() == pytest.approx(1.0)
    assert weights.min() > 0.2 / 230
    assert weights.max() > 1.1 / 230


def test_antiseeds_follow_use(rock_salt: PairEnergy) -> None:
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=2), rock_salt, 4)
    assert evolution.antiseeds
    members = {member.id for member in evolution.archive.members}
    assert set(evolution.antiseeds) & members


def test_shares_and_successes_are_recorded(rock_salt: PairEnergy) -> None:
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=2), rock_salt, 3)
    again = Evolution.from_dict(json.loads(json.dumps(evolution.as_dict())))
    for state in (evolution, again):
        shares, children, successes = np.moveaxis(state.share_history.table(), 1, 0)
        assert shares.sum(axis=1) == pytest.approx(np.ones(3))
        assert children.sum(axis=1).tolist() == [12, 12, 12]
        assert (successes <= children).all()
        assert successes.sum() > 0
        assert len(state.share_history) == 3


def test_structures_that_leave_the_archive_leave_the_antiseeds(rock_salt: PairEnergy) -> None:
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(archive_size=5), 2), rock_salt, 4)
    assert len(evolution.archive) == 5
    assert set(evolution.antiseeds) <= {member.id for member in evolution.archive.members}


def test_state_of_an_earlier_version_is_refused() -> None:
    state = Evolution({"Na": 1, "Cl": 1}, _options()).as_dict()
    del state["went_on"]
    with pytest.raises(ValueError, match="earlier version"):
        Evolution.from_dict(state)


def test_prototypes_are_off_unless_asked_for(rock_salt: PairEnergy) -> None:
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, _options(), seed=2), rock_salt, 2)
    assert "prototype" not in {i.operator for i in evolution.individuals}
    asked = Evolution({"Na": 1, "Cl": 1}, _options(prototypes="aflow"), seed=2)
    again = Evolution.from_dict(json.loads(json.dumps(asked.as_dict())))
    for state in (asked, again):
        operators = {c.operator for c in state.ask()}
        assert "prototype" in operators


def _stuck(rock_salt: PairEnergy, generations: int) -> Evolution:
    """A search that soon has the ground state and can only start again."""
    options = _options(formula_units=(2,), restart_after=2, generations=30)
    return _run(Evolution({"Na": 1, "Cl": 1}, options, seed=4), rock_salt, generations)


def test_a_search_that_is_stuck_starts_afresh_and_loses_nothing(rock_salt: PairEnergy) -> None:
    evolution = _stuck(rock_salt, 12)
    assert evolution.lineages.restarts >= 1
    assert evolution.best(1)[0].space_group == 225
    ids = {member.id for member in evolution.lineage.members}
    assert ids <= {member.id for member in evolution.archive.members}
    assert evolution.best(1)[0].id not in ids
    began = min((evolution.individuals[i].generation for i in ids), default=0)
    # nobody of the present lineage has ancestors in an earlier one
    for id_ in ids:
        ancestors = [id_]
        while ancestors:
            individual = evolution.individuals[ancestors.pop()]
            assert individual.generation >= began
            ancestors += individual.parents
    first = {i.operator for i in evolution.individuals if i.generation == began}
    assert first <= {"random", "topological"}


def test_lineages_survive_storage(rock_salt: PairEnergy) -> None:
    evolution = _stuck(rock_salt, 12)
    assert evolution.lineage is not evolution.archive
    again = Evolution.from_dict(json.loads(json.dumps(evolution.as_dict())))
    assert again.lineages.restarts == evolution.lineages.restarts
    assert again.lineages.best == evolution.lineages.best
    assert [m.id for m in again.lineage.members] == [m.id for m in evolution.lineage.members]
    np.testing.assert_array_equal(
        _energies(_run(again, rock_salt, 3)), _energies(_run(evolution, rock_salt, 3))
    )


def test_restarts_can_be_turned_off(rock_salt: PairEnergy) -> None:
    options = _options(formula_units=(2,), restart_after=None, generations=30)
    evolution = _run(Evolution({"Na": 1, "Cl": 1}, options, seed=4), rock_salt, 8)
    assert evolution.lineages.restarts == 0
    assert evolution.lineage is evolution.archive


def test_no_lineage_keeps_a_member_that_lost_its_structure() -> None:
    """A newcomer may replace what the archive of all lineages and the present one hold alike."""
    options = _options(formula_units=(1,), restart_after=None)
    evolution = Evolution({"Cu": 1}, options, seed=1)
    alike = 0.0006

    def enter(id_: int, energy: float, a: float) -> Individual:
        atoms = bulk("Cu", "fcc", a=a)
        individual = Individual(id_, 0, "random", (), 1, energy, energy, 10.0, "converged", atoms)
        evolution.individuals.append(individual)
        evolution._enter(individual, 1)
        return individual

    vector = evolution.archive.fingerprint_of
    steps = [3.60, 3.62, 3.64, 3.66]
    probes = [Individual(0, 0, "", (), 1, 0.0, 0.0, 1.0, "", bulk("Cu", "fcc", a=a)) for a in steps]
    near = max(
        float(distances(vector(one), vector(other)[None])[0])
        for one, other in itertools.pairwise(probes)
    )
    evolution.archive.distance_tolerance = 1.3 * near
    enter(0, -1.0000, 3.60)
    evolution.lineages.restart(0)
    evolution.lineage.distance_tolerance = 1.3 * near
    enter(1, -1.0000 + alike, 3.64)
    enter(2, -1.0000 + 2 * alike, 3.68)
    enter(3, -1.0000 - alike, 3.62)  # takes the place of 0 and 1, but 0 was another lineage's
    enter(4, -1.0000 + alike / 2, 3.66)
    assert all(member.atoms is not None for member in evolution.lineage.members)
    assert all(member.atoms is not None for member in evolution.archive.members)
    again = Evolution.from_dict(json.loads(json.dumps(evolution.as_dict())))
    assert [m.id for m in again.lineage.members] == [m.id for m in evolution.lineage.members]
