"""Under pressure the search minimises the enthalpy."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from nnp.units import KBAR
from search.options import EvolutionOptions
from search.relax.energy import AseEnergy
from search.relax.limits import RelaxationLimits
from search.relax.pressure import PressurizedEnergy
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from search.state.evolution import Evolution
from tests.search.derivatives import evaluate, numerical_force, numerical_stress
from tests.search.pair_energy import PairEnergy

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
