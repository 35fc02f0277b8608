"""Molecular dynamics and relaxation of an ASE engine against statistical physics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import units
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from pymatgen.core import Structure

from nnp.units import KBAR
from search.relax.energy import AseEnergy
from search.relax.limits import RelaxationLimits
from tests.workflows.samples import copper, emt, engine
from workflows.conversion import to_atoms, to_structure
from workflows.documents.dynamics import SegmentDocument
from workflows.engines.ase import dynamics
from workflows.engines.ase.dynamics import AseDynamicsMaker
from workflows.engines.ase.engine import AseEngine
from workflows.engines.ase.relax import AseRelaxMaker, relax_atoms
from workflows.engines.ase.static import AseStaticMaker, labelled_copy
from workflows.engines.base import DynamicsTask, ExplodedError, SegmentSettings
from workflows.engines.registry import find_engine


def run(
    engine: AseEngine,
    structure: Structure,
    temperature: float = 800.0,
    end: float | None = None,
    n_steps: int = 100,
    seed: int = 1,
    thermostat: float = 50.0,
) -> SegmentDocument:
    """Run one segment without a job store."""
    maker = AseDynamicsMaker(engine=engine, settings=SegmentSettings(n_steps, 2.0, 10, thermostat))
    make = AseDynamicsMaker.make.original
    return make(
        maker, structure, DynamicsTask("liquid", temperature, end or temperature, seed=seed)
    )


def test_pressure_of_an_ideal_gas_is_kinetic() -> None:
    document = run(engine("IdealGas"), copper(), 1000.0, n_steps=2000, thermostat=20.0)
    # the centre of mass is at rest: 31 atoms' worth of motion
    expected = 31 * units.kB * np.mean(document.temperatures) / document.volume * KBAR
    assert np.mean(document.pressures) == pytest.approx(expected, rel=1e-6)
    assert np.mean(document.temperatures) == pytest.approx(1000, rel=0.05)


def test_a_run_does_not_depend_on_what_its_worker_ran_before() -> None:
    """To the last digit: a neighbour list that is left has another order."""
    first = run(emt(), copper(), n_steps=30)
    structure = first.structure
    after_itself = run(emt(), structure, n_steps=20, seed=2)
    run(emt(), copper(), n_steps=10)
    after_another = run(emt(), structure, n_steps=20, seed=2)
    assert after_itself.energies == after_another.energies


def test_frames_are_kept_every_sample_interval_with_their_labels() -> None:
    document = run(emt(), copper())
    assert len(document.frames) == 10
    assert np.allclose(np.diff(document.frames.times), 20.0)
    assert set(document.frames.stages) == {"liquid"}
    assert np.isfinite(document.frames.stresses).all()


def test_the_ramp_ramps() -> None:
    document = run(emt(), copper(), 1500.0, 300.0, n_steps=600, thermostat=20.0)
    assert document.frames.temperatures[0] > document.frames.temperatures[-1]
    assert document.frames.temperatures[-1] == pytest.approx(300.0)
    late = np.mean(document.temperatures[-10:])
    assert late == pytest.approx(np.mean(document.frames.temperatures[-10:]), rel=0.3)
    assert np.mean(document.temperatures[:10]) > 2 * late


def test_a_segment_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed on its way, it ends where it would have ended, with all its frames."""
    monkeypatch.setattr(dynamics, "CHECKPOINT_SECONDS", -1.0)
    settings = SegmentSettings(60, 2.0, 10, 50.0)

    def prepare() -> dynamics._Run:
        atoms = to_atoms(copper())
        atoms.calc = emt().build()
        generator = np.random.default_rng(3)
        MaxwellBoltzmannDistribution(atoms, temperature_K=900, rng=generator)
        return dynamics._Run(atoms, settings, DynamicsTask("quench", 900.0, 700.0), generator)

    whole = prepare()
    whole.execute(None, "this run")
    path = tmp_path / "state"
    killed = prepare()
    measured = killed._measure

    def die(target: float) -> tuple[float, float, float]:
        if len(killed.kept) == 3 and target < 790:
            raise KeyboardInterrupt
        return measured(target)

    monkeypatch.setattr(killed, "_measure", die)
    with pytest.raises(KeyboardInterrupt):
        killed.execute(path, "this run")
    resumed = prepare()
    taken = []
    monkeypatch.setattr(
        resumed, "_set_target", lambda t, s=resumed._set_target: (taken.append(t), s(t))
    )
    resumed.execute(path, "this run")
    assert len(taken) == 30  # the other half is not run again
    a, b = whole.document("emt", 0), resumed.document("emt", 0)
    assert np.allclose(a.frames.positions, b.frames.positions, atol=1e-9)
    assert np.allclose(a.frames.energies, b.frames.energies, atol=1e-9)
    assert np.array_equal(a.frames.times, b.frames.times)
    assert np.allclose(a.pressures, b.pressures, atol=1e-6)
    assert set(b.frames.stages) == {"quench"}

    # the checkpoint of another run is not this one's
    other = prepare()
    other.execute(path, "another run")
    assert len(other.kept) == 6


