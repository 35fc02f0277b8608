"""Faults: what they leave behind, and what custodian makes of them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from custodian import Custodian
from custodian.custodian import (
    MaxCorrectionsPerJobError,
    NonRecoverableError,
    ValidationError,
)
from custodian.vasp.handlers import (
    FrozenJobErrorHandler,
    NonConvergingErrorHandler,
    PositiveEnergyErrorHandler,
    UnconvergedErrorHandler,
    VaspErrorHandler,
    WalltimeHandler,
)
from custodian.vasp.jobs import VaspJob
from custodian.vasp.validators import VaspFilesValidator, VasprunXMLValidator
from lxml import etree
from pymatgen.io.vasp import Incar, Outcar, Poscar, Vasprun

from tests.fake_vasp.faults import FAULTS, Fault
from tests.fake_vasp.fixtures import FakeVasp
from tests.fake_vasp.incar import InputError
from tests.fake_vasp.samples import run_here, salt, write_inputs

pytestmark = pytest.mark.filterwarnings("ignore")
MD = {"NSW": 12, "IBRION": 0, "MDALGO": 2, "SMASS": 0, "TEBEG": 600, "POTIM": 2.0, "ALGO": "Fast"}
RELAX = {"NSW": 60, "IBRION": 2, "ISIF": 3, "EDIFFG": -0.02, "ALGO": "Fast"}
STATIC = {"NSW": 0, "ALGO": "Fast"}


def handlers(dynamics: bool, *more: Any) -> list[Any]:
    """Of those that atomate2 uses, the ones that look for faults made here."""
    still = [UnconvergedErrorHandler(), NonConvergingErrorHandler()]
    return [VaspErrorHandler(), *([] if dynamics else still), PositiveEnergyErrorHandler(), *more]


def watch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *more: Any, polling: float = 0.2
) -> list[dict[str, Any]]:
    """Run under custodian, which looks every `polling` seconds; gives what it corrected."""
    monkeypatch.chdir(folder)
    dynamics = Incar.from_file("INCAR").get("IBRION") == 0
    custodian = Custodian(
        handlers(dynamics, *more),
        [VaspJob(["vasp_std"], gamma_vasp_cmd=("vasp_gam",), auto_npar=False, backup=False)],
        validators=[VasprunXMLValidator(), VaspFilesValidator()],
        max_errors=5,
        polling_time_step=polling,
        monitor_freq=1,
    )
    log = custodian.run()
    return [correction for entry in log for correction in entry["corrections"]]


def changed(corrections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each correction set in INCAR."""
    return [
        action["action"]["_set"]
        for correction in corrections
        for action in correction["actions"] or []
        if action.get("dict") == "INCAR"
    ]


def test_faults_are_read_from_text():
    fault = Fault.parse("Brmix run md call 2 step 5 cure IMIX+AMIX")
    assert fault == Fault("brmix", "md", call=2, step=5, cure=("IMIX", "AMIX"))
    assert Fault.parse("hang from 3").begin == 3
    assert Fault.parse("unconverged steps 1").cure == FAULTS["unconverged"]
    assert Fault.parse("brmix cure none").cure == ()


@pytest.mark.parametrize("text", ["flood", "brmix call", "brmix call x", "brmix run all", "hang 3"])
def test_other_text_is_refused(text):
    with pytest.raises(InputError):
        Fault.parse(text)


def test_calls_are_counted_by_kind_across_folders(fake_vasp: FakeVasp, tmp_path: Path):
    fake_vasp.fault("error_exit run static call 2")
    run_here(tmp_path / "1", salt(), **STATIC)
    run_here(tmp_path / "2", salt(), **MD)
    run_here(tmp_path / "3", salt(), expect=24, **STATIC)
    run_here(tmp_path / "4", salt(), **STATIC)


def test_faults_come_from_incar_as_well(tmp_path: Path):
    run_here(tmp_path, salt(), expect=24, FAKE_VASP_FAULTS="Error_exit call 1", **STATIC)
    run_here(tmp_path, salt(), FAKE_VASP_FAULTS="Error_exit call 1", **STATIC)


@pytest.mark.parametrize(
    ("name", "status", "tags"),
    [
        ("sigkill", -signal.SIGKILL, MD),
        ("sigkill", -signal.SIGKILL, STATIC),
        ("sigterm", -signal.SIGTERM, RELAX),
        ("segv", -signal.SIGSEGV, MD),
        ("disk_full", 38, MD),
    ],
)
def test_death_leaves_a_truncated_file(fake_vasp: FakeVasp, tmp_path: Path, name, status, tags):
    fake_vasp.fault(f"{name} step 3")
    write_inputs(tmp_path, salt(), tags)
    process = subprocess.run([fake_vasp.executable], cwd=tmp_path, capture_output=True, check=False)
    assert process.returncode == status
    with pytest.raises(etree.XMLSyntaxError):
        etree.parse(tmp_path / "vasprun.xml")
    assert (tmp_path / "vasprun.xml").read_text().count("</calculation>") == (
        0 if tags is STATIC else 2
    )
    if tags is MD:
        partial = Vasprun(tmp_path / "vasprun.xml", exception_on_bad_xml=False)
        assert len(partial.ionic_steps) == 2
        assert np.any(Poscar.from_file(tmp_path / "CONTCAR").velocities)


