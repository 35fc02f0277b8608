"""What dynamics and close encounters must look like."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from ase.optimize import FIRE

from nnp.calculator import NeuralNetworkCalculator
from nnp.descriptors import SymmetryFunctions
from nnp.kernels.repulsion import Repulsion, pair_repulsion
from tests.nnp.samples import disordered, random_potential

ELEMENTS = ("Li", "Al", "Cl")


def test_energy_is_conserved_in_dynamics() -> None:
    """2 ps at constant energy: less than 0.1 meV/atom/ps of drift."""
    potential = random_potential(SymmetryFunctions.standard(ELEMENTS), seed=2)
    potential.repulsion = Repulsion.below(ELEMENTS, np.full((3, 3), 2.0), 3.0)
    atoms = disordered("Li4Al4Cl16", 9.0, closest=1.9)
    atoms.calc = NeuralNetworkCalculator(potential)
    FIRE(atoms, logfile=None).run(fmax=0.5, steps=50)
    MaxwellBoltzmannDistribution(atoms, temperature_K=600, rng=np.random.default_rng(0))
    energies = []
    dynamics = VelocityVerlet(atoms, timestep=1.0 * units.fs)
    dynamics.attach(lambda: energies.append(atoms.get_total_energy()), interval=10)
    dynamics.run(2000)
    times = np.linspace(0.0, 2.0, len(energies))
    drift = np.polyfit(times, energies, 1)[0] / len(atoms)
    assert abs(drift) < 1e-4
    kinetic = atoms.get_kinetic_energy() / len(atoms)
    assert kinetic > 0.02  # it moved


@pytest.mark.kernels
def test_pair_repulsion_is_smooth_and_matches_the_universal_potential() -> None:
    table = Repulsion.below(ELEMENTS, np.full((3, 3), 2.0)).table
    row = table[1, 2]
    # Al-Cl at 0.5 Å by hand: Z 13 and 17, screening length 0.8854 a0 / (Z1^0.23 + Z2^0.23).
    a = 0.8854 * 0.529177210903 / (13**0.23 + 17**0.23)
    x = 0.5 / a
    phi = 0.18175 * np.exp(-3.1998 * x) + 0.50986 * np.exp(-0.94229 * x)
    phi += 0.28022 * np.exp(-0.4029 * x) + 0.02817 * np.exp(-0.20162 * x)
    assert pair_repulsion(0.5, row)[0] == pytest.approx(14.399645 * 13 * 17 / 0.5 * phi, rel=1e-6)
    h = 1e-5
    for r in (0.3, 0.9, 1.19999, 1.20001, 1.6, 1.9, 1.9999, 2.0, 2.3):
        value, slope = pair_repulsion(r, row)
        numerical = (pair_repulsion(r + h, row)[0] - pair_repulsion(r - h, row)[0]) / (2 * h)
        assert slope == pytest.approx(numerical, rel=1e-4, abs=1e-6)
        assert value >= 0.0
        assert slope <= 0.0
    assert pair_repulsion(2.0, row) == (0.0, 0.0)


@pytest.mark.kernels
def test_repulsion_enters_energy_forces_and_stress() -> None:
    bare = random_potential(SymmetryFunctions.standard(ELEMENTS))
    full = random_potential(SymmetryFunctions.standard(ELEMENTS))
    full.repulsion = Repulsion.below(ELEMENTS, np.full((3, 3), 2.0), 1.5)
    atoms = Atoms("LiCl", positions=[[0.2, 0, 0], [1.2, 0.8, 0]], cell=np.eye(3) * 9, pbc=True)
    vector = atoms.positions[1] - atoms.positions[0]
    r = float(np.linalg.norm(vector))
    value, slope = pair_repulsion(r, full.repulsion.table[0, 2])
    without, core = bare.compute([atoms]), full.compute([atoms])
    assert core.energies[0] - without.energies[0] == pytest.approx(value, rel=1e-10)
    extra = core.forces[0] - without.forces[0]
    np.testing.assert_allclose(extra[1], -slope * vector / r, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(extra[0], -extra[1], atol=1e-10)
    stress = (core.stresses[0] - without.stresses[0]) * atoms.get_volume()
    np.testing.assert_allclose(stress, slope * np.outer(vector, vector) / r, atol=1e-9)


def test_atoms_pushed_together_relax_apart() -> None:
    potential = random_potential(SymmetryFunctions.standard(ELEMENTS), seed=1)
    potential.repulsion = Repulsion.below(ELEMENTS, np.full((3, 3), 2.2), 3.0)
    atoms = disordered("Li2Al2Cl8", 8.0, closest=2.2)
    atoms.positions[0] = atoms.positions[5] + [0.4, 0.0, 0.0]
    atoms.calc = NeuralNetworkCalculator(potential)
    high = atoms.get_potential_energy()
    assert FIRE(atoms, logfile=None, maxstep=0.1).run(fmax=0.1, steps=500)
    distances = atoms.get_all_distances(mic=True) + 10 * np.eye(len(atoms))
    assert high - atoms.get_potential_energy() > 100.0
    assert distances.min() > 1.5
