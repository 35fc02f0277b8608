"""The GPAW engine: what needs no GPAW, and the physics of what does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from jobflow import OutputReference
from pymatgen.core import Lattice, Structure

from nnp.frames import Frames
from nnp.units import KBAR
from search.relax.limits import RelaxationLimits
from tests.integration.conftest import environment
from tests.workflows.vasp.running import output, run
from workflows.chains.protocols import find_protocol
from workflows.conversion import to_atoms, to_structure
from workflows.documents.convergence import ConvergenceDocument
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.plane_waves import PlaneWaves
from workflows.documents.relaxation import RelaxDocument
from workflows.engines.base import DynamicsTask, MissingEngineError, SegmentSettings
from workflows.engines.gpaw.datasets import CUTOFFS, ELEMENTS, recommended_cutoffs
from workflows.engines.gpaw.engine import GpawEngine
from workflows.engines.gpaw.level import INSTALL, GpawLevel, missing
from workflows.engines.gpaw.settings import CrystalSettings, GpawSettings
from workflows.engines.registry import find_engine
from workflows.settings import override
from workflows.stages.convergence import ConvergenceMaker
from workflows.stages.dynamics import DynamicsMaker

needs_gpaw = pytest.mark.skipif(missing() is not None, reason=missing() or "")

WITHOUT_GPAW = (
    "import sys; sys.modules['gpaw'] = sys.modules['_gpaw'] = None\n"
    "from launch.cli import main; sys.argv = ['devitrify', *{}]\nmain()"
)


def without_gpaw(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Give a command where GPAW cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_GPAW.format(list(arguments))], cwd=folder,
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def salt() -> Structure:
    """Rock salt, the primitive cell."""
    return Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.7), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    ).get_primitive_structure()


def chloroaluminate() -> Atoms:
    """LiAlCl4 as it crystallises in Pmn2_1 (12 atoms), with atoms moved by some 0.05 Å."""
    structure = Structure.from_spacegroup(
        "Pmn2_1",
        Lattice.orthorhombic(7.422, 6.449, 6.167),
        ["Al", "Li", "Cl", "Cl", "Cl"],
        [[0, 0.827, 0.994], [0, 0.156, 0.496], [0.2615, 0.328, 0.377], [0, 0.145, 0.883],
         [0, 0.821, 0.345]],
    )  # fmt: skip
    atoms = to_atoms(structure)
    atoms.rattle(0.05, seed=1)
    return atoms


def test_options_are_set_by_path() -> None:
    protocol = override(find_protocol("quick"), "gpaw.cutoff", "500")
    protocol = override(protocol, "gpaw.crystal.k_spacing", "0.4")
    engine = protocol.with_reference(find_engine("gpaw")).reference
    assert engine.settings == GpawSettings(cutoff=500.0, crystal=CrystalSettings(k_spacing=0.4))
    assert GpawEngine.from_dict(engine.as_dict()) == engine


def test_a_cutoff_or_a_mesh_makes_the_convergence_test_needless() -> None:
    assert GpawEngine().needs_convergence
    assert GpawEngine().has_plane_waves
    assert not GpawEngine(settings=GpawSettings(cutoff=400.0)).needs_convergence
    assert not GpawEngine().with_plane_waves(PlaneWaves(350.0)).needs_convergence


def test_each_kind_of_calculation_has_its_cutoff_and_k_points() -> None:
    cell = to_atoms(salt())
    engine = GpawEngine().with_plane_waves(PlaneWaves(350.0, (2, 2, 2)))
    used = {
        kind: engine.level(kind).sampling(cell)
        for kind in ("melt", "crystal", "compared crystal", "accurate")
    }
    assert used["melt"].plane_waves == used["accurate"].plane_waves == PlaneWaves(350.0, (2, 2, 2))
    # 2π sqrt(3) / 5.7 Å between the planes, divided by 0.25 / Å
    assert (
        used["crystal"].plane_waves.mesh == used["compared crystal"].plane_waves.mesh == (8, 8, 8)
    )
    # energies that are compared have one zero
    assert used["compared crystal"].plane_waves.cutoff == 350.0
    assert used["crystal"].plane_waves.cutoff == recommended_cutoffs(["Na", "Cl"])[1] > 350.0
    assert not used["melt"].point_group
    assert used["crystal"].point_group


def test_the_cutoff_for_relaxing_is_never_below_that_of_the_melt() -> None:
    cell = to_atoms(salt())
    level = GpawLevel(settings=GpawSettings(cutoff=800.0), kind="crystal")
    assert level.sampling(cell).plane_waves.cutoff == 800.0
    given = GpawSettings(cutoff=300.0, crystal=CrystalSettings(cutoff=450.0))
    assert GpawLevel(settings=given, kind="crystal").sampling(cell).plane_waves.cutoff == 450.0


def test_a_better_calculation_is_as_good_as_it_is_asked_to_be() -> None:
    engine = GpawEngine(settings=GpawSettings(cutoff=300.0)).with_plane_waves(
        PlaneWaves(700.0, (3, 3, 3))
    )
    sampling = engine.level("accurate").sampling(to_atoms(salt()))
    assert sampling.plane_waves == PlaneWaves(700.0, (3, 3, 3))


def test_oxides_need_more_plane_waves_than_chlorides() -> None:
    assert recommended_cutoffs(["Li", "Al", "Cl"])[0] < recommended_cutoffs(["Mg", "Si", "O"])[0]
    assert recommended_cutoffs(["Mg", "O"])[1] >= 800
    assert set(CUTOFFS) <= ELEMENTS
    assert all(preset <= relaxation for preset, relaxation in CUTOFFS.values())


def test_dynamics_wait_for_cutoff_and_k_points() -> None:
    reference = OutputReference("0" * 8, (("a", "plane_waves"),))
    engine = GpawEngine().with_plane_waves(reference)
    work = engine.molecular_dynamics(SegmentSettings(5, 2.0, 5, 100.0)).make(
        salt(), DynamicsTask("melt", 1000.0, 1000.0)
    )
    assert [str(each) for each in work.input_references] == [str(reference)]
    with pytest.raises(TypeError, match="still to be found"):
        engine.relax(RelaxationLimits())


def test_a_workflow_is_written_without_gpaw(tmp_path: Path) -> None:
    done = without_gpaw(
        tmp_path, "workflow", "LiAlCl4", "-e", "gpaw", "-o", "wf.json", "-s", "gpaw.smearing=0.07"
    )
    assert done.returncode == 0, done.stderr
    assert "engine gpaw" in done.stdout
    text = (tmp_path / "wf.json").read_text()
    assert '"smearing": 0.07' in text
    assert "GpawDynamicsMaker" in text


def test_a_run_without_gpaw_says_what_to_install(tmp_path: Path) -> None:
    done = without_gpaw(tmp_path, "run", "LiAlCl4", "--engine", "gpaw")
    assert done.returncode == 1
    assert done.stderr.strip() == f"Error: {INSTALL}."
    assert not list(tmp_path.iterdir())


def test_a_job_without_gpaw_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_gpaw", None)
    with pytest.raises(MissingEngineError, match="make install-gpaw"):
        GpawLevel().build()


@needs_gpaw
def test_the_elements_are_those_of_the_installed_data_sets() -> None:
    import gpaw

    names = {
        path.name.split(".")[0]
        for folder in gpaw.setup_paths
        for path in Path(folder).glob("*.PBE*")
    }
    assert names == ELEMENTS


def gpaw_atoms(atoms: Atoms, kind: Any = "melt", **options: Any) -> Atoms:
    """Atoms with the engine's calculator."""
    atoms.calc = GpawLevel(settings=GpawSettings(log=False, **options), kind=kind).build()
    return atoms