@pytest.mark.parametrize("name", ["sigkill", "segv", "disk_full", "error_exit", "cut_xml"])
def test_custodian_gives_up_on_broken_files(fake_vasp, tmp_path: Path, monkeypatch, name):
    fake_vasp.fault(name)
    write_inputs(tmp_path, salt(), STATIC)
    with pytest.raises(ValidationError):
        watch(tmp_path, monkeypatch)


def test_unconverged_static_is_cured_by_another_algorithm(fake_vasp, tmp_path: Path, monkeypatch):
    fake_vasp.fault("unconverged")
    write_inputs(tmp_path, salt(), STATIC)
    assert changed(watch(tmp_path, monkeypatch)) == [{"ALGO": "Normal"}]
    assert Vasprun(tmp_path / "vasprun.xml").converged


def test_stubborn_static_is_given_up(fake_vasp: FakeVasp, tmp_path: Path, monkeypatch):
    fake_vasp.fault("unconverged cure none")
    write_inputs(tmp_path, salt(), STATIC)
    with pytest.raises((NonRecoverableError, MaxCorrectionsPerJobError)):
        watch(tmp_path, monkeypatch)


def test_one_unconverged_frame_of_dynamics_passes_unnoticed(fake_vasp, tmp_path: Path, monkeypatch):
    """Nobody looks at single frames: what reads the file has to."""
    write_inputs(tmp_path / "good", salt(), MD)
    assert watch(tmp_path / "good", monkeypatch) == []
    fake_vasp.fault("unconverged step 5 steps 1")
    write_inputs(tmp_path / "bad", salt(), MD)
    assert watch(tmp_path / "bad", monkeypatch) == []
    good, bad = (Vasprun(tmp_path / name / "vasprun.xml") for name in ("good", "bad"))
    lengths = [len(step["electronic_steps"]) for step in bad.ionic_steps]
    assert [n for n, length in enumerate(lengths, start=1) if length == 60] == [5]
    assert bad.converged
    difference = np.array(bad.ionic_steps[4]["forces"]) - good.ionic_steps[4]["forces"]
    assert 0.05 < np.abs(difference).max() < 2
    assert bad.ionic_steps[4]["e_fr_energy"] > good.ionic_steps[4]["e_fr_energy"] + 0.05


def test_brmix(fake_vasp: FakeVasp, tmp_path: Path, monkeypatch):
    fake_vasp.fault("brmix step 4")
    fake_vasp.set(sleep=0.2)
    write_inputs(tmp_path, salt(), MD)
    corrections = watch(tmp_path, monkeypatch)
    assert corrections[0]["errors"] == ["brmix"]
    assert changed(corrections)
    assert Vasprun(tmp_path / "vasprun.xml").converged


@pytest.mark.parametrize(
    ("tags", "cure"),
    [(RELAX, "ISYM"), pytest.param({**RELAX, "ISYM": 0}, "POTIM", marks=pytest.mark.slow)],
)
def test_zpotrf(fake_vasp: FakeVasp, tmp_path: Path, monkeypatch, tags, cure):
    fake_vasp.fault("zpotrf step 3")
    write_inputs(tmp_path, salt(1.03), tags)
    corrections = watch(tmp_path, monkeypatch)
    assert corrections[0]["errors"] == ["zpotrf"]
    assert cure in {tag for change in changed(corrections) for tag in change}
    assert Vasprun(tmp_path / "vasprun.xml").converged


@pytest.mark.slow
def test_positive_energy(fake_vasp: FakeVasp, tmp_path: Path, monkeypatch):
    fake_vasp.fault("positive_energy step 2")
    fake_vasp.set(sleep=1.0)
    write_inputs(tmp_path, salt(), MD)
    # by then a run has written an OSZICAR of its own; that of the run before is still positive
    corrections = watch(tmp_path, monkeypatch, polling=5.0)
    assert changed(corrections)[0] == {"ALGO": "Normal"}
    assert Vasprun(tmp_path / "vasprun.xml").final_energy < 0


