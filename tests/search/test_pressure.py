"""Under pressure the search minimises the enthalpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from nnp.units import KBAR
from search.options import EvolutionOptions
from search.relax.energy import AseEnergy
from search.relax.limits import RelaxationLimits
from search.relax.pressure import PressurizedEnergy, compressed
from search.relax.relaxer import Relaxer
from search.run.driver import SearchStateError, load, run_generations
from search.run.islands import set_up_islands
from search.state.evolution import Evolution
from search.state.fitness import Fitness
from tests.search.derivatives import evaluate, numerical_force, numerical_stress
from tests.search.pair_energy import PairCalculator, PairEnergy, oxide, periclase

TIGHT = Relaxer(RelaxationLimits(max_force=1e-3, max_stress=0.05, max_steps=2000))


def _salt() -> Atoms:
    """A strained crystal without symmetry."""
    atoms = bulk("NaCl", "rocksalt", a=5.4, cubic=True)
    strain = np.random.default_rng(0).normal(0.0, 0.03, (3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    atoms.rattle(0.1, seed=0)
    return atoms


def test_forces_and_stress_are_derivatives_of_the_enthalpy(rock_salt: PairEnergy) -> None:
    atoms, model = _salt(), PressurizedEnergy(rock_salt, 80.0)
    enthalpies, forces, stresses, _ = evaluate(model, atoms)
    energies = evaluate(rock_salt, atoms)[0]
    assert enthalpies[0] - energies[0] == pytest.approx(80.0 / KBAR * atoms.get_volume())
    for a, b in ((0, 0), (2, 2), (0, 1), (1, 2)):
        assert stresses[0, a, b] == pytest.approx(numerical_stress(model, atoms, a, b), abs=1e-6)
    assert forces[1, 2] == pytest.approx(numerical_force(model, atoms, 1, 2), abs=1e-6)


def test_a_crystal_of_a_calculator_relaxes_to_the_pressure() -> None:
    copper, energy = bulk("Cu", "fcc", a=3.6), AseEnergy(EMT(), ("Cu",))
    relaxed = TIGHT.relax([copper], PressurizedEnergy(energy, 100.0))[0]
    atoms = relaxed.atoms
    atoms.calc = EMT()
    stress = atoms.get_stress() * KBAR
    np.testing.assert_allclose(stress[:3], -100.0, atol=0.1)
    np.testing.assert_allclose(stress[3:], 0.0, atol=0.1)
    expected = atoms.get_potential_energy() + 100.0 / KBAR * atoms.get_volume()
    assert relaxed.energy == pytest.approx(expected, abs=1e-9)
    assert PressurizedEnergy(energy, 100.0).elements == ("Cu",)


@pytest.mark.parametrize("pressure", [0.0, 50.0])
def test_pairs_relax_to_the_pressure_in_a_batch(pressure: float, rock_salt: PairEnergy) -> None:
    """Some end sooner than others, so that the batch is cut down on the way."""
    starts = [bulk("NaCl", "rocksalt", a=5.2), _salt()]
    relaxed = TIGHT.relax(starts, PressurizedEnergy(rock_salt, pressure))
    assert all(r.converged for r in relaxed)
    for r in relaxed:
        stresses = evaluate(rock_salt, r.atoms)[2]
        np.testing.assert_allclose(stresses[0] * KBAR, -pressure * np.eye(3), atol=0.1)


def test_a_search_under_pressure_ranks_by_enthalpy(rock_salt: PairEnergy) -> None:
    """It ends at the compressed rock salt, with the enthalpy of that."""
    options = EvolutionOptions(formula_units=(1, 2), population=12, generations=4)
    energy = PressurizedEnergy(rock_salt, 100.0)
    evolution = Evolution({"Na": 1, "Cl": 1}, options, seed=2)
    best = run_generations(evolution, Relaxer(), energy, 4).best(1)[0]
    known = TIGHT.relax([bulk("NaCl", "rocksalt", a=5.4)], energy)[0]
    assert best.space_group == 225
    assert best.fitness == pytest.approx(known.energy / 2, abs=2e-3)
    assert best.volume == pytest.approx(known.atoms.get_volume() / 2, rel=0.01)


@pytest.mark.parametrize("pressure", [0.0, 50.0])
def test_an_energy_that_knows_no_stress_is_refused(rock_salt: PairEnergy, pressure: float) -> None:
    class Blind(PairEnergy):
        knows_stress = False

    rock_salt.__class__ = Blind
    energy = PressurizedEnergy(rock_salt, pressure) if pressure else rock_salt
    with pytest.raises(ValueError, match="trained without stresses and cannot relax cells"):
        Relaxer().relax([_salt()], energy)


def _at(relaxer: Relaxer, pressure: float) -> Relaxer:
    """The same relaxer under a pressure (kbar)."""
    return replace(relaxer, limits=replace(relaxer.limits, pressure=pressure))


@pytest.mark.parametrize("pressure", [-20.0, 0.0, 1000.0])
@pytest.mark.parametrize("model", [periclase, oxide])
def test_magnesia_is_where_ase_relaxes_it(model: Any, pressure: float) -> None:
    """Lennard-Jones and Buckingham; ASE's filter with a scalar pressure is the oracle."""
    energy = model()
    start = bulk("MgO", "rocksalt", a=4.2, cubic=True)
    start.rattle(0.03, seed=1)
    expected = start.copy()
    expected.calc = PairCalculator(energy)
    filtered = FrechetCellFilter(expected, scalar_pressure=pressure / KBAR)
    assert BFGS(filtered, logfile=None).run(fmax=1e-5, steps=2000)
    enthalpy = expected.get_potential_energy() + pressure / KBAR * expected.get_volume()

    (relaxed,) = _at(TIGHT, pressure).relax([start], energy)
    assert relaxed.converged
    assert relaxed.atoms.get_volume() == pytest.approx(expected.get_volume(), rel=1e-3)
    assert relaxed.energy / 8 == pytest.approx(enthalpy / 8, abs=1e-5)

    # at the end the enthalpy does not change with the volume
    enthalpies = []
    for scale in (1.0 - 1e-4, 1.0 + 1e-4):
        atoms = relaxed.atoms.copy()
        atoms.set_cell(atoms.cell * scale, scale_atoms=True)
        volume = atoms.get_volume()
        enthalpies.append(evaluate(energy, atoms)[0][0] + pressure / KBAR * volume)
    change = 6e-4 * relaxed.atoms.get_volume()
    slope = (enthalpies[1] - enthalpies[0]) / change * KBAR
    assert slope == pytest.approx(0.0, abs=0.1)


