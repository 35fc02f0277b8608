"""What ends a run of VASP, and what does not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from custodian.custodian import ErrorHandler
from custodian.vasp.handlers import FrozenJobErrorHandler

from workflows.engines.vasp.execution import job_end
from workflows.engines.vasp.handlers import (
    AstrayDynamics,
    Deadline,
    Ending,
    crystal_handlers,
    dynamics_handlers,
    ionic_steps,
)
from workflows.engines.vasp.settings import Supervision


def write_oszicar(
    folder: Path, loops: list[int], running: int = 0, energy: str = "-.30000000E+03"
) -> None:
    """Electronic loops of finished ionic steps, and of one under way."""
    head = "       N       E                     dE             d eps       ncg     rms\n"
    lines = []
    for number, loop in enumerate([*loops, running], start=1):
        lines.append(head)
        lines += [f"RMM: {k:3d}    -0.3E+03   -0.1E-05   -0.2E-06   800   0.3E-02\n"
                  for k in range(1, loop + 1)]  # fmt: skip
        if number <= len(loops):
            lines.append(
                f"{number:7d} T=  1500. E= -.3E+03 F= {energy} E0= {energy}  EK= 0.1E+02\n"
            )
    (folder / "OSZICAR").write_text("".join(lines))


def test_ionic_steps_of_finished_ionic_steps(tmp_path: Path) -> None:
    assert ionic_steps(tmp_path / "OSZICAR") == []
    write_oszicar(tmp_path, [12, 6, 60], running=4)
    steps = ionic_steps(tmp_path / "OSZICAR")
    assert [step.loop for step in steps] == [12, 6, 60]
    assert {step.energy for step in steps} == {-300.0}


@pytest.mark.parametrize(
    ("loops", "ends"),
    [([60, 60, 60], True), ([8, 60, 60, 60], True), ([60, 60, 8], False), ([60, 60], False)],
)
def test_dynamics_end_after_steps_without_convergence_in_a_row(
    tmp_path: Path, loops: list[int], ends: bool
) -> None:
    write_oszicar(tmp_path, loops)
    handler = AstrayDynamics(60, in_a_row=3, positive_in_a_row=3)
    assert handler.check(str(tmp_path)) is ends
    assert handler.correct(str(tmp_path))["actions"] is None


@pytest.mark.parametrize(
    ("energy", "error"),
    [(".12345678E+04", "positive"), ("NaN", "not a number"), ("***************", "not a number")],
)
def test_dynamics_end_after_energies_that_cannot_be(
    tmp_path: Path, energy: str, error: str
) -> None:
    handler = AstrayDynamics(60, in_a_row=3, positive_in_a_row=3)
    write_oszicar(tmp_path, [8, 8], energy=energy)
    assert not handler.check(str(tmp_path))
    write_oszicar(tmp_path, [8, 8, 8], energy=energy)
    assert handler.check(str(tmp_path))
    assert error in handler.correct()["errors"][0]


def test_the_deadline_stops_vasp_in_good_order_and_is_no_error(tmp_path: Path) -> None:
    write_oszicar(tmp_path, [8] * 10)
    patient = Deadline(time.time() + 1000, buffer=10)
    patient.started -= 100  # ten seconds a step
    assert patient.check(str(tmp_path)) is False
    assert not patient.stopped
    assert not (tmp_path / "STOPCAR").exists()
    hurried = Deadline(time.time() + 35, buffer=10)
    hurried.started -= 100
    assert hurried.check(str(tmp_path)) is False
    assert hurried.stopped
    assert "LSTOP = .TRUE." in (tmp_path / "STOPCAR").read_text()
    assert Deadline(None, buffer=10).check(str(tmp_path)) is False


def test_a_silent_run_is_ended(tmp_path: Path) -> None:
    (tmp_path / "vasp.out").write_text("entering main loop\n")
    handler = Ending(FrozenJobErrorHandler(timeout=100), "VASP hangs")
    assert not handler.check(str(tmp_path))
    os.utime(tmp_path / "vasp.out", (time.time() - 200,) * 2)
    assert handler.check(str(tmp_path))
    assert handler.correct(str(tmp_path)) == {"errors": ["VASP hangs"], "actions": None}


def test_no_handler_changes_the_physics_of_dynamics() -> None:
    """Time step, smearing, cutoff and thermostat must stay what they are."""
    names = {type(handler).__name__ for handler in dynamics_handlers(Supervision(), 100, 5)}
    assert names == {"Ending", "AstrayDynamics"}
    crystal = {type(handler).__name__ for handler in crystal_handlers(Supervision())}
    assert not crystal & {"LargeSigmaHandler", "IncorrectSmearingHandler", "KspacingMetalHandler"}
    assert all(isinstance(h, ErrorHandler) for h in crystal_handlers(Supervision()))


def test_the_end_of_a_job_is_slurms_or_what_was_set() -> None:
    limited = Supervision(walltime=3600.0)
    assert job_end(Supervision(), 1000.0, {}) is None
    assert job_end(limited, 1000.0, {}) == 4600.0
    assert job_end(Supervision(), 1000.0, {"SLURM_JOB_END_TIME": "5000"}) == 5000.0
    assert job_end(limited, 1000.0, {"SLURM_JOB_END_TIME": "5000"}) == 4600.0
    assert job_end(limited, 4000.0, {"SLURM_JOB_END_TIME": "5000"}) == 5000.0
