"""Symmetry functions against dscribe, PyTorch and the plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from numpy.typing import NDArray

from nnp.descriptors import SymmetryFunctions
from nnp.kernels.lanes import LANES, TENSOR
from nnp.training.dataset import descriptor_model
from nnp.training.jacobian import Moments, moment_columns
from nnp.training.jacobian_products import jacobian_vector_products, vector_jacobian_products
from tests.nnp.oracle import symmetry_functions
from tests.nnp.samples import disordered, random_potential
from tests.nnp.torch_oracle import TorchPotential, neighbors

GENERAL = SymmetryFunctions(
    ("Li", "Al", "Cl"),
    radial=((0.5, 0.0), (2.0, 1.5)),
    angular=((0.01, 1.0, 1.0), (0.05, 2.7, 1.0), (0.01, 8.0, -1.0)),
    radial_cutoff=5.0,
    angular_cutoff=4.0,
)


def kernel_values(atoms: Atoms, functions: SymmetryFunctions) -> NDArray[np.float64]:
    """Symmetry functions by the compiled kernel, shape (n_atoms, n_functions)."""
    moments = Moments(
        descriptor_model(functions),
        functions.types(atoms.numbers),
        np.array([len(atoms)]),
        atoms.cell.array[None],
        atoms.positions,
    )
    return moments.values @ functions.transform.T


def test_standard_set_agrees_with_dscribe() -> None:
    """Dscribe sorts elements by atomic number and uses one cutoff."""
    from dscribe.descriptors import ACSF

    functions = SymmetryFunctions.standard(("Li", "Al", "Cl"), 5.5, 5.5)
    atoms = disordered("Li3Al3Cl6", 7.0)
    acsf = ACSF(
        r_cut=5.5,
        g2_params=functions.radial,
        g4_params=functions.angular,
        species=functions.elements,
        periodic=True,
    )
    theirs = acsf.create(atoms)
    n, n_g2, n_g4 = 3, len(functions.radial), len(functions.angular)
    # Dscribe: for each element G1 and the G2, then for each pair (second <= first) the G4.
    radial = theirs[:, : n * (1 + n_g2)].reshape(len(atoms), n, 1 + n_g2)[:, :, 1:]
    angular = theirs[:, n * (1 + n_g2) :].reshape(len(atoms), -1, n_g4)
    order = [(a, b) for a in range(n) for b in range(a + 1)]
    pairs = [order.index((b, a)) for a in range(n) for b in range(a, n)]
    expected = np.hstack(
        [radial.reshape(len(atoms), -1), angular[:, pairs].reshape(len(atoms), -1)]
    )
    np.testing.assert_allclose(kernel_values(atoms, functions), expected, rtol=0, atol=1e-10)


@pytest.mark.kernels
@pytest.mark.parametrize("functions", [SymmetryFunctions.standard(("Li", "Al", "Cl")), GENERAL])
def test_functions_agree_with_the_formulas(functions: SymmetryFunctions) -> None:
    atoms = disordered("LiAl2Cl4", 5.5, skew=1.2)
    expected = symmetry_functions(atoms, functions)
    np.testing.assert_allclose(kernel_values(atoms, functions), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("functions", [SymmetryFunctions.standard(("Li", "Al", "Cl")), GENERAL])
def test_torch_gives_the_same_energy_forces_and_stress(functions: SymmetryFunctions) -> None:
    potential = random_potential(functions)
    atoms = disordered("Li2Al4Cl8", 7.5)
    energy, forces, stress = TorchPotential(potential).compute(
        atoms, neighbors(atoms, potential.cutoff)
    )
    found = potential.compute([atoms])
    assert found.energies[0] == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(found.forces[0], forces.numpy(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.stresses[0], stress.numpy(), rtol=0, atol=1e-12)
    assert torch.isfinite(forces).all()


@pytest.mark.kernels
@pytest.mark.parametrize("functions", [SymmetryFunctions.standard(("Li", "Cl")), GENERAL])
def test_jacobian_products(functions: SymmetryFunctions) -> None:
    """The forward product is the derivative of the moments; the backward one its adjoint."""
    batch = [disordered("LiCl2", 5.0, seed=1), disordered("Li2Cl2", 5.2, seed=2)]
    counts = np.array([len(atoms) for atoms in batch])
    types = functions.types(np.concatenate([atoms.numbers for atoms in batch]))
    positions = np.concatenate([atoms.positions for atoms in batch])
    cells = np.array([atoms.cell.array for atoms in batch])
    model, frame = descriptor_model(functions), np.repeat([0, 1], counts)
    rng = np.random.default_rng(0)
    moves, strains = rng.normal(size=positions.shape), rng.normal(size=(2, 3, 3)) * 0.1
    strains = strains + strains.transpose(0, 2, 1)

    def moments(h: float) -> NDArray[np.float64]:
        deformed = positions + h * np.einsum("adc,ad->ac", strains[frame], positions)
        cell = cells + h * np.einsum("adc,abd->abc", strains, cells)
        return Moments(model, types, counts, cell, deformed + h * moves).values

    found = Moments(model, types, counts, cells, positions)
    values, jacobian = found.values, found.jacobian()
    both, rows = np.array([0, 1]), np.arange(len(types))
    columns = moment_columns(model)
    n_columns = -(-(columns[-1] + 1) // LANES) * LANES
    # Five networks are a group of four and one; each moves its atoms in its own way.
    factors = np.array([1.0, -0.5, 2.0, 0.3, 0.7])
    steps, stretches = np.zeros((2, len(types), 3, LANES)), np.zeros((2, 2, 6, LANES))
    for k, factor in enumerate(factors):
        steps[k // LANES, :, :, k % LANES] = factor * moves
        for m, (c, d) in enumerate(TENSOR):
            stretches[k // LANES, :, m, k % LANES] = factor * strains[:, c, d]
    steps = steps.reshape(2, len(types), -1).astype(np.float32)
    stretches = stretches.reshape(2, 2, -1).astype(np.float32)
    out = np.full((5, len(types), n_columns), np.nan, np.float32)
    jacobian_vector_products(jacobian, both, rows, steps, stretches, out)
    forward = out[:, :, columns]
    numerical = (moments(1e-5) - moments(-1e-5)) / 2e-5
    for factor, found_changes in zip(factors, forward, strict=True):
        tolerance = 1e-5 * np.abs(numerical).max()
        np.testing.assert_allclose(found_changes, factor * numerical, rtol=1e-5, atol=tolerance)
    gradients = np.zeros_like(out)
    gradients[:, :, columns] = rng.normal(size=(5, *values.shape))
    forces, virials = np.zeros_like(steps), np.zeros((2, 2, 6 * LANES))
    vector_jacobian_products(jacobian, both, rows, gradients, forces, virials)
    twice = np.repeat([1.0, 1.0, 1.0, 2.0, 2.0, 2.0], LANES)
    work = (virials * stretches * twice).sum(axis=1), (forces * steps).sum(axis=1)
    by_strain, by_moves = (part.reshape(2, -1, LANES).sum(axis=1).ravel() for part in work)
    expected = by_strain - by_moves
    np.testing.assert_allclose((gradients * out).sum(axis=(1, 2)), expected[:5], rtol=1e-4)
    assert not expected[5:].any()
    # One structure alone gives its own part, and so does one network, to the last bit.
    part, virial = np.zeros((1, counts[1], 12), np.float32), np.zeros((1, 1, 24))
    own = np.ascontiguousarray(gradients[:1, counts[0] :])
    vector_jacobian_products(jacobian, both[1:], rows[: counts[1]], own, part, virial)
    np.testing.assert_array_equal(part[0, :, ::LANES], forces[0, counts[0] :, ::LANES])


def test_sets_are_described_and_checked() -> None:
    four = SymmetryFunctions.standard(("In", "Te", "O", "F"))
    assert four.n_functions == 212
    assert len(four.labels) == 212
    assert np.linalg.matrix_rank(four.transform) == 182
    assert SymmetryFunctions.from_dict(four.as_dict()) == four
    with pytest.raises(ValueError, match="not exceed the radial one"):
        SymmetryFunctions.standard(("Li",), 4.0, 5.0)
    with pytest.raises(ValueError, match="once each"):
        SymmetryFunctions.standard(("Li", "Li"))
    with pytest.raises(ValueError, match="At least one radial"):
        SymmetryFunctions(("Li",), (), ())
    with pytest.raises(ValueError, match="eta from 0"):
        SymmetryFunctions(("Li",), ((-1.0, 0.0),), ())
