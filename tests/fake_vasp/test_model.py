"""The potential and the errors of basis and mesh: derivatives, convergence, neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.filters import UnitCellFilter
from ase.neighborlist import neighbor_list
from ase.optimize import BFGS
from hypothesis import given
from hypothesis import strategies as st

from tests.fake_vasp.finite_basis import FiniteBasis
from tests.fake_vasp.incar import Incar
from tests.fake_vasp.kpoints import Mesh, read_mesh
from tests.fake_vasp.model import PairPotential
from tests.fake_vasp.neighbors import PairList
from tests.fake_vasp.potcar import made_up

KBAR = 1602.1766


def crystal(seed: int) -> Atoms:
    """Eight atoms of three elements in a skewed cell, one of them far outside of it."""
    generator = np.random.default_rng(seed)
    atoms = bulk("NaCl", "rocksalt", a=5.3, cubic=True)
    atoms.symbols[0] = "Al"
    atoms.rattle(0.15, rng=generator)
    strain = np.eye(3) + 0.06 * generator.standard_normal((3, 3))
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.positions[0] += 2 * atoms.cell[0] - atoms.cell[2]
    return atoms


def mesh(atoms: Atoms, tmp_path, *divisions: int) -> Mesh:
    (tmp_path / "KPOINTS").write_text(f"mesh\n0\nGamma\n{' '.join(map(str, divisions))}\n")
    return read_mesh(tmp_path, atoms.cell.array, Incar(""))


def finite(atoms: Atoms, mesh: Mesh, cutoff: float) -> FiniteBasis:
    recommended = np.array([made_up(symbol).cutoff for symbol in atoms.symbols])
    return FiniteBasis(PairPotential(), cutoff, recommended, mesh, atoms.cell.array.copy())


@pytest.mark.parametrize("with_errors", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_forces_and_stress_are_derivatives(seed, with_errors, tmp_path):
    atoms = crystal(seed)
    atoms.calc = (
        finite(atoms, mesh(atoms, tmp_path, 2, 1, 1), 150.0) if with_errors else PairPotential()
    )
    forces, stress = atoms.get_forces(), atoms.get_stress()
    assert np.abs(forces).max() > 0.5
    np.testing.assert_allclose(forces, calculate_numerical_forces(atoms, 1e-4), atol=1e-5)
    np.testing.assert_allclose(stress, calculate_numerical_stress(atoms, 1e-5), atol=1e-7)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 12),
    size=st.floats(2.0, 9.0),
    cutoff=st.floats(2.0, 6.0),
)
def test_pairs_are_those_of_ase(seed, n, size, cutoff):
    generator = np.random.default_rng(seed)
    cell = size * (np.eye(3) + 0.2 * generator.standard_normal((3, 3)))
    if abs(np.linalg.det(cell)) < 0.2 * size**3:
        cell = size * np.eye(3)
    atoms = Atoms(f"H{n}", positions=generator.uniform(-10, 10, (n, 3)), cell=cell, pbc=True)
    pairs = PairList(cutoff)
    pairs.update(cell, atoms.positions)
    atoms.rattle(0.1, rng=generator)  # within the skin: the list is used again
    atoms.set_cell(cell @ (np.eye(3) + 0.01 * generator.standard_normal((3, 3))))
    found = np.sort(pairs.update(atoms.cell.array, atoms.positions).distances)
    expected = np.sort(neighbor_list("d", atoms, cutoff))[::2]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_salt_crystallizes_with_sensible_bonds():
    atoms = bulk("NaCl", "rocksalt", a=6.2, cubic=True)
    atoms.calc = PairPotential()
    BFGS(UnitCellFilter(atoms), logfile=None).run(fmax=1e-3, steps=100)
    nearest = neighbor_list("d", atoms, 5.0).min()
    assert 2.4 < nearest < 3.2
    together = bulk("NaCl", "cesiumchloride", a=3.2)
    together.symbols[:] = "Cl"
    together.calc = PairPotential()
    BFGS(UnitCellFilter(together), logfile=None).run(fmax=1e-3, steps=100)
    assert atoms.get_potential_energy() / 8 < together.get_potential_energy() / 2 - 0.5


def test_errors_fall_off_with_cutoff(tmp_path):
    atoms = crystal(0)
    gamma = mesh(atoms, tmp_path, 6, 6, 6)
    energies, pressures, forces = [], [], []
    for cutoff in (150, 200, 250, 300, 400, 500):
        atoms.calc = finite(atoms, gamma, cutoff)
        energies.append(atoms.get_potential_energy() / len(atoms))
        pressures.append(-atoms.get_stress()[:3].mean() * KBAR)
        forces.append(atoms.get_forces())
    errors = np.array(energies[:-1]) - energies[-1]
    assert (np.diff(errors) < 0).all()
    assert errors[0] > 0.02
    assert errors[-1] < 0.005
    differences = np.abs(np.array(forces[:-1]) - forces[-1]).max(axis=(1, 2))
    assert (np.diff(differences) < 0).all()
    assert abs(pressures[0] - pressures[-1]) > 10 > abs(pressures[3] - pressures[-1])


def test_errors_fall_off_with_mesh(tmp_path):
    atoms = crystal(0)
    energies = []
    for n in (1, 2, 3, 5):
        atoms.calc = finite(atoms, mesh(atoms, tmp_path, n, n, n), 500.0)
        energies.append(atoms.get_potential_energy() / len(atoms))
    errors = np.array(energies[:-1]) - energies[-1]
    assert errors[0] > 0.05 > errors[1] > errors[2]
    # a supercell at Gamma is as good as its mesh in the small cell
    large = atoms.repeat(2)
    large.calc = finite(large, mesh(large, tmp_path, 1, 1, 1), 500.0)
    assert large.get_potential_energy() / len(large) == pytest.approx(energies[1], abs=1e-6)


def test_stress_has_a_pulay_part(tmp_path):
    """At constant cutoff instead of constant basis the energy has another derivative."""
    atoms = crystal(1)
    few = mesh(atoms, tmp_path, 4, 4, 4)

    def energy(volume_strain: float) -> float:
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array * (1 + volume_strain) ** (1 / 3), scale_atoms=True)
        strained.calc = finite(strained, few, 150.0)
        return strained.get_potential_energy()

    atoms.calc = finite(atoms, few, 150.0)
    pressure = -atoms.get_stress()[:3].mean() * KBAR
    true = -(energy(1e-4) - energy(-1e-4)) / (2e-4 * atoms.get_volume()) * KBAR
    assert pressure < true - 5