@pytest.mark.slow
@needs_gpaw
def test_forces_of_lithium_chloroaluminate_are_derivatives_of_its_energy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    atoms = chloroaluminate()
    atoms.calc = GpawLevel(settings=GpawSettings(cutoff=300.0)).build()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    assert energy / len(atoms) == pytest.approx(-3.72, abs=0.03)
    assert np.abs(forces.sum(axis=0)).max() < 0.02
    atom, direction = np.unravel_index(np.abs(forces).argmax(), forces.shape)
    step, energies = 0.02, []
    for sign in (1, -1):
        atoms.positions[atom, direction] += sign * step
        energies.append(atoms.get_potential_energy())
        atoms.positions[atom, direction] -= sign * step
    numerical = (energies[1] - energies[0]) / (2 * step)
    assert forces[atom, direction] == pytest.approx(numerical, abs=0.01)
    # what a job leaves to be looked at
    assert "Converged in" in (tmp_path / "gpaw.txt").read_text()


@pytest.mark.slow
@needs_gpaw
def test_the_free_energy_of_a_metal_is_what_its_forces_belong_to() -> None:
    atoms = gpaw_atoms(bulk("Al", cubic=True), cutoff=250.0, smearing=0.5)
    atoms.rattle(0.1, seed=3)
    force, step = atoms.get_forces()[0, 0], 0.01
    free, bare = [], []
    for sign in (1, -1):
        atoms.positions[0, 0] += sign * step
        free.append(atoms.get_potential_energy())
        bare.append(atoms.calc._inner.get_property("energy", atoms))
        atoms.positions[0, 0] -= sign * step
    assert force == pytest.approx((free[1] - free[0]) / (2 * step), abs=5e-3)
    assert abs(force - (bare[1] - bare[0]) / (2 * step)) > 0.02


