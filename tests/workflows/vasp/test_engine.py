"""The VASP engine on a stand-in for VASP, by jobflow and custodian as in production."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobflow import Flow
from pymatgen.core import Structure
from pymatgen.io.vasp import Incar

from nnp.frames import Frames
from nnp.units import KBAR
from search.relax.limits import RelaxationLimits
from tests.fake_vasp.fixtures import FakeVasp
from tests.workflows.samples import IdealGas
from tests.workflows.vasp.running import engine, indices, memory_store, output, run
from tests.workflows.vasp.stages import rock_salt
from workflows.conversion import to_atoms
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.plane_waves import PlaneWaves
from workflows.documents.relaxation import RelaxDocument
from workflows.engines.ase.dispersion import DispersionCalculator
from workflows.engines.base import ATTEMPTS, DynamicsTask, ExplodedError, SegmentSettings
from workflows.engines.dispersion import Dispersion
from workflows.engines.vasp.engine import VaspEngine
from workflows.engines.vasp.errors import UnconvergedError, VaspError
from workflows.engines.vasp.execution import run_vasp
from workflows.engines.vasp.handlers import Deadline, ionic_steps
from workflows.engines.vasp.inputs import VaspSetupError
from workflows.engines.vasp.level import Calculation, Level
from workflows.engines.vasp.settings import MeltSettings, Supervision, VaspSettings
from workflows.stages.dynamics import DynamicsMaker

pytestmark = pytest.mark.filterwarnings("ignore")

MD = SegmentSettings(n_steps=30, time_step=2.0, sample_stride=5, thermostat_time=100.0)


def mixed_salt() -> Structure:
    """Rock salt whose atoms are not grouped by element and lie outside of the cell."""
    salt = rock_salt()
    order = [4, 0, 5, 1, 6, 2, 7, 3]
    mixed = Structure(
        salt.lattice, [salt[i].specie for i in order], [salt[i].frac_coords for i in order]
    )
    mixed.translate_sites([0, 3], [1.0, -2.0, 0.0], to_unit_cell=False)
    return rattled(mixed, seed=1)


def rattled(structure: Structure, seed: int) -> Structure:
    """Atoms some hundredths of Å off."""
    moves = 0.05 * np.random.default_rng(seed).normal(size=(len(structure), 3))
    return Structure(
        structure.lattice, structure.species, structure.cart_coords + moves,
        coords_are_cartesian=True, to_unit_cell=False,
    )  # fmt: skip


def segment(
    vasp: VaspEngine,
    folder: Path,
    settings: SegmentSettings = MD,
    structure: Structure | None = None,
    **task: Any,
) -> tuple[SegmentDocument, list[int]]:
    """Run a segment; its document, and the indices under which parts of it are stored."""
    temperatures = {"temperature": 1000.0, "end_temperature": 1000.0}
    work = vasp.molecular_dynamics(settings).make(
        structure or mixed_salt(),
        DynamicsTask(**{"stage": "liquid", "seed": 1, **temperatures, **task}),
    )
    store = run(work, folder)
    return output(store, work.uuid), indices(store, work.uuid)


def incar(folder: Path) -> Incar:
    """INCAR of the only job in a folder."""
    (path,) = folder.glob("job_*/INCAR.gz")
    return Incar.from_str(gzip.decompress(path.read_bytes()).decode())


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Let the time run out after some ionic steps, as it does on a machine of known speed."""
    stops: list[int] = []

    def check(handler: Deadline, directory: str = "./") -> bool:
        taken = len(ionic_steps(Path(directory) / "OSZICAR"))
        if not handler.stopped and taken >= steps and len(stops) < times:
            stops.append(taken)
            handler.end, handler.buffer = 0.0, 0.0
            return real(handler, directory)
        return False

    real = Deadline.check
    monkeypatch.setattr(Deadline, "check", check)


