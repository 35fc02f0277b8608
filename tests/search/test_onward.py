"""What a search reports is relaxed to the tight limits, whenever it was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from search.candidate import MIGRANT
from search.options import EvolutionOptions
from search.relax.energy import AseEnergy
from search.relax.limits import RelaxationLimits
from search.relax.onward import relax_on, relax_on_nearest
from search.relax.relaxed import CONVERGED, LOOSE, OUT_OF_STEPS
from search.relax.relaxer import Relaxer
from search.run.driver import SearchFigures, load, run_generations
from search.state.evolution import Evolution

ALLOY = {"Cu": 1, "Au": 1}


def layered(a: float, c: float, seed: int, repeat: int = 1) -> Atoms:
    """L1_0 CuAu with some lattice constants (Å), its atoms a little off their places."""
    places = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    atoms = Atoms("Cu2Au2", scaled_positions=places, cell=[a, a, c], pbc=True)
    atoms = make_supercell(atoms, np.diag([1, 1, repeat]))
    atoms.rattle(0.03, seed=seed)
    return atoms


STARTS = [
    layered(3.75, 3.75, 0), layered(4.0, 3.6, 1), layered(3.9, 3.9, 2), layered(3.85, 4.1, 3),
    layered(4.1, 3.5, 4, repeat=2),
]  # fmt: skip


def by_ase(atoms: Atoms) -> float:
    """Energy per atom (eV) of the minimum that ASE finds."""
    atoms = atoms.copy()
    atoms.calc = EMT()
    with BFGS(FrechetCellFilter(atoms), logfile=None) as optimiser:
        optimiser.run(fmax=1e-3, steps=500)
    return float(atoms.get_potential_energy() / len(atoms))


def search(seeds: list[Atoms], structures: int, seed: int = 1) -> Evolution:
    """A search of CuAu at its start."""
    options = EvolutionOptions(
        formula_units=(1, 2), population=len(seeds) or 4, max_structures=structures,
        generations=100,
    )  # fmt: skip
    return Evolution(ALLOY, options, seed, seeds)


@pytest.mark.parametrize("number", range(len(STARTS)))
def test_a_known_phase_has_the_energy_that_ase_gives_it(number: int) -> None:
    """Alone in the first generation, where no best one is known to be near to."""
    ended = run_generations(search([STARTS[number]], 1), Relaxer(), AseEnergy(EMT()), 1)
    assert ended.best_energy == pytest.approx(by_ase(STARTS[number]), abs=1e-4)
    assert ended.best_energy == pytest.approx(-0.01144, abs=1e-4)
    assert ended.archive.members[0].status == CONVERGED


def test_one_crystal_is_listed_once_however_it_starts() -> None:
    ended = run_generations(search(STARTS, len(STARTS)), Relaxer(), AseEnergy(EMT()), 1)
    assert len(ended.archive) == 1
    assert ended.discards["duplicate"] == len(STARTS) - 1


def test_steps_and_limits_of_what_is_relaxed_on() -> None:
    energy, relaxer = AseEnergy(EMT()), Relaxer()
    (loose,) = relaxer.relax([STARTS[2]], energy)
    assert loose.status == LOOSE
    (tight,) = relax_on(relaxer, [loose], energy)
    assert tight.status == CONVERGED
    assert tight.converged
    assert tight.steps > loose.steps
    assert tight.energy < loose.energy
    assert tight.max_force < relaxer.tight_force
    assert tight.max_stress < relaxer.tight_stress
    # without a better place to go, things stay as they were
    stopped = Relaxer(RelaxationLimits(max_steps=1))
    (same,) = relax_on(stopped, [loose], energy)
    assert same.status == LOOSE
    assert same.energy == pytest.approx(loose.energy, abs=1e-9)
    assert same.steps == loose.steps + 1


def test_only_those_near_the_best_go_on_in_a_generation() -> None:
    energy, relaxer = AseEnergy(EMT()), Relaxer()
    loose = relaxer.relax([STARTS[2], STARTS[2]], energy)
    per_atom = loose[0].energy / len(STARTS[2])
    best = np.array([per_atom, per_atom - 0.1])
    near, far = relax_on_nearest(relaxer, loose, energy, best)
    assert (near.status, far.status) == (CONVERGED, LOOSE)
    never = Relaxer(tight_window=None)
    assert [r.status for r in never.relax([STARTS[2]], energy)] == [CONVERGED]
    assert relax_on_nearest(never, loose, energy, best) == loose


def test_a_finished_search_relaxes_on_what_it_reports(tmp_path: Path) -> None:
    """Also what lies above the window; those of other islands are left to them."""
    relaxer, energy, told = Relaxer(tight_window=0.001), AseEnergy(EMT()), list[SearchFigures]()
    plain = run_generations(search([], 12), relaxer, energy, 100)
    assert any(member.status == LOOSE for member in plain.archive.members)
    assert not plain.went_on
    ended = run_generations(
        search([], 12), relaxer, energy, 100, n_best=50, progress=told.append,
        checkpoint=tmp_path / "state.json",
    )  # fmt: skip
    marked = [member for member in ended.archive.members if not member.converged]
    assert len(marked) <= 1  # one flies apart as soon as it goes on
    assert {member.id for member in marked} <= ended.went_on
    assert ended.structures == 12  # what goes on is no new structure
    assert len(ended.went_on) == sum(figures.went_on for figures in told) > 0
    assert len(ended.archive) <= len(plain.archive)
    fitness = [member.fitness for member in ended.archive.members]
    assert fitness == sorted(fitness)
    assert [member.energy for member in ended.archive.members] == [
        ended.individuals[member.id].energy for member in ended.archive.members
    ]
    energies = [new.energy for new in ended.best_history]
    assert energies == sorted(energies, reverse=True)
    assert energies[-1] == ended.best_energy
    # nothing is left to do, and the state says so
    again = run_generations(
        search([], 12), relaxer, energy, 100, n_best=50, checkpoint=tmp_path / "state.json"
    )
    assert again.went_on == ended.went_on
    assert again.as_dict() == load(tmp_path / "state.json").as_dict()


def test_a_search_that_is_stopped_while_it_relaxes_on_ends_the_same(tmp_path: Path) -> None:
    relaxer, energy = Relaxer(tight_window=0.001), AseEnergy(EMT())
    whole = run_generations(search([], 12), relaxer, energy, 100, n_best=50)

    def stop(figures: SearchFigures) -> None:
        if figures.went_on:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "state.json"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_generations(
                search([], 12), relaxer, energy, 100, n_best=50, checkpoint=checkpoint,
                progress=stop,
            )  # fmt: skip
    assert 0 < len(load(checkpoint).went_on) < len(whole.went_on)
    ended = run_generations(search([], 12), relaxer, energy, 100, n_best=50, checkpoint=checkpoint)
    assert ended.as_dict() == whole.as_dict()


def test_what_does_not_get_there_is_tried_once_and_stays_marked() -> None:
    relaxer = Relaxer(RelaxationLimits(max_steps=3))
    ended = run_generations(search([], 4), relaxer, AseEnergy(EMT()), 100, n_best=10)
    tried = [member for member in ended.archive.members if not member.converged]
    assert tried
    assert {member.status for member in tried} <= {LOOSE, OUT_OF_STEPS}
    assert {member.id for member in tried} <= ended.went_on
    assert ended.unfinished(10) == []


def test_migrants_are_left_to_their_own_island() -> None:
    energy = AseEnergy(EMT())
    one = run_generations(search([], 4), Relaxer(tight_window=0.0), energy, 1)
    other = Evolution(ALLOY, EvolutionOptions(formula_units=(1, 2), population=4))
    other.add_migrants(one.best(3))
    assert other.archive.members[0].operator == MIGRANT
    assert other.unfinished(3) == []


def test_members_of_an_earlier_lineage_stay_out_of_the_present_one() -> None:
    energy, relaxer = AseEnergy(EMT()), Relaxer(tight_window=None)
    evolution = run_generations(search([], 8), relaxer, energy, 1)
    evolution.lineages.restart(1)
    member = evolution.archive.members[-1]
    member.status = LOOSE
    (result,) = Relaxer().relax([member.structure], energy)
    evolution.renew([member], [result])
    assert member in evolution.archive.members or member.atoms is None
    assert len(evolution.lineage) == 0


def test_copper_needs_no_second_look() -> None:
    """What is under the tight limits already is not relaxed again."""
    seeds = [bulk("Cu", "fcc", a=3.59)]
    evolution = Evolution({"Cu": 1}, EvolutionOptions(formula_units=(1,), population=1,
                                                      max_structures=1), 0, seeds)  # fmt: skip
    ended = run_generations(evolution, Relaxer(), AseEnergy(EMT()), 1, n_best=5)
    assert not ended.went_on