@pytest.mark.slow
@needs_gpaw
@pytest.mark.parametrize(
    ("cell", "constant", "modulus"),
    # PBE: P. Haas, F. Tran and P. Blaha, Phys. Rev. B 79, 085104 (2009)
    [(bulk("Si", "diamond", a=5.44), 5.466, 88.8), (bulk("MgO", "rocksalt", a=4.22), 4.255, 149)],
)
def test_stress_lattice_constant_and_bulk_modulus(
    cell: Atoms, constant: float, modulus: float
) -> None:
    """The stress is the derivative of the energy: the basis is large enough for changing cells."""
    crystal = CrystalSettings(k_spacing=0.45)
    volumes, energies, pressures = [], [], []
    for scale in (0.985, 1.0, 1.015, 1.03):
        atoms = cell.copy()
        atoms.set_cell(cell.cell * scale, scale_atoms=True)
        gpaw_atoms(atoms, "crystal", crystal=crystal)
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
        pressures.append(-atoms.get_stress()[:3].mean())
    curve = np.polynomial.Polynomial.fit(volumes, energies, 3)
    assert np.allclose(-curve.deriv()(np.array(volumes)) * KBAR, np.array(pressures) * KBAR, atol=5)
    (best,) = (v.real for v in curve.deriv().roots() if volumes[0] < v.real < volumes[-1])
    assert (4 * best) ** (1 / 3) == pytest.approx(constant, abs=0.015)
    assert best * curve.deriv(2)(best) / units.GPa == pytest.approx(modulus, rel=0.05)


@pytest.mark.slow
@needs_gpaw
def test_magnetism_lowers_the_energy_of_iron() -> None:
    crystal = CrystalSettings(k_spacing=0.6)
    plain, magnetic = (
        gpaw_atoms(bulk("Fe"), "compared crystal", cutoff=350.0, crystal=crystal, magnetic=wanted)
        for wanted in (False, True)
    )
    assert magnetic.get_potential_energy() < plain.get_potential_energy() - 0.2
    assert magnetic.calc._inner.get_property("magmom", magnetic) == pytest.approx(2.2, abs=0.3)


@pytest.mark.slow
@needs_gpaw
def test_a_relaxation_ends_where_a_static_run_agrees(tmp_path: Path) -> None:
    """Through the engine's own maker: lower, at rest, in k-points of the cell it ends with."""
    crystal = CrystalSettings(k_spacing=0.97, cutoff=300.0)
    engine = GpawEngine(settings=GpawSettings(cutoff=300.0, crystal=crystal))
    start = to_atoms(salt())
    start.set_cell(start.cell * 0.9, scale_atoms=True)
    start.rattle(0.05, seed=2)
    first = engine.level("crystal").sampling(start).plane_waves.mesh
    relax = engine.relax(RelaxationLimits(0.05, 3.0, 60)).make(to_structure(start), "candidates")
    document: RelaxDocument = output(run(relax, tmp_path), relax.uuid)
    assert document.converged, document
    assert document.max_force < 0.05
    assert document.max_stress < 3.0
    end = to_atoms(document.structure)
    assert engine.level("crystal").sampling(end).plane_waves.mesh < first
    energies = document.frames.energies
    assert energies[-1] < energies[0] - 0.1
    largest = [np.linalg.norm(frame.forces, axis=1).max() for frame in document.frames]
    assert largest[-1] < 0.1 * largest[0]
    # the relaxed crystal, from scratch, in the same basis
    static = engine.static("compared crystal").make([document.structure], "judge")
    frames: Frames = output(run(static, tmp_path), static.uuid)
    assert frames.energies[0] / 2 == pytest.approx(document.energy, abs=1e-3)