def test_an_energy_without_uncertainties_has_none_under_pressure(rock_salt: PairEnergy) -> None:
    """A potential of one network says so with nothing, each time that it is asked."""
    atoms, model = _salt(), PressurizedEnergy(rock_salt, 80.0)
    evaluator = model.evaluator(atoms.numbers, np.array([len(atoms)]))
    assert evaluator.uncertainties() is None
    evaluator.inner.uncertainties = lambda: None
    assert evaluator.uncertainties() is None
    evaluator.inner.uncertainties = lambda: [0.1]
    assert evaluator.uncertainties().tolist() == [0.1]


def test_the_pressure_of_the_fitness_is_that_of_the_search(
    rock_salt: PairEnergy, tmp_path: Path
) -> None:
    """It is saved with the search, which goes on under no other one."""
    options = EvolutionOptions(formula_units=(1, 2), population=12, generations=3)
    state = tmp_path / "state.json"

    def search(pressure: float, generations: int) -> Evolution:
        fitness = Fitness(pressure=pressure)
        (evolution,) = set_up_islands({"Na": 1, "Cl": 1}, options, [2], fitness=fitness)
        return run_generations(evolution, Relaxer(), rock_salt, generations, checkpoint=state)

    search(100.0, 2)
    assert load(state).fitness == Fitness(pressure=100.0)
    with pytest.raises(SearchStateError, match="at 100 kbar, not at 0 kbar"):
        search(0.0, 3)
    best = search(100.0, 3).best(1)[0]
    (known,) = _at(TIGHT, 100.0).relax([bulk("NaCl", "rocksalt", a=5.4)], rock_salt)
    assert best.fitness == pytest.approx(known.energy / 2, abs=2e-3)
    energy = evaluate(rock_salt, best.structure)[0][0] / len(best.structure)
    fitness = Fitness(pressure=100.0)
    assert fitness.quantity == "enthalpy"
    assert fitness.without_pressure(best.energy, best.volume) == pytest.approx(energy, abs=1e-9)


def test_what_was_saved_before_there_was_a_pressure_has_none() -> None:
    fitness, limits_before = Fitness().as_dict(), RelaxationLimits().as_dict()
    del fitness["pressure"], limits_before["pressure"]
    assert Fitness.read(fitness).pressure == 0.0
    assert RelaxationLimits.from_dict(limits_before).pressure == 0.0
    assert Fitness.read(Fitness(pressure=-20.0).as_dict()).pressure == -20.0
    limits = RelaxationLimits(pressure=50.0)
    assert RelaxationLimits.from_dict(limits.as_dict()) == limits


def test_a_guessed_volume_falls_with_the_pressure() -> None:
    pressures = [-500.0, -100.0, 0.0, 100.0, 1000.0, 10_000.0]
    volumes = [compressed(10.0, pressure) for pressure in pressures]
    assert volumes == sorted(volumes, reverse=True)
    assert volumes[2] == 10.0
    # bulk modulus and its derivative of what it assumes, by differences
    assert (volumes[2] - compressed(10.0, 1.0)) / 10.0 == pytest.approx(1 / 1000, rel=0.01)
    # stishovite, one of the hardest, has 0.79 of its volume at 100 GPa, sodium chloride 0.49
    assert 0.49 < volumes[4] / 10.0 < 0.79
