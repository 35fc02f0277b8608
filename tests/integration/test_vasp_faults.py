"""Faults of VASP in jobs that FireWorks runs: what is left, what is said, how it goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from jobflow import Job
from jobflow.managers.fireworks import flow_to_workflow

from launch.commands.shared.workflow_file import write_workflow
from nnp.frames import Frames
from search.relax.limits import RelaxationLimits
from tests.fake_vasp.faults import FAULTS
from tests.fake_vasp.fixtures import FakeVasp
from tests.integration.launchpad import LaunchpadFolder
from tests.integration.vasp_faults import SOUND, STEPS, STRUCK, SUPERVISION, Case, FaultRuns
from tests.workflows.vasp.stages import rock_salt
from workflows.documents.dynamics import SegmentDocument
from workflows.engines.base import DynamicsTask, SegmentSettings
from workflows.engines.vasp.engine import VaspEngine
from workflows.engines.vasp.settings import VaspSettings
from workflows.jobs.stage import REFERENCE_QUEUE
from workflows.jobs.tags import tag
from workflows.stages.table import STAGES

#: Faults that cost nothing, however long they last, and what is said of the others.
HARMLESS = {"brmix", "empty_contcar", "slow"}
SENTENCES = {
    "unconverged": r"electrons do not converge.*vasp\.incar=ALGO=All",
    "zpotrf": r"smaller|pack\.volume_per_atom",
    "positive_energy": r"the energy is positive.*vasp\.incar=ALGO=All",
    "nan_forces": r"not a number.*vasp\.incar=ALGO=All",
    "sigkill": r"signal 9.*memory",
    "segv": r"signal 11.*memory",
    "sigterm": r"signal 15.*memory",
    "error_exit": r"status 24.*see vasp\.out, std_err\.txt and OUTCAR",
    "disk_full": r"could not write its files.*free some space",
    "hang": r"hangs.*vasp\.supervision\.hang_timeout",
    "cut_xml": r"ended early.*see vasp\.out",
}


@pytest.fixture
def launchpad(fake_vasp: FakeVasp, tmp_path: Path) -> Iterator[LaunchpadFolder]:
    """An empty launchpad."""
    with LaunchpadFolder(tmp_path / "launchpad") as folder:
        folder.reset()
        yield folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_lasts_says_what_to_do_and_goes_on_once_it_is_mended(
    fake_vasp: FakeVasp, launchpad: LaunchpadFolder
) -> None:
    assert set(FAULTS) == {*HARMLESS, *SENTENCES}
    runs = FaultRuns(launchpad)
    before = runs.run([Case(fault, lasting=True) for fault in FAULTS])
    for fault in HARMLESS:
        assert before[f"{fault} lasting"].completed, fault
    for fault, sentence in SENTENCES.items():
        found = before[f"{fault} lasting"]
        assert found.states == ("FIZZLED",), fault
        assert re.search(sentence, found.reason), (fault, found.reason)

    fireworks = len(launchpad.fireworks())
    after = runs.mend()
    assert len(launchpad.fireworks()) == fireworks
    assert after[SOUND].launches == 1
    for name, result in after.items():
        assert result.completed, (name, result)
        assert result.document is not None
        _require_whole(result.document)
    # what was good before the fault was not computed again
    for fault in ("sigkill", "segv", "sigterm", "disk_full", "hang", "nan_forces"):
        kept = after[f"{fault} lasting"].computed - before[f"{fault} lasting"].computed
        assert kept <= STEPS - STRUCK + 2, fault


def _require_whole(document: SegmentDocument) -> None:
    """All frames, in the right places of time, and no jump between them."""
    assert document.frames.times.tolist() == pytest.approx([10.0 * i for i in range(1, 7)])
    assert np.isfinite(document.frames.energies).all()
    assert (document.frames.energies < 0).all()
    moves = np.diff(document.frames.positions.reshape(6, 8, 3), axis=0)
    assert np.abs(moves).max() < 0.5


def job(kind: str) -> Job:
    """A job of some twenty ionic steps."""
    engine = VaspEngine(settings=VaspSettings(supervision=SUPERVISION))
    salt = rock_salt()
    salt.perturb(0.1, seed=1)
    if kind == "md":
        settings = SegmentSettings(STEPS, time_step=2.0, sample_stride=5, thermostat_time=100.0)
        work = engine.molecular_dynamics(settings).make(
            salt, DynamicsTask("liquid", 900.0, 900.0, seed=1)
        )
    elif kind == "relax":
        salt.apply_strain(0.06)
        work = engine.relax(RelaxationLimits(0.02, 4.0, 200)).make(salt, "candidates")
    else:
        work = engine.static().make([salt.copy().apply_strain(0.01 * k) for k in range(8)], "check")
    work.name = kind
    return tag(work, STAGES["liquid"], REFERENCE_QUEUE)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "when", "lost"), [("md", 15, 3), ("relax", 8, 3), ("static", 4, 1)]
)
def test_a_job_that_is_killed_goes_on_from_the_last_step_of_vasp(
    fake_vasp: FakeVasp, launchpad: LaunchpadFolder, kind: str, when: int, lost: int
) -> None:
    """SIGKILL of the process that runs the job, as a node that dies."""
    file = launchpad.folder / "wf.json"
    write_workflow(flow_to_workflow(job(kind)), file)
    launchpad.type("lpad", "add", str(file))
    steps = launchpad.folder / "steps"
    fake_vasp.set(steps=steps, sleep=0.3)
    with launchpad.started("rlaunch", "singleshot", log=launchpad.folder / "log") as process:
        deadline = time.monotonic() + 120
        while _count(steps) < when and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait()
    time.sleep(1.0)  # the stand-in ends at its next step after its parent
    killed = _count(steps)
    fake_vasp.set(sleep=None)
    launchpad.type("lpad", "detect_lostruns", "--time", "0", "--rerun")
    launchpad.type("rlaunch", "singleshot")
    (firework,) = launchpad.fireworks()
    assert firework["state"] == "COMPLETED"
    output = launchpad.output(_uuid(launchpad))
    assert not list(launchpad.launches.glob("*.checkpoint"))
    rest = _count(steps) - killed
    if kind == "md":
        _require_whole(output)
        assert rest <= STEPS - killed + lost
    elif kind == "relax":
        assert output.converged
        assert output.steps >= when - lost
        assert rest <= output.steps - killed + lost
    else:
        assert isinstance(output, Frames)
        assert np.isfinite(output.energies).all()
        assert rest <= 8 - killed + lost


def _count(steps: Path) -> int:
    return len(steps.read_text().splitlines()) if steps.exists() else 0


def _uuid(launchpad: LaunchpadFolder) -> str:
    (firework,) = launchpad.find("fireworks", {})
    return str(firework["spec"]["_tasks"][0]["job"]["uuid"])
