"""Dispersion on top of engines: its physics, and that its energies stay apart."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from nnp.units import KBAR
from search.relax.energy import AseEnergy
from search.relax.limits import RelaxationLimits
from tests.search.derivatives import numerical_force, numerical_stress
from tests.workflows.samples import IdealGas, copper
from tests.workflows.vasp.running import output, run
from workflows.chains.protocols import find_protocol
from workflows.documents.relaxation import RelaxDocument
from workflows.engines.ase.dispersion import (
    PAIR_CUTOFF,
    DispersedEngine,
    DispersionCalculator,
    without_dispersion,
)
from workflows.engines.base import Engine, UnknownEngineError
from workflows.engines.dispersion import Dispersion
from workflows.engines.names import name_with, split_name
from workflows.engines.registry import default_sampler, find_engine, settings_branch
from workflows.settings import SettingError, override


def alone(damping: str = "d3bj") -> DispersionCalculator:
    """Dispersion of PBE, and nothing else."""
    return DispersionCalculator(IdealGas(), Dispersion(damping, "pbe"))  # type: ignore[arg-type]


def sheared_alloy() -> Atoms:
    """Copper and gold, without any symmetry."""
    atoms = bulk("Cu", cubic=True, a=3.8)
    atoms.symbols[:2] = "Au"
    atoms.set_cell(atoms.cell.array @ [[1, 0.1, 0], [0, 0.95, 0.2], [0.05, 0, 1.1]], True)
    atoms.rattle(0.1, seed=2)
    return atoms


@pytest.mark.parametrize("damping", ["d3bj", "d3zero"])
@pytest.mark.parametrize("inner", [IdealGas, EMT])
def test_forces_and_stress_are_derivatives_of_the_energy(
    damping: Any, inner: type[Calculator]
) -> None:
    """All six components: a stress of the other sign is off by twice its size."""
    atoms = sheared_alloy()
    model = AseEnergy(DispersionCalculator(inner(), Dispersion(damping, "pbe")))
    _, forces, stress, _ = model.single(atoms)
    assert np.abs(stress * KBAR).max() > 10.0
    for i, k in ((0, 0), (1, 2), (3, 1)):
        assert forces[i, k] == pytest.approx(numerical_force(model, atoms, i, k), abs=1e-4)
    for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        found = numerical_stress(model, atoms, a, b)
        assert KBAR * stress[a, b] == pytest.approx(KBAR * found, abs=0.1)


def test_two_argon_atoms_have_the_published_energy() -> None:
    """By the formula of D3 with Becke and Johnson's damping and its parameters of PBE."""
    distance = 3.8 / units.Bohr
    c6, size = 64.6462, 3.44677275  # of argon, atomic units
    c8 = 3 * c6 * size**2
    damped = 0.4289 * math.sqrt(c8 / c6) + 4.4407
    expected = -c6 / (distance**6 + damped**6) - 0.7875 * c8 / (distance**8 + damped**8)
    atoms = Atoms("Ar2", [[0, 0, 0], [0, 0, 3.8]], cell=np.eye(3) * 200.0, pbc=True)
    atoms.calc = alone()
    assert atoms.get_potential_energy() == pytest.approx(expected * units.Hartree, rel=1e-3)


def test_nothing_that_matters_is_beyond_the_cutoff() -> None:
    """What three-dimensional matter of the same density has there, by an integral."""
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.calc = alone()
    bounds = []
    for cutoff in (0.6 * PAIR_CUTOFF, PAIR_CUTOFF):
        atoms.calc.correction.set(realspace_cutoff={"disp2": cutoff, "cn": 21.17})
        atoms.calc.reset()
        bounds.append(atoms.get_potential_energy() / 2)
    tail = (bounds[1] - bounds[0]) / (0.6**-3 - 1)  # falls off with the third power
    assert 0 < -tail < 1e-4


def test_what_is_no_crystal_has_no_energy() -> None:
    """It would take for ever."""
    flat = Atoms("Ar", cell=np.diag([5.0, 5.0, 0.01]), pbc=True)
    lost = Atoms("Ar", [[np.nan, 0, 0]], cell=np.eye(3) * 5, pbc=True)
    for atoms in (flat, lost):
        assert np.isnan(AseEnergy(alone()).single(atoms)[0])
        atoms.calc = alone()
        with pytest.raises(FloatingPointError):
            atoms.get_potential_energy()


def test_an_engine_with_dispersion_is_another_engine(tmp_path: Path) -> None:
    engine = find_engine("emt+d3bj:PBE")
    assert engine.name == "emt+d3bj:pbe"
    assert isinstance(engine, DispersedEngine)
    assert DispersedEngine.from_dict(engine.as_dict()) == engine
    assert engine.elements() == find_engine("emt").elements()
    assert engine.seconds_per_step > find_engine("emt").seconds_per_step
    assert find_engine(engine.name) == engine
    work = engine.relax(RelaxationLimits(0.005, 0.2)).make(copper(1), "candidates")
    document: RelaxDocument = output(run(work, tmp_path), work.uuid)
    assert document.engine == "emt+d3bj:pbe"
    assert document.converged
    # attraction: denser than without
    assert document.structure.lattice.a < 3.57
    atoms = document.frames.to_atoms()[-1]
    labelled, shares = atoms.get_potential_energy(), []
    for calculator in (EMT(), alone()):
        atoms.calc = calculator
        shares.append(atoms.get_potential_energy())
    assert labelled == pytest.approx(sum(shares), abs=1e-9)


