"""Rockets that run side by side, and what a signal does to one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fireworks import LaunchPad
from jobflow import Flow, Job, JobStore
from jobflow.managers.fireworks import flow_to_workflow
from maggma.stores import MemoryStore

from launch.cluster.files import ClusterDescription, write_files
from launch.cluster.rocket import TOLD_TO_END, guard
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from tests.integration.cluster_jobs import (
    climb,
    keep_busy,
    keep_watch,
    stop_by_itself,
    write_for_long,
)
from tests.launch.sample_jobs import leaf
from workflows.jobs.interruption import computing, may_end
from workflows.jobs.tags import tag
from workflows.stages.table import STAGES

pytestmark = pytest.mark.slow


class Rockets:
    """Rocket processes of one queue; they end with the test."""

    def __init__(self, folder: Path, pad: LaunchPad) -> None:
        self.folder = folder
        self.pad = pad
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, job: str, finish: float = 0.0) -> subprocess.Popen[bytes]:
        """Start a rocket as the supervisor of a SLURM job does."""
        home = self.folder / f"launches-{job}"
        home.mkdir()
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            **os.environ, "PYTHONPATH": root, "SLURM_JOB_ID": job,
            "DEVITRIFY_CONFIG": str(self.folder),
            "JOBFLOW_CONFIG_FILE": str(self.folder / "jobflow.yaml"),
        }  # fmt: skip
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "launch.cluster.rocket", str(self.folder / "dft"),
                 "--finish", str(finish)],
                cwd=home, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        self.processes.append(process)
        return process


@pytest.fixture
def rockets(server: EmbeddedDatabase, tmp_path: Path) -> Iterator[Rockets]:
    """Rockets of a configuration of their own."""
    name = f"rockets_{tmp_path.name}"[:60]
    folder = tmp_path / "config"
    write_files(folder, ClusterDescription("local", server.uri, database=name).files(folder))
    create_indexes(server.uri, name)
    pad = launchpad(server.uri, name)
    found = Rockets(folder, pad)
    yield found
    for process in found.processes:
        process.kill()
        process.wait()
    pad.connection.close()


def test_each_firework_runs_once(rockets: Rockets, tmp_path: Path) -> None:
    """Several rockets take many Fireworks, one after the other while there is time."""
    notes = tmp_path / "notes"
    jobs = [tag(leaf(str(notes), f"job-{number}"), STAGES["liquid"], "dft") for number in range(40)]
    other = tag(leaf(str(notes), "other"), STAGES["train"])
    rockets.pad.add_wf(flow_to_workflow(Flow([*jobs, other])))
    started = [rockets.start(str(job), finish=time.time() + 1000) for job in range(3)]
    assert [process.wait(300) for process in started] == [0, 0, 0]
    counts = Counter(notes.read_text().splitlines())
    assert counts == {f"leaf job-{number}": 1 for number in range(40)}
    # each launch knows its SLURM job, and what belongs to another queue was left
    launches = list(rockets.pad.launches.find({"state": "COMPLETED"}))
    owners = {launch["state_history"][0]["reservation_id"] for launch in launches}
    assert len(launches) == 40
    assert owners <= {"0", "1", "2"}
    assert rockets.pad.fireworks.count_documents({"state": "READY"}) == 1


def test_one_firework_only_when_no_time_is_left(rockets: Rockets, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    jobs = [tag(leaf(str(notes), f"job-{number}"), STAGES["liquid"], "dft") for number in range(2)]
    rockets.pad.add_wf(flow_to_workflow(Flow(jobs)))
    assert rockets.start("1", finish=time.time()).wait(120) == 0
    assert len(notes.read_text().splitlines()) == 1


def test_a_rocket_that_is_told_to_end_leaves_a_checkpoint(rockets: Rockets, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    work = tag(climb(str(notes), "climb", 1000, 1000.0), STAGES["liquid"], "dft")
    rockets.pad.add_wf(flow_to_workflow(work))
    process = rockets.start("5")
    deadline = time.monotonic() + 120
    while not notes.exists() or len(notes.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == TOLD_TO_END
    (checkpoint,) = (rockets.folder / "checkpoints").glob("*.checkpoint")
    # a step is noted first, then saved
    assert int(checkpoint.read_text()) >= len(notes.read_text().splitlines()) - 1
    # its supervisor makes it READY: nothing has been called a failure
    assert rockets.pad.fireworks.find_one({})["state"] == "RUNNING"


def begin(rockets: Rockets, work: Job, notes: Path) -> subprocess.Popen[bytes]:
    """Start a rocket and wait until its job has written its first note."""
    rockets.pad.add_wf(flow_to_workflow(tag(work, STAGES["liquid"], "dft")))
    process = rockets.start("6")
    deadline = time.monotonic() + 120
    while not notes.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    return process


def test_a_program_that_is_watched_is_left_alone_until_all_must_end(
    rockets: Rockets, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    process = begin(rockets, keep_watch(str(notes)), notes)
    process.send_signal(signal.SIGUSR1)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == TOLD_TO_END


def test_what_vasp_has_done_is_read_after_the_signal(rockets: Rockets, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    process = begin(rockets, stop_by_itself(str(notes)), notes)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 0
    assert notes.read_text().split() == ["watching", "read"]
    assert rockets.pad.fireworks.find_one({})["state"] == "COMPLETED"


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_what_is_being_written_is_written_and_then_it_ends(
    rockets: Rockets, tmp_path: Path, number: int
) -> None:
    notes = tmp_path / "notes"
    process = begin(rockets, write_for_long(str(notes), 2.0), notes)
    process.send_signal(number)
    assert process.wait(30) == TOLD_TO_END
    assert notes.read_text().split() == ["writing", "written"]


def test_a_job_that_knows_nothing_of_it_ends_at_once(rockets: Rockets, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    process = begin(rockets, keep_busy(str(notes)), notes)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(10) == TOLD_TO_END


def test_the_output_of_a_job_is_stored_whatever_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job store's own writing cannot be cut short, though the job around it may be."""
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    seen = []
    update = store.docs_store.update

    def watched(*arguments: Any, **options: Any) -> None:
        seen.append(may_end(now=True))
        update(*arguments, **options)

    monkeypatch.setattr(store.docs_store, "update", watched)
    guard(store)
    with computing():
        assert may_end(now=False)
        leaf(str(tmp_path / "notes"), "one").run(store)
        assert may_end(now=False)
    assert seen == [False]
    assert not may_end(now=True)