@pytest.mark.slow
@needs_gpaw
def test_dynamics_conserve_energy_and_reuse_the_density(tmp_path: Path) -> None:
    """A thermostat so slow that it does nothing; through a job, with the cutoff that was found."""
    atoms = bulk("NaCl", "rocksalt", a=5.7, cubic=True)
    settings = SegmentSettings(n_steps=8, time_step=2.0, sample_stride=1, thermostat_time=1e9)
    engine = GpawEngine().with_plane_waves(PlaneWaves(250.0))
    work = engine.molecular_dynamics(settings).make(
        to_structure(atoms), DynamicsTask("liquid", 1200.0, 1200.0, seed=1)
    )
    document: SegmentDocument = output(run(work, tmp_path), work.uuid)
    potential = np.array(document.energies)
    kinetic = 1.5 * 7 / 8 * units.kB * np.array(document.temperatures)  # no motion of the whole
    assert np.ptp(potential) > 0.005
    assert np.ptp(potential + kinetic) < 5e-4
    assert np.isfinite(document.frames.stresses).all()
    (log,) = tmp_path.glob("job_*/gpaw.txt")
    steps = [
        int(line.split()[2]) for line in log.read_text().splitlines() if "Converged in" in line
    ]
    assert len(steps) == 9
    assert max(steps[1:]) < steps[0]


@pytest.mark.slow
@needs_gpaw
def test_the_convergence_test_drives_it(tmp_path: Path) -> None:
    maker = ConvergenceMaker(
        duration=0.008, n_snapshots=1, lowest_cutoff=150.0, highest_cutoff=400.0, cutoff_step=50.0,
        largest_mesh=3,
    )  # fmt: skip
    silicon = bulk("Si", "diamond", a=5.47)
    dynamics = DynamicsMaker(time_step=2.0, sample_interval=4.0)
    flow = maker.make(to_structure(silicon), dynamics, GpawEngine())
    store = run(flow, tmp_path)
    document: ConvergenceDocument = output(store, flow.jobs[-1].uuid)
    assert 150.0 < document.plane_waves.cutoff <= 300.0
    # two atoms at Gamma alone are far from silicon
    first, *_, last = [
        p for p in document.points if p.plane_waves.cutoff == document.plane_waves.cutoff
    ]
    assert abs(first.energies[0] - last.energies[0]) > 100
    assert document.warning is None or "k-points" in document.warning


@pytest.mark.slow
@needs_gpaw
def test_electrons_that_do_not_converge_leave_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # labels are made in the folder of whoever asks
    engine = GpawEngine(settings=GpawSettings(cutoff=250.0, max_electronic_steps=3))
    static = engine.static().make([salt()], "check")
    with pytest.raises(RuntimeError, match=r"failed for all of 1 .* did not converge"):
        run(static, tmp_path)
    (reason,) = engine.label_frames(Frames.from_atoms([to_atoms(salt())], stage="check"))
    assert "did not converge" in reason
    relax = engine.relax(RelaxationLimits(0.1, 10.0, 3)).make(salt(), "candidates")
    document: RelaxDocument = output(run(relax, tmp_path), relax.uuid)
    assert document.energy is None
    assert "gpaw.max_electronic_steps" in document.failure


@pytest.mark.slow
@needs_gpaw
def test_results_do_not_depend_on_what_was_computed_before() -> None:
    """A calculator that goes from one configuration to another, and back in another cell."""
    there = to_atoms(salt())
    moved = there.copy()
    moved.positions[0] += 0.1
    squeezed = there.copy()
    squeezed.set_cell(there.cell * 0.98, scale_atoms=True)
    calculator = GpawLevel(settings=GpawSettings(cutoff=250.0, log=False)).build()
    for atoms in (there, moved, squeezed, there):
        atoms.calc = calculator
        energy, forces, stress = (
            atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        )  # fmt: skip
        fresh = gpaw_atoms(atoms.copy(), cutoff=250.0)
        assert energy == pytest.approx(fresh.get_potential_energy(), abs=1e-4)
        assert np.allclose(forces, fresh.get_forces(), atol=5e-3)
        assert np.allclose(stress, fresh.get_stress(), atol=1e-4)


@pytest.mark.slow
@needs_gpaw
def test_a_search_runs_on_it(tmp_path: Path) -> None:
    """Lithium, one atom in a cell: of two structures one is body-centred cubic, or near it."""
    done = subprocess.run(
        [sys.executable, "-m", "launch.cli", "search", "gpaw", "Li", "--z", "1", "--seed", "1",
         "--population", "2", "-n", "2", "-w", "1", "-o", str(tmp_path),
         "-s", "relaxer.max_steps=1", "-s", "relaxer.tight_window=none"],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["structures"] == 2
    assert summary["new_bests"][-1]["energy"] == pytest.approx(-1.90, abs=0.05)  # PBE, bcc


def test_a_search_without_gpaw_says_what_to_install(tmp_path: Path) -> None:
    done = without_gpaw(tmp_path, "search", "gpaw", "Li", "-n", "2", "-o", "out")
    assert done.returncode == 1
    assert "make install-gpaw" in done.stderr
