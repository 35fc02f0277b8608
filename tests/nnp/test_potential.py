"""Energies against the plain oracle, forces and stress against finite differences."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.neighborlist import neighbor_list
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monty.json import MontyDecoder, MontyEncoder
from scipy.spatial.transform import Rotation

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential
from tests.nnp.oracle import atomic_energies
from tests.nnp.samples import disordered, random_potential

relaxed = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

GENERAL = SymmetryFunctions(
    ("Li", "Al", "Cl"),
    radial=((0.5, 0.0), (2.0, 1.5), (4.0, 3.0)),
    angular=((0.01, 1.0, 1.0), (0.05, 1.5, -1.0), (0.05, 2.7, 1.0), (0.01, 8.0, -1.0)),
    radial_cutoff=5.0,
    angular_cutoff=5.0,
)
ONE = SymmetryFunctions.standard(("Si",))


def numerical(values: list[float], h: float) -> float:
    """Five-point derivative from values at -2h, -h, h, 2h."""
    return (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)


def pair_counts(atoms: Atoms, functions: SymmetryFunctions) -> tuple[int, int]:
    """Pairs within the two cutoffs."""
    lengths = neighbor_list("d", atoms, functions.radial_cutoff)
    return len(lengths), int((lengths < functions.angular_cutoff).sum())


def structures() -> list[Atoms]:
    skewed = disordered("LiAl2Cl3", 6.0, seed=5)
    skewed.set_cell(skewed.cell.array @ [[1, 0, 0], [2.3, 1, 0], [-1.7, 1.9, 1]])
    tiny = Atoms("LiCl", cell=[[2.4, 0, 0], [0.6, 2.7, 0], [0.3, 0.2, 3.1]], pbc=True)
    tiny.positions[1] = [1.3, 1.1, 1.2]
    return [disordered("Li2Al3Cl8", 7.5), skewed, tiny, Atoms("Al", cell=np.eye(3) * 2.6, pbc=True)]


@pytest.mark.kernels
@pytest.mark.parametrize("name", ["standard", "general", "sigmoid"])
def test_energies_agree_with_the_formulas(name: str) -> None:
    potential = {
        "standard": lambda: random_potential(SymmetryFunctions.standard(GENERAL.elements)),
        "general": lambda: random_potential(GENERAL, hidden=(12, 7, 5)),
        "sigmoid": lambda: random_potential(GENERAL, members=3, activation="sigmoid"),
    }[name]()
    cases = structures()
    predictions = potential.compute(cases)
    for atoms, found in zip(cases, predictions.atomic_energies, strict=True):
        expected = atomic_energies(atoms, potential).mean(axis=1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        predictions.energies, [e.sum() for e in predictions.atomic_energies], atol=1e-11
    )


@pytest.mark.kernels
def test_arrays_grow_for_thin_and_for_dense_cells() -> None:
    functions = SymmetryFunctions(
        ("Li", "Cl"), ((0.5, 0.0), (2.0, 1.5)), ((0.05, 2.0, 1.0),), 5.5, 3.4
    )
    potential = random_potential(functions, hidden=(4,))
    thin = Atoms("Li", cell=[[1.3, 0, 0], [0.4, 5.0, 0], [0.1, 2.4, 5.0]], pbc=True)
    dense = Atoms("LiCl", cell=np.eye(3) * 1.5, pbc=True, scaled_positions=[[0] * 3, [0.5] * 3])
    found = potential.compute([thin, dense])
    for atoms, energies in zip((thin, dense), found.atomic_energies, strict=True):
        expected = atomic_energies(atoms, potential)[:, 0]
        np.testing.assert_allclose(energies, expected, rtol=1e-12, atol=1e-10)


@pytest.mark.kernels
def test_ensemble_spread_is_the_standard_deviation_of_members() -> None:
    potential = random_potential(GENERAL, members=4)
    atoms = structures()[2]
    expected = atomic_energies(atoms, potential).sum(axis=0).std() / len(atoms)
    assert potential.compute([atoms]).uncertainties[0] == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("functions", [SymmetryFunctions.standard(GENERAL.elements), GENERAL])
@pytest.mark.parametrize("case", range(3))
def test_forces_and_stress_are_the_derivatives_of_the_energy(
    functions: SymmetryFunctions, case: int
) -> None:
    potential = random_potential(functions, members=2)
    atoms, h = structures()[case], 1e-4
    exact = potential.compute([atoms])
    rng = np.random.default_rng(case)
    checked = 0
    while checked < 6:
        moves, strain = rng.normal(size=(len(atoms), 3)), rng.normal(size=(3, 3))
        strain = 0.5 * (strain + strain.T)
        by_strain = checked % 2 == 1
        steps = []
        for k in (-2, -1, 1, 2):
            moved = atoms.copy()
            if by_strain:
                moved.set_cell(atoms.cell @ (np.eye(3) + k * h * strain), scale_atoms=True)
            else:
                moved.positions += k * h * moves
            steps.append(moved)
        # The second derivative of the cutoff function jumps where a pair crosses it.
        if len({pair_counts(step, functions) for step in steps}) > 1:
            continue
        slope = numerical(list(potential.compute(steps).energies), h)
        expected = (
            atoms.get_volume() * (exact.stresses[0] * strain).sum()
            if by_strain
            else -(exact.forces[0] * moves).sum()
        )
        assert slope == pytest.approx(expected, rel=1e-7, abs=3e-9)
        checked += 1


@relaxed
@given(seed=st.integers(0, 10_000))
def test_invariances(potential: Potential, seed: int) -> None:
    atoms = disordered("LiAl2Cl4", 6.0, seed=seed)
    rng = np.random.default_rng(seed)
    base = potential.compute([atoms])
    rotation = Rotation.random(random_state=rng).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation.T, scale_atoms=False)
    turned.positions = atoms.positions @ rotation.T + rng.normal(size=3) * 20
    order = rng.permutation(len(atoms))
    shuffled = atoms[order]
    shuffled.positions += rng.integers(-3, 4, (len(atoms), 3)) @ atoms.cell.array
    double = make_supercell(atoms, [[1, 1, 0], [0, 1, 0], [0, -1, 2]])
    other = potential.compute([turned, shuffled, double])
    np.testing.assert_allclose(other.energies, base.energies * [1, 1, 2], rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(other.forces[0], base.forces[0] @ rotation.T, atol=1e-10)
    np.testing.assert_allclose(other.forces[1], base.forces[0][order], atol=1e-10)
    np.testing.assert_allclose(
        other.stresses,
        [rotation @ base.stresses[0] @ rotation.T, *[base.stresses[0]] * 2],
        atol=1e-12,
    )
    np.testing.assert_allclose(base.forces[0].sum(axis=0), 0.0, atol=1e-11)


def test_lists_stay_valid_while_atoms_and_cells_move(potential: Potential) -> None:
    """Small steps reuse the lists; the results must be those of fresh ones."""
    start = [disordered("Li2Al3Cl8", 7.0, seed=s) for s in range(3)]
    counts = [len(atoms) for atoms in start]
    evaluator = potential.evaluator(np.concatenate([a.numbers for a in start]), counts, threads=2)
    rng = np.random.default_rng(1)
    moves = [(rng.normal(size=(n, 3)), rng.normal(size=(3, 3)) * 0.05) for n in counts]
    rebuilt = []
    for step in range(12):
        moved = []
        for atoms, (shift, strain) in zip(start, moves, strict=True):
            new = atoms.copy()
            new.set_cell(atoms.cell @ (np.eye(3) + 0.02 * step * strain), scale_atoms=True)
            new.positions += 0.02 * step * shift
            moved.append(new)
        before = evaluator.shares[0].reference.positions.copy()
        energies, forces, stresses, _ = evaluator.compute(
            [a.cell.array for a in moved], np.concatenate([a.positions for a in moved])
        )
        rebuilt.append(not np.array_equal(before, evaluator.shares[0].reference.positions))
        fresh = potential.compute(moved)
        np.testing.assert_allclose(energies, fresh.energies, rtol=0, atol=1e-10)
        np.testing.assert_allclose(forces, np.concatenate(fresh.forces), atol=1e-11)
        np.testing.assert_allclose(stresses, fresh.stresses, atol=1e-12)
    assert rebuilt[0]
    assert 2 <= sum(rebuilt) < 12


def test_selection_and_threads_change_nothing(potential: Potential) -> None:
    batch = [disordered("LiAl2Cl4", 6.0, seed=s) for s in range(5)]
    numbers = np.concatenate([a.numbers for a in batch])
    cells, positions = [a.cell.array for a in batch], np.concatenate([a.positions for a in batch])
    counts = [len(a) for a in batch]
    one = potential.evaluator(numbers, counts).compute(cells, positions)
    two = potential.evaluator(numbers, counts, threads=2)
    for a, b in zip(one, two.compute(cells, positions), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    keep = np.array([True, False, False, True, True])
    part = two.select(keep)
    found = part.compute(np.array(cells)[keep], positions[np.repeat(keep, counts)])
    np.testing.assert_allclose(found[0], one[0][keep], atol=1e-11)
    np.testing.assert_allclose(found[1], one[1][np.repeat(keep, counts)], atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["standard", "general"])
def test_single_precision_is_close(name: str) -> None:
    functions = SymmetryFunctions.standard(GENERAL.elements) if name == "standard" else GENERAL
    potential = random_potential(functions)
    batch = structures()
    exact, single = potential.compute(batch), potential.compute(batch, precision="float32")
    for n, atoms in enumerate(batch):
        assert abs(exact.energies[n] - single.energies[n]) / len(atoms) < 3e-6
        np.testing.assert_allclose(single.forces[n], exact.forces[n], atol=2e-4)


@pytest.mark.kernels
def test_extreme_structures_give_numbers(potential: Potential) -> None:
    alone = Atoms("Li", cell=np.eye(3) * 30, pbc=True)
    touching = Atoms("Li2", positions=[[0, 0, 0], [0.3, 0, 0]], cell=np.eye(3) * 9, pbc=True)
    same = Atoms("LiCl", positions=np.zeros((2, 3)), cell=np.eye(3) * 9, pbc=True)
    found = potential.compute([alone, touching, same])
    assert np.isfinite(found.energies).all()
    assert all(np.isfinite(f).all() for f in found.forces)
    assert np.abs(found.forces[0]).max() == 0.0
    empty = potential.reference_energies[0]
    hidden = (np.zeros(132) - potential.shift[0]) / potential.scale[0] @ potential.projection[0]
    for k in range(3):
        hidden = hidden @ potential.weights[k][0, 0] + potential.biases[k][0, 0]
        hidden = np.tanh(hidden) if k < 2 else hidden
    assert found.energies[0] == pytest.approx(hidden[0] + empty, abs=1e-10)


@pytest.mark.kernels
def test_hopeless_structures_do_not_disturb_their_neighbours(potential: Potential) -> None:
    good = disordered("LiAl2Cl4", 6.0)
    collapsed, broken = good.copy(), good.copy()
    collapsed.set_cell(good.cell * 0.1, scale_atoms=True)
    broken.positions[0, 0] = np.nan
    found = potential.compute([collapsed, good, broken])
    assert np.isnan(found.energies[[0, 2]]).all()
    assert np.isnan(found.forces[0]).all()
    assert found.energies[1] == pytest.approx(potential.compute([good]).energies[0], abs=1e-11)


def test_isolated_molecule_feels_no_images(potential: Potential) -> None:
    molecule = Atoms("LiCl", positions=[[0, 0, 0], [2.1, 0, 0]])
    boxed = molecule.copy()
    boxed.set_cell(np.eye(3) * 40)
    boxed.pbc = True
    found = potential.compute([molecule, boxed])
    assert found.energies[0] == pytest.approx(found.energies[1], abs=1e-11)


def test_unknown_elements_are_named(potential: Potential) -> None:
    with pytest.raises(ValueError, match="knows Li, Al, Cl but not Na, O"):
        potential.compute([bulk("NaCl", "rocksalt", 5.6), Atoms("O")])
    with pytest.raises(ValueError, match="add up to 3 atoms"):
        potential.evaluator([3, 3], [3])


def test_documents_files_and_pickles_keep_every_digit(potential: Potential, tmp_path: Path) -> None:
    atoms = structures()[0]
    potential.record = {"note": "kept"}
    expected = potential.compute([atoms])
    potential.save(tmp_path / "potential")
    text = json.dumps(potential, cls=MontyEncoder)
    for copy in (
        Potential.load(tmp_path / "potential"),
        MontyDecoder().decode(text),
        pickle.loads(pickle.dumps(potential)),
    ):
        assert copy.record == {"note": "kept"}
        assert copy.compute([atoms]).energies[0] == expected.energies[0]
    (tmp_path / "other").write_text("nonsense")
    with pytest.raises(ValueError, match="not a potential that can be used"):
        Potential.load(tmp_path / "other")
