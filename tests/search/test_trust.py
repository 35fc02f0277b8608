"""What an ensemble does not know: uncertainties from its networks to the results of a search."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from numpy.typing import NDArray

from nnp.potential import Potential
from search.options import EvolutionOptions
from search.relax.energy import AseEnergy, uncertainties_of
from search.relax.limits import RelaxationLimits
from search.relax.onward import relax_on
from search.relax.pressure import PressurizedEnergy
from search.relax.relaxed import GIVEN_UP, Relaxed
from search.relax.relaxer import Relaxer
from search.relax.trust import UNKNOWN, Trust
from search.run.driver import load, run_generations
from search.run.islands import summarise
from search.state.acceptance import as_relaxed
from search.state.evolution import Evolution
from search.state.fitness import Fitness
from tests.search.ensemble import gold_and_copper

LIMIT = 0.05
"""eV/atom; between what the ensemble says of CuAu as it was trained on and of random crystals."""


@pytest.fixture(scope="module")
def ensemble() -> Potential:
    """Four networks with holes."""
    return gold_and_copper()


def _single(ensemble: Potential) -> Potential:
    return replace(
        ensemble,
        weights=tuple(w[:, :1] for w in ensemble.weights),
        biases=tuple(b[:, :1] for b in ensemble.biases),
    )


def _starts(n: int, seed: int = 5) -> list[Atoms]:
    options = EvolutionOptions(formula_units=(2,), population=n, volume_per_atom=14.0)
    evolution = Evolution({"Cu": 1, "Au": 1}, options, seed)
    return [candidate.atoms for candidate in evolution.ask()]


def _search(fitness: Fitness | None, generations: int = 4, seed: int = 2) -> Evolution:
    options = EvolutionOptions(
        formula_units=(1, 2), population=10, generations=generations, volume_per_atom=14.0
    )
    return Evolution({"Cu": 1, "Au": 1}, options, seed, fitness=fitness)


def _record(evolution: Evolution) -> list[str]:
    """All that is kept of every structure; as text, since NaN is not itself."""
    return [repr(individual) for individual in evolution.individuals]


def test_an_evaluator_says_how_wrong_its_last_energies_may_be(ensemble: Potential) -> None:
    structures = [bulk("Cu"), *_starts(3)]
    expected = ensemble.compute(structures).uncertainties
    numbers = np.concatenate([atoms.numbers for atoms in structures])
    evaluator = ensemble.evaluator(numbers, [len(atoms) for atoms in structures], threads=2)
    cells = np.array([np.array(atoms.cell) for atoms in structures])
    positions = np.concatenate([atoms.positions for atoms in structures])
    evaluator.compute(cells, positions)
    np.testing.assert_allclose(uncertainties_of(evaluator, 4), expected, rtol=1e-12)
    keep = np.array([False, True, False, True])
    atoms = np.repeat(keep, [len(a) for a in structures])
    few = pickle.loads(pickle.dumps(evaluator.select(keep)))
    few.compute(cells[keep], positions[atoms])
    np.testing.assert_allclose(few.uncertainties(), expected[keep], rtol=1e-12)
    squeezed = PressurizedEnergy(ensemble, 50.0).evaluator(numbers, evaluator.counts)
    squeezed.compute(cells, positions)
    np.testing.assert_allclose(uncertainties_of(squeezed, 4), expected, rtol=1e-12)


def test_one_network_and_a_calculator_say_nothing(ensemble: Potential) -> None:
    for energy in (_single(ensemble), AseEnergy(EMT()), PressurizedEnergy(AseEnergy(EMT()), 1.0)):
        (relaxed,) = Relaxer(RelaxationLimits(max_steps=2)).relax([bulk("Cu")], energy)
        assert relaxed.uncertainty is None
        assert Fitness(caution=3.0, max_uncertainty=1e-4).knows(relaxed)
        assert Fitness(caution=3.0).of(relaxed) == relaxed.energy


def test_relaxed_structures_carry_the_uncertainty_of_their_energy(ensemble: Potential) -> None:
    relaxed = Relaxer(RelaxationLimits(max_steps=30)).relax(_starts(6), ensemble)
    for one in relaxed:
        predicted = ensemble.compute([one.atoms])
        assert one.energy == pytest.approx(predicted.energies[0], abs=1e-8)
        assert one.uncertainty == pytest.approx(predicted.uncertainties[0], rel=1e-6)


class _Recorded:
    """An energy that remembers its only structure's energies and uncertainties (eV/atom)."""

    def __init__(self, energy: Potential) -> None:
        self.energy, self.elements = energy, energy.elements
        self.path: list[tuple[float, float]] = []

    def evaluator(
        self, numbers: NDArray[np.integer], counts: NDArray[np.integer], threads: int = 1
    ) -> _Recorded:
        self.inner, self.count = self.energy.evaluator(numbers, counts, threads), counts[0]
        return self

    def compute(self, cells: NDArray[np.float64], positions: NDArray[np.float64]) -> Any:
        found = self.inner.compute(cells, positions)
        self.path.append((found[0][0] / self.count, self.inner.uncertainties()[0]))
        return found

    def uncertainties(self) -> NDArray[np.float64]:
        return self.inner.uncertainties()