def test_segments_continue_positions_and_velocities() -> None:
    """With the thermostat switched off, energy is conserved across the boundary."""
    first = run(emt(), copper(), n_steps=100, thermostat=1e9)
    second = run(emt(), first.structure, n_steps=100, thermostat=1e9)
    kinetic = 1.5 * units.kB * 31 / 32
    total = [
        [energy + kinetic * temperature for energy, temperature in
         zip(document.energies, document.temperatures, strict=True)]
        for document in (first, second)
    ]  # fmt: skip
    assert np.mean(second.temperatures) > 200
    assert np.ptp(np.concatenate(total)) < 2e-3


def test_positions_are_not_wrapped() -> None:
    structure = copper()
    moved = to_atoms(structure)
    moved.positions += 30.0
    assert np.allclose(to_structure(moved).cart_coords, moved.positions)


def test_velocities_survive_the_change_of_units() -> None:
    document = run(emt(), copper(), 700.0)
    atoms = to_atoms(document.structure)
    again = to_atoms(to_structure(atoms, with_velocities=True))
    assert np.allclose(again.get_velocities(), atoms.get_velocities())
    # Å/fs, as VASP writes them: thermal copper moves a few thousandths of an Å in a fs
    speeds = np.linalg.norm(document.structure.site_properties["velocities"], axis=1)
    assert 1e-4 < speeds.mean() < 2e-2


def test_an_explosion_starts_the_segment_over_with_half_the_step() -> None:
    document = run(engine("SometimesExploding", fail_at=8), copper(), n_steps=40)
    assert (document.explosions, document.time_step) == (1, 1.0)
    assert document.duration == 80.0
    assert len(document.frames) == 4


def test_atoms_packed_upon_each_other_are_parted_before_a_second_run() -> None:
    packed = to_atoms(copper(2))
    packed.positions[1] = packed.positions[0] + [0.8, 0.1, 0.0]
    document = run(find_engine("pair"), to_structure(packed), 4000.0, n_steps=40)
    assert document.explosions == 1
    assert max(document.temperatures) < 8000.0


def test_a_run_that_keeps_exploding_ends_with_a_sentence() -> None:
    with pytest.raises(ExplodedError, match=r"exploded 3 times.*too dense"):
        run(engine("SometimesExploding", fail_at=3, failures=9), copper(), n_steps=40)


def test_relaxation_finds_the_lattice_constant_of_copper() -> None:
    maker = AseRelaxMaker(engine=emt(), limits=RelaxationLimits(0.01, 0.5))
    document = AseRelaxMaker.make.original(maker, copper(1, constant=3.8), "search")
    assert document.converged
    assert document.structure.lattice.a == pytest.approx(3.59, abs=0.02)  # EMT's own minimum
    assert document.max_stress < 0.5
    assert len(document.frames) >= 2


@pytest.mark.parametrize("pressure", [-30.0, 200.0])
def test_a_relaxation_ends_at_its_pressure(pressure: float) -> None:
    """Labels have no pressure times volume; ASE's own optimiser is the oracle of the volume."""
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    limits = RelaxationLimits(0.005, 0.2, 500, pressure)
    start = copper(1, constant=3.7)
    start.perturb(0.05)
    document = AseRelaxMaker.make.original(AseRelaxMaker(engine=emt(), limits=limits), start, "x")
    assert document.converged
    assert document.max_stress <= 0.2
    assert document.pressure == pressure
    atoms = to_atoms(document.structure)
    atoms.calc = EMT()
    np.testing.assert_allclose(atoms.get_stress()[:3] * KBAR, -pressure, atol=0.21)
    assert document.energy == pytest.approx(atoms.get_potential_energy() / 4, abs=1e-9)
    assert document.work == pytest.approx(pressure * atoms.get_volume() / 4 / KBAR)
    assert document.frames.energies[-1] == pytest.approx(4 * document.energy, abs=1e-9)
    trace = np.trace(document.frames.stresses[-1]) / 3 * KBAR
    assert trace == pytest.approx(-pressure, abs=0.21)

    expected = to_atoms(copper(1, constant=3.6))
    expected.calc = EMT()
    FIRE(FrechetCellFilter(expected, scalar_pressure=pressure / KBAR), logfile=None).run(1e-4)
    assert atoms.get_volume() == pytest.approx(expected.get_volume(), rel=1e-3)


