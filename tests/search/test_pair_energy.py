"""The potential that the tests search on: its forces and stresses are those of its energy."""

from __future__ import annotations

import numpy as np
import pytest

from search.create.random_crystals import RandomSymmetric
from search.geometry import DistanceLimits
from tests.search import pair_energy
from tests.search.derivatives import evaluate, numerical_force, numerical_stress


@pytest.mark.parametrize("name", ["rock_salt", "periclase", "lennard_jones"])
def test_forces_and_stress_are_derivatives(name: str) -> None:
    model = getattr(pair_energy, name)()
    limits = DistanceLimits.from_radii(model.elements, 0.9)
    counts = dict.fromkeys(model.elements, 3)
    atoms = RandomSymmetric(limits, (1, 2)).generate(counts, 150.0, np.random.default_rng(1))
    _, forces, stresses, atomic = evaluate(model, atoms)
    assert atomic.sum() == pytest.approx(evaluate(model, atoms)[0][0])
    for i, k in ((0, 0), (1, 2)):
        assert forces[i, k] == pytest.approx(numerical_force(model, atoms, i, k), abs=1e-5)
    for a, b in ((0, 0), (1, 2)):
        assert stresses[0, a, b] == pytest.approx(numerical_stress(model, atoms, a, b), abs=1e-5)


def test_lennard_jones_is_that_of_ase() -> None:
    from ase.build import bulk
    from ase.calculators.lj import LennardJones

    atoms = bulk("Ar", "fcc", a=5.2, cubic=True)
    atoms.rattle(0.1, seed=1)
    model = pair_energy.lennard_jones()
    forces = {}
    for cutoff in (8.5, 30.0):  # far out, the shift of the force no longer matters
        model.model = model.model._replace(cutoff=cutoff)
        forces[cutoff] = evaluate(model, atoms)[1]
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.104, rc=30.0)
    np.testing.assert_allclose(forces[30.0], atoms.get_forces(), atol=1e-5)
    assert np.abs(forces[8.5] - forces[30.0]).max() < 0.01
