from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from numpy.typing import NDArray

from nnp.units import KBAR
from search.geometry import DistanceLimits
from search.relax.energy import AseEnergy, AseEvaluator
from search.relax.lbfgs import LbfgsOptions
from search.relax.limits import RelaxationLimits
from search.relax.relaxed import OUT_OF_STEPS
from search.relax.relaxer import Relaxer
from tests.search.pair_energy import PairEnergy


def _distorted(symbols: str, seed: int, repeat: tuple[int, int, int] = (1, 1, 2)) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True) * repeat
    atoms.numbers[: len(atoms) // 2] = 79 if "Au" in symbols else 29
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))), scale_atoms=True)
    atoms.rattle(0.2, seed=seed)
    return atoms


def test_reaches_the_minima_of_ase() -> None:
    """Same minimum as ASE's cell filter and FIRE, for a batch of different sizes."""
    structures = [_distorted("Cu", 1, (1, 1, 1)), _distorted("CuAu", 2)]
    results = Relaxer(RelaxationLimits(0.005, 0.5)).relax(structures, AseEnergy(EMT()))
    for atoms, result in zip(structures, results, strict=True):
        expected = atoms.copy()
        expected.calc = EMT()
        with FIRE(FrechetCellFilter(expected), logfile=None) as oracle:
            oracle.run(fmax=0.003, steps=500)
        assert result.converged
        assert result.energy == pytest.approx(expected.get_potential_energy(), abs=1e-3)
        assert result.atoms.get_volume() == pytest.approx(expected.get_volume(), rel=2e-3)


def test_quasi_newton_steps_lead_to_the_same_minimum_sooner() -> None:
    structures = [_distorted("CuAu", seed, (1, 2, 2)) for seed in range(3)]
    limits = RelaxationLimits(0.002, 0.1, 2000)
    energy = AseEnergy(EMT())
    fire_only = Relaxer(limits, lbfgs=LbfgsOptions(largest_force=0.0))
    slow, fast = (r.relax(structures, energy) for r in (fire_only, Relaxer(limits)))
    for one, other in zip(slow, fast, strict=True):
        assert one.converged
        assert other.converged
        assert other.energy == pytest.approx(one.energy, abs=1e-3)
    assert 2 * sum(r.steps for r in fast) < sum(r.steps for r in slow)


def test_reported_forces_and_stress_are_those_of_the_structure() -> None:
    result = Relaxer().relax([_distorted("CuAu", 4)], AseEnergy(EMT()))[0]
    atoms = result.atoms
    atoms.calc = EMT()
    assert result.max_force == pytest.approx(np.linalg.norm(atoms.get_forces(), axis=1).max())
    assert result.max_stress == pytest.approx(np.abs(atoms.get_stress()).max() * KBAR)
    assert result.max_force < 0.1
    assert result.max_stress < 20.0
    assert result.energy == pytest.approx(atoms.get_potential_energy())
    assert result.atomic_energies is not None
    assert result.atomic_energies.sum() == pytest.approx(result.energy)


def test_batches_do_not_mix() -> None:
    """A structure relaxes the same way alone and among others."""
    structures = [_distorted("CuAu", seed) for seed in range(4)]
    energy = AseEnergy(EMT())
    together = Relaxer(batch_size=3).relax(structures, energy)
    for atoms, result in zip(structures, together, strict=True):
        alone = Relaxer().relax([atoms], energy)[0]
        assert alone.steps == result.steps
        np.testing.assert_allclose(alone.atoms.positions, result.atoms.positions, atol=1e-9)


def test_out_of_steps_is_not_convergence() -> None:
    result = Relaxer(RelaxationLimits(1e-4, max_steps=5)).relax(
        [_distorted("Cu", 1)], AseEnergy(EMT())
    )[0]
    assert result.status == OUT_OF_STEPS
    assert result.steps == 5
    assert result.usable


class _Broken:
    """An energy that is not a number for structures with gold."""

    elements = ("Cu", "Au")

    def evaluator(
        self, numbers: NDArray[np.integer], counts: NDArray[np.integer], threads: int = 1
    ) -> _BrokenEvaluator:
        return _BrokenEvaluator(AseEnergy(EMT()).evaluator(numbers, counts))


class _BrokenEvaluator:
    def __init__(self, inner: AseEvaluator) -> None:
        self.inner = inner

    def compute(self, cells: NDArray[np.float64], positions: NDArray[np.float64]) -> Any:
        energies, forces, stresses, atomic = self.inner.compute(cells, positions)
        starts = np.cumsum(self.inner.counts) - self.inner.counts
        energies[np.maximum.reduceat(self.inner.numbers, starts) == 79] = np.nan
        return energies, forces, stresses, atomic

    def select(self, keep: NDArray[np.bool_]) -> _BrokenEvaluator:
        return _BrokenEvaluator(self.inner.select(keep))


def test_energy_that_is_not_finite_costs_one_structure() -> None:
    results = Relaxer().relax([_distorted("CuAu", 1), _distorted("Cu", 1)], _Broken())
    assert results[0].status == "aborted: energy, force or stress is not finite"
    assert not results[0].usable
    assert results[1].converged


def test_explosion_is_given_up(lennard_jones: PairEnergy) -> None:
    from ase import Atoms

    close = Atoms("Ar2", positions=[[0, 0, 0], [1.4, 0, 0]], cell=[2.0, 2.0, 2.0], pbc=True)
    result = Relaxer(max_expansion=2.0).relax([close], lennard_jones)[0]
    assert result.status == "aborted: volume exploded"


def test_short_bonds_and_window_are_given_up(lennard_jones: PairEnergy) -> None:
    good = bulk("Ar", "fcc", a=5.2)
    limits = DistanceLimits({"Ar-Ar": 4.0})
    bonded = Relaxer().relax([good], lennard_jones, distances=limits)[0]
    assert bonded.status.startswith("aborted: short bond Ar-Ar at 3.")
    shaken = good * (2, 2, 1)
    shaken.rattle(0.6, seed=1)
    hopeless = Relaxer(
        RelaxationLimits(1e-6, max_steps=60), check_interval=2, energy_window=0.5
    ).relax([shaken], lennard_jones, best=-50.0)[0]
    assert hopeless.status == "aborted: outside the energy window"


def test_structures_near_the_best_are_relaxed_tightly() -> None:
    """Only within the window of the reference: 0.01 eV/Å and 1 kbar instead of 0.1 and 20."""
    atoms, energy = _distorted("CuAu", 4), AseEnergy(EMT())
    loose = Relaxer().relax([atoms], energy)[0]
    per_atom = loose.energy / len(atoms)
    far = Relaxer().relax([atoms], energy, best=per_atom - 0.1)[0]
    near = Relaxer().relax([atoms], energy, best=per_atom)[0]
    assert far.steps == loose.steps
    assert near.steps > loose.steps
    assert near.max_force < 0.01 < loose.max_force
    assert near.max_stress < 1.0
    assert near.energy < loose.energy