def test_levels_choose_cutoffs_and_meshes(fake_vasp: FakeVasp) -> None:
    """ENMAX of the stand-in's potentials of Na_pv and Cl decides."""
    settings, found = VaspSettings(), PlaneWaves(320.0, (2, 2, 2))
    salt = rock_salt()
    basis = {
        kind: Calculation.prepare(salt, Level(settings, kind, waves)).basis
        for kind, waves in (("melt", None), ("crystal", None), ("compared crystal", found),
                            ("accurate", PlaneWaves(700.0, (3, 3, 3))))
    }  # fmt: skip
    enmax = basis["melt"].cutoff
    assert 200 < enmax < 400
    assert basis["melt"].mesh == (1, 1, 1)
    assert basis["crystal"].cutoff == pytest.approx(1.3 * enmax)
    assert basis["crystal"].mesh == (5, 5, 5)
    assert (basis["compared crystal"].cutoff, basis["compared crystal"].mesh) == (320.0, (5, 5, 5))
    assert (basis["accurate"].cutoff, basis["accurate"].mesh) == (700.0, (3, 3, 3))
    high = Calculation.prepare(salt, Level(settings, "crystal", PlaneWaves(900.0))).basis
    assert high.cutoff == 900.0


def test_missing_potentials_and_programs_get_a_sentence(
    fake_vasp: FakeVasp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VaspSetupError, match="PMG_VASP_PSP_DIR"):
        Calculation.prepare(rock_salt(), Level(VaspSettings(potentials=("Na_nosuch",))))
    monkeypatch.setattr("atomate2.SETTINGS.VASP_CMD", "srun_that_is_not_here vasp_std")
    with pytest.raises(VaspSetupError, match="ATOMATE2_VASP_CMD"):
        run_vasp(tmp_path, [], Supervision(), None)