def test_a_calculator_is_what_its_process_computed_before_or_not() -> None:
    """To the last digit, whatever it was used for."""
    atoms, other = sheared_alloy(), bulk("Cu", cubic=True) * (2, 1, 1)
    engine = find_engine("emt+d3bj:pbe")
    results = []
    for used in (False, True):
        calculator = engine.build()
        if used:
            other.calc = calculator
            other.get_stress()
            calculator = engine.build()
        copy = atoms.copy()
        copy.calc = calculator
        results.append((copy.get_potential_energy(), *copy.get_stress()))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("emt+d3bj", "does not say of which functional it is.*d3bj:pbe"),
        ("chgnet+d3bj:r2scan", "is of pbe, not of r2scan"),
        ("emt+d3zero:r2scan", "d3zero has no parameters for the functional r2scan"),
        ("chgnet+d4", "there is no engine"),
    ],
)
def test_what_does_not_fit_gets_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(UnknownEngineError, match=sentence):
        find_engine(name)


def test_names() -> None:
    assert split_name("a.b:c+d3zero:pbe") == ("a.b:c", "d3zero:pbe")
    assert name_with("emt", None) == "emt"
    assert name_with("gpaw+d3bj", "d3zero") == "gpaw+d3zero"
    assert name_with("gpaw+d3bj", "none") == "gpaw"
    with pytest.raises(UnknownEngineError, match="take none, d3bj, d3zero"):
        name_with("chgnet", "d4")


def test_settings_and_sampler_follow_the_engine() -> None:
    protocol = override(find_protocol("economical"), "gpaw.xc", "PBEsol")
    gpaw = protocol.with_reference(find_engine("gpaw+d3bj")).reference
    assert (gpaw.name, settings_branch(gpaw)) == ("gpaw+d3bj", "gpaw")
    assert gpaw.settings.xc == "PBEsol"
    assert gpaw.dispersion == Dispersion("d3bj", "pbesol")
    assert gpaw.level("melt").dispersion == gpaw.dispersion
    assert default_sampler(gpaw).name == "chgnet+d3bj"
    assert default_sampler(find_engine("chgnet+d3zero")).name == "pair"
    both = override(protocol, "vasp.incar", "IVDW=4")
    with pytest.raises(SettingError, match="--dispersion for another one"):
        both.with_reference(find_engine("vasp+d3bj"))
    with pytest.raises(SettingError, match="IVDW = 12 is --dispersion d3bj"):
        override(protocol, "vasp.incar", "IVDW = 12")


def test_only_what_is_asked_for_is_computed() -> None:
    """The stress of a plane-wave calculation is dear."""
    asked: list[str] = []

    class Counting(EMT):
        """Writes down what it is asked for."""

        def get_property(self, name: str, *arguments: Any, **keywords: Any) -> Any:
            """Give a property."""
            asked.append(name)
            return super().get_property(name, *arguments, **keywords)

    atoms = sheared_alloy()
    atoms.calc = DispersionCalculator(Counting(), Dispersion("d3bj", "pbe"))
    atoms.get_forces()
    assert "stress" not in asked
    atoms.get_stress()
    assert "stress" in asked


def test_a_calculator_without_stress_has_none_with_dispersion() -> None:
    class Stressless(EMT):
        """Of molecules only."""

        implemented_properties = ("energy", "forces")  # type: ignore[assignment]

    with pytest.raises(ValueError, match="gives no stress"):
        AseEnergy(DispersionCalculator(Stressless(), Dispersion("d3bj", "pbe")))


@pytest.mark.slow
def test_gpaw_with_dispersion() -> None:
    """Energies, forces and stress are the sums, and a relaxation fits its basis to the cell."""
    pytest.importorskip("_gpaw", reason="GPAW is not installed")
    protocol = override(find_protocol("economical"), "gpaw.cutoff", "250")
    for path in ("gpaw.crystal.cutoff=250", "gpaw.crystal.k_spacing=0.6", "gpaw.log=false"):
        protocol = override(protocol, *path.split("="))

    def level(name: str) -> Engine:
        return protocol.with_reference(find_engine(name)).reference.level("crystal")

    atoms = bulk("Al", cubic=True, a=4.0)
    atoms.rattle(0.05, seed=1)
    found = []
    for calculator in (level("gpaw+d3bj").build(), level("gpaw").build(), alone()):
        atoms.calc = calculator
        found.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()))
    for whole, *parts in zip(*found, strict=True):
        np.testing.assert_allclose(whole, sum(parts), atol=2e-4)

    engine = level("gpaw+d3bj")
    atoms = bulk("Al", cubic=True, a=4.0)
    atoms.calc = engine.build()
    atoms.get_potential_energy()
    assert not engine.refit_basis(atoms)
    atoms.set_cell(atoms.cell.array * 0.6, scale_atoms=True)
    before = without_dispersion(atoms.calc).used
    atoms.get_potential_energy()
    assert without_dispersion(atoms.calc).used == before
    assert engine.refit_basis(atoms)
    assert not atoms.calc.results
