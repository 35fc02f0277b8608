"""The guessed pair potential against its own derivatives and against crystals."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from pymatgen.core import Composition

from search.relax.limits import RelaxationLimits
from workflows.engines.ase.pair import PairCalculator, oxidation_states, pair_parameters
from workflows.engines.ase.relax import relax_atoms
from workflows.engines.registry import find_engine


def melt(n_units: int = 2, seed: int = 0) -> Atoms:
    """Triclinic cell, smaller than the cutoff, of random LiAlCl4."""
    rng = np.random.default_rng(seed)
    n = 6 * n_units
    cell = 6.5 * np.eye(3) + rng.uniform(-1, 1, (3, 3))
    atoms = Atoms(f"Li{n_units}Al{n_units}Cl{4 * n_units}", cell=cell, pbc=True,
                  scaled_positions=rng.random((n, 3)))  # fmt: skip
    for _ in range(3000):
        distances = atoms.get_all_distances(mic=True) + 9 * np.eye(n)
        worst = np.unravel_index(distances.argmin(), distances.shape)
        if distances[worst] > 1.6:
            break
        atoms.positions[worst[0]] = rng.random(3) @ cell
    atoms.calc = PairCalculator()
    return atoms


def energy(atoms: Atoms) -> float:
    copy = atoms.copy()
    copy.calc = PairCalculator()
    return copy.get_potential_energy()


@pytest.mark.kernels
def test_forces_are_derivatives_of_the_energy() -> None:
    atoms, step = melt(), 1e-5
    forces = atoms.get_forces()
    for atom, axis in ((0, 0), (3, 1), (11, 2)):
        ahead, behind = atoms.copy(), atoms.copy()
        ahead.positions[atom, axis] += step
        behind.positions[atom, axis] -= step
        slope = (energy(ahead) - energy(behind)) / (2 * step)
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-6)
    assert forces.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-10)


@pytest.mark.kernels
def test_stress_is_the_derivative_by_strain() -> None:
    atoms, step = melt(), 1e-5
    numeric = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            values = []
            for sign in (1, -1):
                strain = np.eye(3)
                strain[i, j] += sign * step / 2
                strain[j, i] += sign * step / 2
                strained = atoms.copy()
                strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
                values.append(energy(strained))
            numeric[i, j] = (values[0] - values[1]) / (2 * step * atoms.get_volume())
    assert atoms.get_stress() == pytest.approx(full_3x3_to_voigt_6_stress(numeric), abs=1e-7)


def test_supercells_and_unwrapped_atoms_change_nothing() -> None:
    atoms = melt()
    assert energy(atoms * (2, 1, 3)) == pytest.approx(6 * energy(atoms), rel=1e-12)
    moved = atoms.copy()
    shifts = np.outer(np.arange(len(atoms)), [3, -2, 1])
    moved.positions += shifts @ atoms.cell.array
    assert energy(moved) == pytest.approx(energy(atoms), rel=1e-9)


def test_energy_and_force_vanish_smoothly_at_the_cutoff() -> None:
    atoms = Atoms("NaCl", cell=30 * np.eye(3), pbc=True)
    distances = np.linspace(7.9, 8.1, 201)
    energies, forces = [], []
    for distance in distances:
        atoms.positions[1] = (distance, 0, 0)
        atoms.calc = PairCalculator()
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces()[1, 0])
    assert np.abs(np.diff(energies)).max() < 1e-5
    assert np.abs(np.diff(forces)).max() < 1e-4
    assert energies[-1] == forces[-1] == 0


@pytest.mark.parametrize(
    ("name", "structure", "constant"),
    [("NaCl", "rocksalt", 5.64), ("MgO", "rocksalt", 4.21), ("LiCl", "rocksalt", 5.13),
     ("CsCl", "cesiumchloride", 4.12), ("ZnS", "zincblende", 5.41), ("Cu", "fcc", 3.61)],
)  # fmt: skip
def test_crystals_have_about_the_right_size(name: str, structure: str, constant: float) -> None:
    atoms = bulk(name, structure, a=constant, cubic=True)
    atoms.calc = PairCalculator()
    _, converged = relax_atoms(atoms, RelaxationLimits(0.02, 1.0, 300))
    assert converged
    assert atoms.get_volume() == pytest.approx(constant**3, rel=0.35)
    assert atoms.cell.lengths() == pytest.approx([constant] * 3, rel=0.1)


def test_charges_are_scaled_oxidation_states() -> None:
    parameters = pair_parameters("Li8Al8Cl32")
    assert parameters.numbers == (3, 13, 17)
    assert parameters.charges == pytest.approx([0.6, 1.8, -0.6])
    assert not pair_parameters("CuAu").charges.any()
    states = oxidation_states(Composition("Mg2SiO4"))
    assert states == {"Mg": 2.0, "Si": 4.0, "O": -2.0}


def test_every_element_has_an_answer() -> None:
    for symbol in sorted(find_engine("pair").elements()):
        atoms = Atoms([symbol, "O"], positions=[[0, 0, 0], [2, 2, 2]], cell=4 * np.eye(3), pbc=True)
        atoms.calc = PairCalculator()
        assert np.isfinite(atoms.get_potential_energy()), symbol
        assert np.isfinite(atoms.get_forces()).all(), symbol
    assert set(chemical_symbols[1:90]) <= find_engine("pair").elements()


def test_molecules_are_refused() -> None:
    atoms = Atoms("NaCl", positions=[[0, 0, 0], [2.4, 0, 0]], calculator=PairCalculator())
    with pytest.raises(ValueError, match="periodic in all directions"):
        atoms.get_potential_energy()