@pytest.mark.slow
def test_static_runs_give_frames_in_the_order_of_atoms(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    mixed, moved = mixed_salt(), rattled(mixed_salt(), seed=2)
    grouped = mixed.get_sorted_structure()
    work = engine().static().make([mixed, grouped, moved], "liquid")
    frames: Frames = output(run(work, tmp_path), work.uuid)
    assert len(frames) == 3
    assert np.isfinite(frames.energies).all()
    assert frames.energies[0] == pytest.approx(frames.energies[1], abs=1e-6)
    assert frames.energies[2] != pytest.approx(frames.energies[0], abs=1e-3)
    order = np.argsort([site.specie.X for site in mixed], kind="stable")
    assert np.allclose(frames[0].forces[order], frames[1].forces, atol=1e-5)
    assert np.array_equal(frames[0].numbers, mixed.atomic_numbers)
    assert np.allclose(frames[0].positions, mixed.cart_coords)
    assert list(frames.stages) == ["liquid"] * 3
    (folder,) = tmp_path.glob("job_*")
    assert not list(folder.glob("WAVECAR*"))
    assert not (folder / "POTCAR").exists()


@pytest.mark.slow
def test_chosen_frames_are_labelled_and_failures_leave_a_sentence(
    fake_vasp: FakeVasp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = engine().static().make([mixed_salt()], "liquid")
    expected: Frames = output(run(work, tmp_path / "job"), work.uuid)
    monkeypatch.chdir(tmp_path)
    blank = Frames.concatenate([expected, expected])
    blank.energies[:] = np.nan
    blank.times[:] = (20.0, 40.0)
    labels = engine(max_electronic_steps=20).label_frames(blank)
    first = next(labels)
    fake_vasp.fault("unconverged run static cure none")
    second = next(labels)
    assert isinstance(first, Frames)
    assert first.energies == pytest.approx(expected.energies, abs=1e-4)
    np.testing.assert_allclose(first.forces, expected.forces, atol=1e-3)
    assert (str(first.stages[0]), first.times[0]) == ("liquid", 20.0)
    assert isinstance(second, str)
    assert "electrons do not converge" in second
    assert "vasp.max_electronic_steps" in second


def test_static_runs_change_the_minimiser_and_give_up_in_the_end(
    fake_vasp: FakeVasp, tmp_path: Path
) -> None:
    fake_vasp.fault("unconverged run static call 1")
    work = engine().static().make([rock_salt()], "liquid")
    frames = output(run(work, tmp_path / "cured"), work.uuid)
    assert np.isfinite(frames.energies).all()
    assert incar(tmp_path / "cured")["ALGO"] == "Normal"
    fake_vasp.fault("unconverged run static cure none")
    work = engine(max_electronic_steps=20).static().make([rock_salt()], "liquid")
    frames = output(run(work, tmp_path / "hopeless"), work.uuid)
    assert len(frames) == 1
    assert np.isnan(frames.energies).all()


@pytest.mark.slow
def test_two_segments_continue_each_other(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    dynamics = DynamicsMaker(engine=engine(), time_step=1.0, segment_steps=20, sample_interval=1.0)
    flow = dynamics.make(mixed_salt(), 900.0, 0.04, "liquid")
    store = run(flow, tmp_path)
    first, second = (output(store, job.uuid) for job in flow.jobs)
    n_atoms = 8
    positions = [d.frames.positions.reshape(-1, n_atoms, 3) for d in (first, second)]
    # the stand-in, unlike VASP, computes the last step once more
    assert np.allclose(positions[0][-1], positions[1][0], atol=1e-5)
    velocities = [np.diff(p, axis=0) for p in positions]
    assert np.abs(velocities[0][-1] - velocities[1][0]).max() < 0.1 * np.abs(velocities[0]).max()
    assert np.allclose(first.frames.forces[-n_atoms:], second.frames.forces[:n_atoms], atol=1e-3)
    # unwrapped and in the order that they came in
    start = mixed_salt()
    assert np.abs(positions[0][0] - start.cart_coords).max() < 0.6
    assert np.array_equal(first.frames.numbers[:n_atoms], start.atomic_numbers)
    assert second.frames.times.tolist() == pytest.approx(np.arange(21.0, 41.0).tolist())
    # orbitals went along, and those of the first segment are gone
    folders = sorted(tmp_path.glob("job_*"))
    assert [(folder / "WAVECAR").exists() for folder in folders] == [False, True]
    text = gzip.decompress((folders[1] / "INCAR.gz").read_bytes()).decode()
    assert "ISTART = 1" in text


@pytest.mark.slow
def test_a_segment_describes_what_ran(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    vasp = engine().with_plane_waves(PlaneWaves(350.0))
    document, parts = segment(vasp, tmp_path, end_temperature=700.0, start_time=500.0)
    assert parts == [1]
    assert document.engine == "vasp"
    assert document.duration == 60.0
    assert document.sample_interval == 10.0
    assert len(document.temperatures) == len(document.pressures) == len(document.frames) == 6
    assert document.frames.times.tolist() == pytest.approx([510 + 10 * i for i in range(6)])
    assert document.frames.temperatures.tolist() == pytest.approx([950 - 50 * i for i in range(6)])
    tags = incar(tmp_path)
    assert (tags["ENCUT"], tags["TEBEG"], tags["TEEND"], tags["NSW"]) == (350.0, 1000.0, 700.0, 30)
    # pressures hold the ideal gas of the moving atoms, frames do not
    virial = -np.trace(document.frames.stresses, axis1=1, axis2=2) / 3 * KBAR
    gas = 8.617333e-5 * np.array(document.temperatures) * 7 / document.volume * KBAR
    assert np.mean(document.pressures) == pytest.approx(np.mean(virial + gas), abs=6.0)


@pytest.mark.slow
def test_the_wall_time_stops_a_segment_and_a_job_of_its_name_goes_on(
    fake_vasp: FakeVasp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_vasp.set(sleep=0.2)
    stop_after(7, monkeypatch, times=2)
    document, parts = segment(engine(), tmp_path / "cut")
    assert parts == [1, 2, 3]
    assert len(document.frames) == 6
    assert document.frames.times.tolist() == pytest.approx([10.0 * i for i in range(1, 7)])
    fake_vasp.set(sleep=None)
    whole, parts = segment(engine(), tmp_path / "whole")
    assert parts == [1]
    # velocities are scaled, which has no memory: cut or not, it is nearly the same run
    assert np.allclose(document.frames.positions, whole.frames.positions, atol=0.02)
    assert np.allclose(document.frames.energies, whole.frames.energies, atol=0.05)
    moves = np.diff(document.frames.positions.reshape(6, 8, 3), axis=0)
    assert np.abs(moves).max() < 1.0


@pytest.mark.slow
def test_a_part_that_is_run_again_repeats_nothing(
    fake_vasp: FakeVasp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_vasp.set(sleep=0.2)
    stop_after(7, monkeypatch)
    work = (
        engine()
        .molecular_dynamics(MD)
        .make(mixed_salt(), DynamicsTask("liquid", 1000.0, 1000.0, seed=1))
    )
    flow, store = Flow([work]), memory_store()
    run(flow, tmp_path / "first", store)
    parts = indices(store, work.uuid)
    assert parts == [1, 2]
    again = output(store, work.uuid)
    fake_vasp.set(sleep=100)  # nothing must run any more
    run(flow, tmp_path / "again", store)
    assert indices(store, work.uuid) == parts
    assert np.array_equal(output(store, work.uuid).frames.positions, again.frames.positions)


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [True, False])
def test_frames_without_convergence_are_computed_again_or_dropped(
    fake_vasp: FakeVasp, tmp_path: Path, recompute: bool
) -> None:
    fake_vasp.fault("unconverged run md step 10 steps 1")
    vasp = engine(MeltSettings(recompute=recompute))
    document, _ = segment(vasp, tmp_path / "faulty")
    assert len(document.frames) == (6 if recompute else 5)
    assert document.frames_unconverged == (0 if recompute else 1)
    assert (20.0 in document.frames.times.round(6)) is recompute
    assert len(document.pressures) == 6
    assert np.isfinite(document.pressures).all()
    if recompute:
        check = vasp.static().make(
            [Structure(document.frames.cells[1], document.frames[1].numbers.tolist(),
                       document.frames[1].positions, coords_are_cartesian=True)], "liquid",
        )  # fmt: skip
        expected = output(run(check, tmp_path / "static"), check.uuid)
        assert document.frames.energies[1] == pytest.approx(expected.energies[0], abs=1e-4)
        assert np.allclose(document.frames[1].forces, expected.forces, atol=1e-3)


@pytest.mark.slow
def test_electrons_that_stop_converging_get_another_minimiser(
    fake_vasp: FakeVasp, tmp_path: Path
) -> None:
    fake_vasp.fault("unconverged run md step 12")
    fake_vasp.set(sleep=0.05)
    vasp = engine(supervision={"unconverged_in_a_row": 3}, max_electronic_steps=40)
    document, _ = segment(vasp, tmp_path)
    assert len(document.frames) == 6
    assert document.frames_unconverged == 0
    assert incar(tmp_path)["ALGO"] == "Normal"
    assert incar(tmp_path)["POTIM"] == 2.0


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["sigkill", "segv", "disk_full", "cut_xml"])
def test_a_crash_costs_no_finished_step(fake_vasp: FakeVasp, tmp_path: Path, fault: str) -> None:
    fake_vasp.fault(f"{fault} run md call 1 step 18")
    document, parts = segment(engine(), tmp_path / "crashed")
    assert parts == [1]
    assert document.frames.times.tolist() == pytest.approx([10.0 * i for i in range(1, 7)])
    assert document.explosions == 0
    fake_vasp.fault()
    whole, _ = segment(engine(), tmp_path / "whole")
    # velocities are scaled, which has no memory: the crash leaves no trace but rounding
    assert np.allclose(document.frames.positions, whole.frames.positions, atol=0.01)


@pytest.mark.slow
def test_what_cannot_be_mended_fails_with_a_sentence(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    vasp = engine(supervision={"restarts": 1}, max_electronic_steps=20)
    fake_vasp.fault("error_exit cure none")
    with pytest.raises(VaspError, match=r"see vasp\.out"):
        segment(vasp, tmp_path / "a")
    fake_vasp.fault("unconverged run md cure none step 20")
    loose = engine(supervision={"unconverged_in_a_row": 50}, max_electronic_steps=20)
    with pytest.raises(UnconvergedError, match=r"vasp\.max_electronic_steps"):
        segment(loose, tmp_path / "b")


@pytest.mark.slow
def test_atoms_that_vasp_gives_up_on_take_smaller_steps(
    fake_vasp: FakeVasp, tmp_path: Path
) -> None:
    fake_vasp.fault("zpotrf run md step 3 cure POTIM")
    document, _ = segment(engine(), tmp_path)
    assert document.explosions == 1
    assert document.time_step == 1.0
    assert document.duration == 60.0
    assert len(document.frames) == 6
    fake_vasp.fault("zpotrf run md step 3 cure none")
    with pytest.raises(ExplodedError, match=f"{2.0 / 2 ** (ATTEMPTS - 1):g} fs"):
        segment(engine(), tmp_path / "hopeless")


@pytest.mark.slow
def test_a_relaxation_converges_in_a_basis_made_for_its_cell(
    fake_vasp: FakeVasp, tmp_path: Path
) -> None:
    start = mixed_salt()
    start.apply_strain(0.08)
    work = engine().relax(RelaxationLimits(0.02, 4.0, 200)).make(start, "candidates")
    document: RelaxDocument = output(run(work, tmp_path), work.uuid)
    assert document.failure is None
    assert document.converged
    assert document.max_force <= 0.02
    assert document.max_stress <= 4.0
    assert [s.specie for s in document.structure] == [s.specie for s in start]
    assert len(document.frames) >= 3  # two runs at least, each with its first and last step
    # a static run of the result, which is in a new basis anyway, agrees
    level = Level(engine().settings, "crystal")
    again = type(engine().static())(level=level).make([document.structure], "candidates")
    frames = output(run(again, tmp_path / "static"), again.uuid)
    assert frames.energies[0] / 8 == pytest.approx(document.energy, abs=1e-5)
    assert np.linalg.norm(frames.forces, axis=1).max() <= 0.021


@pytest.mark.slow
@pytest.mark.parametrize("magnetic", [True, False])
def test_the_moments_that_a_relaxation_ends_with_are_in_its_document(
    fake_vasp: FakeVasp, tmp_path: Path, magnetic: bool
) -> None:
    """In the order of atoms in which the structure came, which is not that of POSCAR."""
    start = mixed_salt().replace_species({"Na": "Fe", "Cl": "O"}, in_place=False)
    work = engine(magnetic=magnetic).relax(RelaxationLimits(0.02, 4.0, 2)).make(start, "candidates")
    document: RelaxDocument = output(run(work, tmp_path), work.uuid)
    assert document.energy is not None
    if not magnetic:
        assert document.magnetic_moments is None
        return
    # the stand-in keeps four fifths of the moments that it begins with
    expected = {"Fe": 0.8 * 5.0, "O": 0.8 * 0.6}
    assert document.magnetic_moments == pytest.approx(
        [expected[site.specie.symbol] for site in document.structure], abs=1e-3
    )
    assert document.moments_by_element["Fe"] == pytest.approx([4.0, 4.0], abs=1e-3)


@pytest.mark.slow
def test_a_relaxation_ends_at_the_pressure_from_outside(
    fake_vasp: FakeVasp, tmp_path: Path
) -> None:
    """Energies and stresses that are learnt from are those without it."""
    limits = RelaxationLimits(0.02, 4.0, 200, pressure=60.0)
    work = engine().relax(limits).make(mixed_salt(), "candidates")
    document: RelaxDocument = output(run(work, tmp_path), work.uuid)
    assert document.converged
    assert document.max_stress <= 4.0
    assert document.pressure == 60.0
    assert incar(tmp_path)["PSTRESS"] == 60.0
    last = document.frames[len(document.frames) - 1]
    assert np.allclose(-last.stresses[0] * KBAR, 60.0 * np.eye(3), atol=4.0)
    free = engine().relax(RelaxationLimits(0.02, 4.0, 200)).make(mixed_salt(), "candidates")
    relaxed = output(run(free, tmp_path / "free"), free.uuid)
    assert document.structure.volume < 0.97 * relaxed.structure.volume
    assert document.energy > relaxed.energy
    assert document.energy + document.work < relaxed.energy + (
        60.0 * relaxed.structure.volume / len(relaxed.structure) / KBAR
    )
    level = Level(engine().settings, "crystal")
    again = type(engine().static())(level=level).make([document.structure], "candidates")
    frames = output(run(again, tmp_path / "static"), again.uuid)
    assert frames.energies[0] / 8 == pytest.approx(document.energy, abs=1e-5)


@pytest.mark.parametrize("damping", ["d3bj", "d3zero"])
def test_labels_have_the_dispersion_that_is_asked_for(
    fake_vasp: FakeVasp, damping: Any, tmp_path: Path
) -> None:
    """In energy, forces and stress, and with the name of the engine."""
    crystal = mixed_salt()
    dispersed = replace(engine(), name=f"vasp+{damping}", dispersion=Dispersion(damping, "pbe"))
    found = []
    for number, vasp in enumerate((dispersed, engine())):
        work = vasp.static().make([crystal], "label")
        frames = output(run(work, tmp_path / str(number)), work.uuid)
        found.append((frames.energies[0], frames.forces, frames.stresses[0]))
    atoms = to_atoms(crystal)
    atoms.calc = DispersionCalculator(IdealGas(), Dispersion(damping, "pbe"))
    added = (
        atoms.get_potential_energy(),
        atoms.get_forces(),
        atoms.get_stress(voigt=False),
    )
    assert added[0] < -0.5
    for whole, bare, part in zip(*found, added, strict=True):
        np.testing.assert_allclose(whole - bare, part, atol=2e-5)
    work = dispersed.relax(RelaxationLimits(0.1, 20.0, 2)).make(crystal, "candidates")
    document = output(run(work, tmp_path / "relax"), work.uuid)
    assert document.engine == f"vasp+{damping}"
    assert incar(tmp_path / "relax")["IVDW"] == {"d3bj": 12, "d3zero": 11}[damping]


def test_a_pressure_is_no_tag_of_the_user() -> None:
    with pytest.raises(ValueError, match="PSTRESS is what --pressure says"):
        VaspSettings(incar=("pstress = 50",))


@pytest.mark.slow
def test_a_relaxation_is_cut_by_the_wall_time_and_goes_on(
    fake_vasp: FakeVasp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_vasp.set(sleep=0.3)
    stop_after(3, monkeypatch)
    start = mixed_salt()
    start.apply_strain(0.05)
    work = engine().relax(RelaxationLimits(0.02, 4.0, 200)).make(start, "candidates")
    store = run(work, tmp_path)
    assert indices(store, work.uuid) == [1, 2]
    document = output(store, work.uuid)
    assert document.converged
    assert document.max_force <= 0.02
    assert document.steps > 4


@pytest.mark.slow
def test_a_relaxation_that_fails_says_why(fake_vasp: FakeVasp, tmp_path: Path) -> None:
    fake_vasp.fault("error_exit run relax cure none")
    work = (
        engine(supervision={"restarts": 1})
        .relax(RelaxationLimits(0.02, 4.0, 50))
        .make(rock_salt(), "candidates")
    )
    document = output(run(work, tmp_path), work.uuid)
    assert document.energy is None
    assert not document.converged
    assert "VASP failed" in document.failure
