from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from search.state.fingerprint import FingerprintOptions, distances, fingerprint

ELEMENTS = ("Cl", "Na")


def _salt() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    atoms.rattle(0.1, seed=1)
    return atoms


def _distance(one: Atoms, other: Atoms, elements: Sequence[str] = ELEMENTS) -> float:
    return distances(fingerprint(one, elements), fingerprint(other, elements)[None])[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_does_not_depend_on_cell_origin_order_or_orientation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    atoms = _salt()
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    other = (atoms * (1, 2, 1))[rng.permutation(4)]
    other.positions += rng.normal(size=3)
    other.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ other.cell.array)
    other.set_cell(other.cell.array @ rotation, scale_atoms=True)
    assert _distance(atoms, other) < 1e-6


def test_pair_distribution_counts_neighbours() -> None:
    """Integrating the smeared Na-Cl peak gives the six neighbours of rock salt."""
    from search.state.fingerprint import _pair_distribution

    atoms = bulk("NaCl", "rocksalt", a=5.6)
    g = _pair_distribution(atoms.cell.array, atoms.positions, np.array([0, 1]), 2, 3.4, 340, 0.05)
    r = (np.arange(340) + 0.5) * 0.01
    density = 1 / atoms.get_volume()
    first = r < 3.3
    number = (4 * np.pi * r**2 * density * g[0, 1] * 0.01)[first].sum()
    assert number == pytest.approx(6.0, rel=0.01)
    like = bulk("Cu", "fcc", a=3.6)
    g = _pair_distribution(like.cell.array, like.positions, np.array([0]), 1, 3.4, 340, 0.05)
    number = (4 * np.pi * r**2 / like.get_volume() * g[0, 0] * 0.01)[first].sum()
    assert number == pytest.approx(12.0, rel=0.01)


def test_distance_grows_with_displacement_and_tells_phases_apart() -> None:
    salt = bulk("NaCl", "rocksalt", a=5.6)
    moved = []
    for width in (0.02, 0.1, 0.3):
        atoms = salt * (2, 2, 2)
        atoms.rattle(width, seed=3)
        moved.append(_distance(salt, atoms))
    assert moved[0] < 0.01
    assert moved == sorted(moved)
    assert _distance(salt, bulk("NaCl", "cesiumchloride", a=3.4)) > 0.1
    fcc, hcp = bulk("Cu", "fcc", a=3.6), bulk("Cu", "hcp", a=2.5456, c=4.157)
    assert 0.01 < _distance(fcc, hcp, ("Cu",)) < 0.3


def test_element_order_of_the_structure_does_not_matter_but_species_do() -> None:
    salt = _salt()
    swapped = salt.copy()
    swapped.numbers = salt.numbers[::-1].copy()
    assert _distance(salt, salt[::-1]) < 1e-6
    antisite = salt * (2, 1, 1)
    antisite.numbers = np.array([11, 11, 17, 17])
    assert _distance(salt, antisite) > 0.02


def test_unit_length() -> None:
    vector = fingerprint(_salt(), ELEMENTS, FingerprintOptions(cutoff=6.0))
    assert vector.shape == (3 * 60,)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-6)


def test_same_crystal_under_pressure_is_the_same_unless_volume_counts() -> None:
    salt, pressed = (bulk("NaCl", "rocksalt", a=a) for a in (5.6, 5.5))
    assert _distance(salt, pressed) < 1e-6
    options = FingerprintOptions(volume_per_atom=None)
    one, other = (fingerprint(atoms, ELEMENTS, options) for atoms in (salt, pressed))
    assert distances(one, other[None])[0] > 0.01


def test_agrees_with_the_formula_on_neighbours_of_ase() -> None:
    """F_AB(R) of Oganov and Valle summed over a neighbour list of another code."""
    from ase.neighborlist import neighbor_list

    from search.create.random_crystals import RandomSymmetric
    from search.geometry import DistanceLimits

    limits = DistanceLimits({"Na-Na": 2.5, "Cl-Na": 2.2, "Cl-Cl": 2.8})
    atoms = RandomSymmetric(limits).generate({"Na": 2, "Cl": 4}, 150.0, np.random.default_rng(0))
    options = FingerprintOptions(cutoff=6.0, bin_width=0.1, smearing=0.08, volume_per_atom=None)
    r = (np.arange(60) + 0.5) * 0.1
    i, j, d = neighbor_list("ijd", atoms, 6.4)
    parts, weights = [], []
    for a, b in ((17, 17), (17, 11), (11, 11)):
        chosen = d[(atoms.numbers[i] == a) & (atoms.numbers[j] == b)]
        n = (atoms.numbers == a).sum() * (atoms.numbers == b).sum()
        peaks = np.exp(-0.5 * ((r[:, None] - chosen) / 0.08) ** 2) / (0.08 * np.sqrt(2 * np.pi))
        parts.append((peaks * atoms.get_volume() / (4 * np.pi * chosen**2 * n)).sum(axis=1) - 1)
        weights.append(n)
    expected = (np.array(parts) * np.sqrt(np.array(weights) / sum(weights))[:, None]).ravel()
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(fingerprint(atoms, ELEMENTS, options), expected, atol=2e-3)
