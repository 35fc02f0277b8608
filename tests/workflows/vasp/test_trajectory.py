"""Dynamics taken up again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Poscar

from workflows.engines.vasp.trajectory import (
    State,
    draw_velocities,
    read_state,
    state_after,
    temperatures,
)
from workflows.engines.vasp.vasprun import Steps

STEP = 2.0  # fs


def copper_run(n_steps: int) -> tuple[Steps, np.ndarray, np.ndarray]:
    """Verlet dynamics of copper: steps, velocities (Å/fs) at each, masses."""
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    atoms.calc = EMT()
    MaxwellBoltzmannDistribution(atoms, temperature_K=900, rng=np.random.default_rng(1))
    rows, velocities = [], []
    dynamics = VelocityVerlet(atoms, STEP * units.fs)
    for _ in range(n_steps):
        energies = atoms.get_potential_energy(), atoms.get_kinetic_energy()
        place = atoms.get_scaled_positions(wrap=False)
        forces, cell = atoms.get_forces().copy(), atoms.cell.array.copy()
        rows.append((energies[0], forces, np.zeros((3, 3)), cell, place, energies[1], True))
        velocities.append(atoms.get_velocities() * units.fs)
        dynamics.run(1)
    steps = Steps(*(np.array(column) for column in zip(*rows, strict=True)))
    return steps, np.array(velocities), atoms.get_masses()


def test_velocities_follow_from_the_last_two_steps() -> None:
    steps, velocities, masses = copper_run(6)
    state = state_after(steps, State(steps.positions[0], velocities[0]), masses, STEP)
    assert state.repeats
    assert np.allclose(state.positions, steps.positions[-1])
    assert np.allclose(state.velocities, velocities[-1], rtol=1e-6, atol=1e-9)
    first = state_after(steps[:1], State(steps.positions[0], velocities[0]), masses, STEP)
    assert np.array_equal(first.velocities, velocities[0])


def test_temperatures_with_and_without_kinetic_energies() -> None:
    steps, velocities, masses = copper_run(20)
    kinetic = 0.5 * np.einsum("a,tax->t", masses, (velocities / units.fs) ** 2)
    expected = 2 * kinetic / ((3 * len(masses) - 3) * units.kB)
    assert np.allclose(temperatures(steps, masses, STEP), expected, rtol=1e-6)
    steps.kinetic[:] = np.nan
    assert np.allclose(temperatures(steps, masses, STEP)[1:-1], expected[1:-1], rtol=0.02)


def test_drawn_velocities_have_the_temperature_and_no_drift() -> None:
    masses = np.array([6.94, 26.98, 35.45, 35.45] * 20)
    velocities = draw_velocities(masses, 1500.0, seed=3)
    kinetic = 0.5 * (masses[:, None] * (velocities / units.fs) ** 2).sum()
    assert 2 * kinetic / ((3 * 80 - 3) * units.kB) == pytest.approx(1500.0)
    assert np.allclose((masses[:, None] * velocities).sum(axis=0), 0)
    assert np.array_equal(velocities, draw_velocities(masses, 1500.0, seed=3))
    assert not np.array_equal(velocities, draw_velocities(masses, 1500.0, seed=4))


def _contcar(path: Path, positions: np.ndarray, edge: float, velocities: np.ndarray) -> None:
    structure = Structure(Lattice.cubic(edge), ["Cu"] * len(positions), positions)
    Poscar(structure, velocities=velocities.tolist()).write_file(path)


def test_contcar_is_unwrapped_and_may_be_one_step_ahead(tmp_path: Path) -> None:
    steps, velocities, _ = copper_run(5)
    edge = steps.cells[0, 0, 0]
    shifted = Steps(**{**vars(steps), "positions": steps.positions + 3.0})
    _contcar(tmp_path / "same", steps.positions[-1] % 1.0, edge, velocities[-1])
    state = read_state(tmp_path / "same", shifted)
    assert state is not None
    assert state.repeats
    assert np.allclose(state.positions, shifted.positions[-1], atol=1e-6)
    ahead = steps.positions[-1] + velocities[-1] * STEP / edge
    _contcar(tmp_path / "ahead", ahead % 1.0, edge, velocities[-1])
    state = read_state(tmp_path / "ahead", shifted)
    assert state is not None
    assert not state.repeats
    assert np.allclose(state.positions, ahead + 3.0, atol=1e-6)


@pytest.mark.parametrize("content", ["", "Cu\n1.0\n4.0 0 0\n"])
def test_a_broken_contcar_is_no_state(tmp_path: Path, content: str) -> None:
    steps, _, _ = copper_run(2)
    (tmp_path / "CONTCAR").write_text(content)
    assert read_state(tmp_path / "CONTCAR", steps) is None
    assert read_state(tmp_path / "absent", steps) is None


def test_a_contcar_of_another_step_is_no_state(tmp_path: Path) -> None:
    steps, velocities, _ = copper_run(2)
    elsewhere = steps.positions[-1].copy()
    elsewhere[0] += 0.3
    _contcar(tmp_path / "CONTCAR", elsewhere, steps.cells[0, 0, 0], velocities[-1])
    assert read_state(tmp_path / "CONTCAR", steps) is None