def test_a_structure_is_given_up_where_it_left_what_is_known(ensemble: Potential) -> None:
    starts, trust = _starts(12), Trust(1.0, LIMIT)
    relaxer = Relaxer(energy_window=None, tight_window=None, check_interval=5)
    ends = relaxer.relax(starts, ensemble)
    best = max(one.energy / len(one.atoms) for one in ends if one.usable)
    stopped = relaxer.relax(starts, ensemble, best=best, trust=trust)
    lasted = []
    for start, end, one in zip(starts, ends, stopped, strict=True):
        recorded = _Recorded(ensemble)
        relaxer.relax([start], recorded, best=best, trust=trust)
        out = [u > LIMIT and energy + u < best for energy, u in recorded.path]
        assert one.steps == len(out) <= end.steps
        since = len(out) - out[::-1].index(False) if False in out else 0
        assert (one.status == GIVEN_UP) == (since < len(out))
        if one.status != GIVEN_UP:
            assert one.energy == pytest.approx(end.energy)
            continue
        energy, uncertainty = recorded.path[since]
        assert one.energy / len(one.atoms) == pytest.approx(energy)
        assert one.uncertainty == pytest.approx(uncertainty)
        assert ensemble.compute([one.atoms]).energies[0] == pytest.approx(one.energy)
        lasted.append(len(out) - since - 1)
    # some had not the steps to come back, the others ended before
    assert max(lasted) == 5
    # whatever is high in energy may be as uncertain as it likes
    assert any(
        one.usable and one.uncertainty > LIMIT
        for one in relaxer.relax(starts, ensemble, best=best - 10.0, trust=trust)
    )


def test_uncertainty_counts_against_a_structure() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    relaxed = Relaxed(atoms, -6.0, "converged", uncertainty=0.1)
    assert Fitness().of(relaxed) == -3.0
    assert Fitness(caution=2.0).of(relaxed) == pytest.approx(-2.8)
    assert Fitness(max_uncertainty=0.1).knows(relaxed)
    assert not Fitness(max_uncertainty=0.09).knows(relaxed)
    known = Fitness(caution=2.0, max_uncertainty=0.5)
    assert Fitness(caution=1.0).trusting(Trust(2.0, 0.5)) == known
    assert known.trust == Trust(2.0, 0.5)


def test_no_parent_and_no_result_is_unknown(ensemble: Potential) -> None:
    fitness = Fitness(caution=1.0, max_uncertainty=LIMIT)
    ended = run_generations(_search(fitness), Relaxer(), ensemble, 4, n_best=20)
    members = ended.archive.members
    assert members
    for member in members:
        assert member.uncertainty <= LIMIT
        assert member.fitness == pytest.approx(member.energy + member.uncertainty)
    parents = {id_ for i in ended.individuals for id_ in i.parents}
    # one that was relaxed on in the end may have left what is known since it was a parent
    before = parents - ended.went_on
    assert all(ended.individuals[id_].uncertainty <= LIMIT for id_ in before)
    left_out = [i for i in ended.individuals if i.status == GIVEN_UP]
    assert ended.discards[UNKNOWN] == len(left_out) > 0
    assert {i.id for i in ended.unknown.members} <= {i.id for i in left_out}
    for member in ended.unknown.members:
        assert member.uncertainty > LIMIT
        predicted = ensemble.compute([member.structure])
        assert member.energy * len(member.structure) == pytest.approx(predicted.energies[0])
    trusting = run_generations(_search(None), Relaxer(), ensemble, 4, n_best=20)
    assert any(member.uncertainty > LIMIT for member in trusting.archive.members)
    assert not trusting.unknown.members