def test_nan_forces_reach_the_file(fake_vasp: FakeVasp, tmp_path: Path):
    fake_vasp.fault("nan_forces step 3 steps 1")
    run = Vasprun(run_here(tmp_path, salt(), **MD) / "vasprun.xml")
    assert np.isfinite(run.ionic_steps[1]["forces"]).all()
    assert np.isnan(run.ionic_steps[2]["forces"]).all()
    assert np.isfinite(run.ionic_steps[2]["e_fr_energy"])
    assert np.isnan(run.ionic_steps[3]["e_fr_energy"])
    assert len(run.ionic_steps[3]["electronic_steps"]) == 60


def test_empty_contcar(fake_vasp: FakeVasp, tmp_path: Path):
    fake_vasp.fault("empty_contcar")
    run_here(tmp_path, salt(), **MD)
    assert (tmp_path / "CONTCAR").read_text() == ""
    assert Vasprun(tmp_path / "vasprun.xml").converged


@pytest.mark.slow
def test_a_frozen_run_is_killed_and_repeated(fake_vasp: FakeVasp, tmp_path: Path, monkeypatch):
    fake_vasp.fault("hang run md call 1 step 4")
    write_inputs(tmp_path, salt(), MD)
    corrections = watch(tmp_path, monkeypatch, FrozenJobErrorHandler(timeout=10))
    assert [correction["errors"] for correction in corrections] == [["Frozen job"]]
    assert Vasprun(tmp_path / "vasprun.xml").converged


def test_a_hanging_run_ends_with_its_parent(fake_vasp: FakeVasp, tmp_path: Path):
    fake_vasp.fault("hang step 2")
    write_inputs(tmp_path, salt(), MD)
    command = f"{fake_vasp.executable} > vasp.out & echo $! > pid; exec sleep 100"
    with subprocess.Popen(["sh", "-c", command], cwd=tmp_path) as parent:
        try:
            _wait_for(lambda: (tmp_path / "pid").exists() and has_moved(tmp_path))
            child = psutil.Process(int((tmp_path / "pid").read_text()))
            assert child.ppid() == parent.pid
        finally:
            parent.kill()
    try:
        _wait_for(lambda: ended(child))
    finally:
        if not ended(child):
            child.kill()


def ended(process: psutil.Process) -> bool:
    """Whether it has ended, reaped or not."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def has_moved(folder: Path) -> bool:
    """Whether a first step of molecular dynamics is done."""
    file = folder / "OSZICAR"
    return file.exists() and "T=" in file.read_text()


def _wait_for(condition: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@pytest.mark.parametrize(("tag", "kind"), [("LSTOP", "soft"), ("LABORT", "hard")])
def test_stopcar(fake_vasp: FakeVasp, tmp_path: Path, tag: str, kind: str):
    fake_vasp.set(sleep=0.1)
    write_inputs(tmp_path, salt(), {**MD, "NSW": 500})
    process = subprocess.Popen([fake_vasp.executable], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        _wait_for(lambda: has_moved(tmp_path))
        (tmp_path / "STOPCAR").write_text(f"{tag} = .TRUE.\n")
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
    run = Vasprun(tmp_path / "vasprun.xml")
    assert 1 <= len(run.ionic_steps) < 400
    assert run.efermi is not None
    assert f"{kind} stop encountered!  aborting job" in (tmp_path / "OUTCAR").read_text()
    assert Outcar(tmp_path / "OUTCAR").is_stopped == (kind == "soft")
    assert not (tmp_path / "STOPCAR").exists()
    assert (tmp_path / "WAVECAR").exists()
    assert np.any(Poscar.from_file(tmp_path / "CONTCAR").velocities)


@pytest.mark.slow
def test_walltime_stops_in_time_and_can_be_continued(fake_vasp, tmp_path: Path, monkeypatch):
    fake_vasp.set(sleep=0.2)
    first = write_inputs(tmp_path / "first", salt(), {**MD, "NSW": 200})
    corrections = watch(first, monkeypatch, WalltimeHandler(wall_time=20, buffer_time=8))
    assert {error for correction in corrections for error in correction["errors"]} == {
        "Walltime reached"
    }
    done = len(Vasprun(first / "vasprun.xml").ionic_steps)
    assert 1 <= done < 200
    second = tmp_path / "second"
    second.mkdir()
    for name in ("KPOINTS", "POTCAR", "WAVECAR"):
        shutil.copy(first / name, second / name)
    shutil.copy(first / "CONTCAR", second / "POSCAR")
    Incar({**Incar.from_file(first / "INCAR"), "NSW": 3}).write_file(second / "INCAR")
    fake_vasp.set(sleep=None)
    monkeypatch.delenv("CUSTODIAN_WALLTIME_START")
    assert watch(second, monkeypatch) == []
    one, two = (Vasprun(folder / "vasprun.xml") for folder in (first, second))
    assert two.ionic_steps[0]["kinetic"] == pytest.approx(one.ionic_steps[-1]["kinetic"], abs=1e-5)
    assert len(two.ionic_steps[0]["electronic_steps"]) < len(one.ionic_steps[0]["electronic_steps"])