@pytest.mark.parametrize("pressure", [0.0, 1000.0])
def test_chgnet_relaxes_magnesia_to_where_ase_does(pressure: float) -> None:
    from ase.build import bulk
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    chgnet = find_engine("chgnet")
    start = bulk("MgO", "rocksalt", a=4.3)
    limits = RelaxationLimits(1e-3, 0.1, 200, pressure)
    maker = AseRelaxMaker(engine=chgnet, limits=limits)
    document = AseRelaxMaker.make.original(maker, to_structure(start), "x")
    assert document.converged
    start.calc = chgnet.build()
    filtered = FrechetCellFilter(start, scalar_pressure=pressure / KBAR)
    assert BFGS(filtered, logfile=None).run(fmax=1e-4, steps=200)
    assert document.structure.volume == pytest.approx(start.get_volume(), rel=1e-3)
    enthalpy = start.get_potential_energy() + pressure / KBAR * start.get_volume()
    assert document.enthalpy == pytest.approx(enthalpy / 2, abs=1e-5)


def test_a_calculator_that_fails_is_recorded() -> None:
    maker = AseRelaxMaker(engine=emt())
    unknown = Structure(np.eye(3) * 4, ["U"], [[0, 0, 0]])
    document = AseRelaxMaker.make.original(maker, unknown, "search")
    assert document.energy is None
    assert "U" in document.failure


class Smeared(EMT):
    """A metal whose energy at zero smearing is not that of its forces."""

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        """Compute as EMT does."""
        super().calculate(*arguments, **keywords)
        self.results["energy"] = self.results["free_energy"] + 1.0


def test_the_energy_is_that_of_the_forces() -> None:
    atoms = to_atoms(copper(1))
    atoms.calc = EMT()
    expected = atoms.get_potential_energy()
    atoms.calc = Smeared()
    assert atoms.get_potential_energy() == pytest.approx(expected + 1.0)
    assert labelled_copy(atoms).get_potential_energy() == pytest.approx(expected)
    assert AseEnergy(Smeared()).single(atoms)[0] == pytest.approx(expected)


def test_static_labels_structures_of_different_sizes() -> None:
    maker = AseStaticMaker(engine=emt())
    frames = AseStaticMaker.make.original(maker, [copper(1), copper(2)], "label")
    assert list(frames.counts) == [4, 32]
    assert frames.energies[1] == pytest.approx(8 * frames.energies[0])


def test_a_relaxation_from_afar_and_one_from_near_end_in_the_same_minimum() -> None:
    """FIRE brings the first one near, BFGS ends both; ASE's own FIRE is the oracle."""
    from ase.build import bulk
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    limits = RelaxationLimits(max_force=0.005, max_stress=0.2, max_steps=500)
    expected = bulk("Au", cubic=True, a=4.2)
    expected.rattle(0.05, seed=1)
    expected.calc = EMT()
    FIRE(FrechetCellFilter(expected), logfile=None).run(fmax=0.001, steps=2000)
    steps = {}
    for shift in (0.05, 0.6):
        atoms = bulk("Au", cubic=True, a=4.3)
        atoms.rattle(shift, seed=2)
        atoms.calc = EMT()
        steps[shift], converged = relax_atoms(atoms, limits)
        assert converged
        assert atoms.get_potential_energy() == pytest.approx(
            expected.get_potential_energy(), abs=2e-3
        )
    assert steps[0.05] < steps[0.6]


class WithoutFreeEnergy(EMT):
    """A calculator of energy, forces and stress, as most are."""

    implemented_properties = ("energy", "forces", "stress")  # type: ignore[assignment]

    def calculate(self, *arguments: Any, **keywords: Any) -> None:
        """Compute as EMT does."""
        super().calculate(*arguments, **keywords)
        del self.results["free_energy"]


def test_a_calculator_that_tells_no_free_energy_relaxes_as_one_that_does() -> None:
    limits = RelaxationLimits(0.005, 0.2, 300, 100.0)
    ends = []
    for calculator in (EMT(), WithoutFreeEnergy()):
        atoms = to_atoms(copper(1, constant=3.7))
        atoms.rattle(0.05, seed=1)
        atoms.calc = calculator
        steps, converged = relax_atoms(atoms, limits)
        assert converged
        ends.append((steps, atoms.get_potential_energy(), atoms.get_volume()))
    assert ends[0] == pytest.approx(ends[1], rel=1e-12)