def test_a_summary_has_the_unknown_of_all_islands_once(ensemble: Potential) -> None:
    fitness = Fitness(caution=1.0, max_uncertainty=LIMIT)
    islands = [
        run_generations(_search(fitness, 2, seed), Relaxer(), ensemble, 2) for seed in (2, 3, 2)
    ]
    summary = summarise(islands, 5)
    energies = [member.energy for member in summary.unknown]
    assert energies == sorted(energies)
    assert len(energies) >= max(len(island.unknown) for island in islands)
    count = Counter(energies)
    assert max(count.values()) == 1
    assert summary.discards[UNKNOWN] == sum(island.discards[UNKNOWN] for island in islands)


def test_a_search_that_was_stored_ends_where_the_other_does(
    ensemble: Potential, tmp_path: Path
) -> None:
    fitness = Fitness(caution=1.0, max_uncertainty=LIMIT)
    whole = run_generations(_search(fitness), Relaxer(), ensemble, 4)
    path = tmp_path / "state.json"
    run_generations(_search(fitness), Relaxer(), ensemble, 2, checkpoint=path)
    resumed = run_generations(_search(fitness), Relaxer(), ensemble, 4, checkpoint=path)
    assert _record(whole) == _record(resumed)
    assert [m.id for m in whole.unknown.members] == [m.id for m in resumed.unknown.members]
    np.testing.assert_array_equal(whole.unknown.fingerprints, resumed.unknown.fingerprints)


def test_states_that_know_no_uncertainty_are_still_read(ensemble: Potential) -> None:
    ended = run_generations(_search(None, 2), Relaxer(), _single(ensemble), 2)
    state = json.loads(json.dumps(ended.as_dict()))
    del state["unknown"], state["fitness"]["caution"], state["fitness"]["max_uncertainty"]
    for page in state["individuals"]["pages"]:
        del page["uncertainty"]
    again = Evolution.from_dict(state)
    assert _record(again) == _record(ended)
    assert again.individuals[0].uncertainty is None
    assert again.fitness == Fitness()
    for evolution in (again, ended):
        run_generations(evolution, Relaxer(), _single(ensemble), 3)
    assert _record(again) == _record(ended)


def test_a_member_that_relaxes_on_into_the_unknown_leaves(ensemble: Potential) -> None:
    evolution = run_generations(_search(Fitness(), 2), Relaxer(), ensemble, 2)
    leader = evolution.archive.members[0]
    evolution.fitness = Fitness(max_uncertainty=leader.uncertainty / 2)
    (relaxed,) = relax_on(Relaxer(), [as_relaxed(leader)], ensemble)
    evolution.renew([leader], [replace(relaxed, uncertainty=leader.uncertainty)])
    assert leader not in evolution.archive.members
    assert leader not in evolution.lineage.members
    assert evolution.individuals[leader.id].status == GIVEN_UP
    assert [member.id for member in evolution.unknown.members] == [leader.id]
    assert evolution.unknown.members[0].structure == relaxed.atoms
    assert evolution.discards[UNKNOWN] == 1
    assert all(new.id != leader.id for new in evolution.best_history)


KILLED = """
import sys
from pathlib import Path
from nnp.potential import Potential
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from search.state.fitness import Fitness
from tests.search.test_trust import LIMIT, _search

run_generations(
    _search(Fitness(caution=1.0, max_uncertainty=LIMIT), 6), Relaxer(),
    Potential.load(sys.argv[1]), 6, checkpoint=Path(sys.argv[2]), n_best=5,
)
"""


def test_a_search_killed_on_its_way_ends_where_the_other_does(
    ensemble: Potential, tmp_path: Path
) -> None:
    ensemble.save(tmp_path / "ensemble.nnp")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed, whole = tmp_path / "killed.json", tmp_path / "whole.json"
    command = [sys.executable, "-c", KILLED, str(tmp_path / "ensemble.nnp")]
    process = subprocess.Popen([*command, str(killed)], env=environment, cwd=root)
    deadline = time.monotonic() + 300
    while not killed.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 1 <= load(killed).generation < 6
    for path in (killed, whole):
        subprocess.run([*command, str(path)], env=environment, cwd=root, check=True)
    one, other = load(killed), load(whole)
    assert _record(one) == _record(other)
    assert one.generation == 6
    assert len(one.unknown) > 0
    assert [repr(m) for m in one.unknown.members] == [repr(m) for m in other.unknown.members]
    assert one.novelty.pack() == other.novelty.pack()
