"""Fireworks whose job is gone are put right, once, whoever notices."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fireworks import FWAction, FWorker, LaunchPad
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.cluster import slurm
from launch.cluster.reconcile import Deadlines, Repair, reconcile
from launch.cluster.rocket import ClusterLaunchPad
from launch.cluster.supervisor import seconds_left
from launch.database.connections import configure_fireworks, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.recovery import ended_action
from launch.database.release import release
from launch.database.retries import LIMITS, retry_launch
from launch.errors import CampaignError
from tests.launch.sample_jobs import leaf

numbers = itertools.count()
HERE = FWorker(name="here-dft")
OURS = ["here-dft", "here-nnp"]
AT_ONCE = Deadlines(submission_seconds=0.0, grace_seconds=-1.0)
Jobs = Callable[[dict[str, str]], None]


@pytest.fixture
def pad(server: EmbeddedDatabase) -> Iterator[LaunchPad]:
    """A launchpad with one workflow of a parent and its child."""
    name = f"reconcile_{next(numbers)}"
    create_indexes(server.uri, name)
    pad = launchpad(server.uri, name)
    parent = leaf("unused", "parent")
    child = leaf("unused", "child", after=parent.output)
    child.name = "child"
    pad.add_wf(flow_to_workflow(Flow([parent, child])))
    yield pad
    pad.connection.close()


@pytest.fixture
def squeue(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Set what SLURM would say; the real one is asked in the integration tests."""
    return lambda jobs: monkeypatch.setattr(slurm, "jobs", lambda: jobs)


def reserve(pad: LaunchPad, job: str | None = "12", worker: FWorker = HERE) -> tuple[int, int]:
    """Reserve the parent as qlaunch does."""
    firework, launch_id = pad.reserve_fw(worker, "/launches")
    if job is not None:
        pad.set_reservation_id(launch_id, job)
    return firework.fw_id, launch_id


def start(pad: LaunchPad, job: str = "12") -> tuple[int, int]:
    """Let the parent run as a batch job does."""
    fw_id, _ = reserve(pad, job)
    firework, launch_id = pad.checkout_fw(HERE, "/launches", fw_id=fw_id)
    return firework.fw_id, launch_id


def state(pad: LaunchPad, fw_id: int) -> str:
    """Return a Firework's state, which its workflow must agree with."""
    document = pad.fireworks.find_one({"fw_id": fw_id})
    workflow = pad.workflows.find_one({"nodes": fw_id})
    assert workflow["fw_states"][str(fw_id)] == document["state"]
    assert "locked" not in workflow
    return str(document["state"])


@pytest.mark.parametrize("begin", [reserve, start])
@pytest.mark.parametrize(
    "ended", [{}, {"12": "NODE_FAIL"}, {"12": "TIMEOUT"}, {"12": "CANCELLED"}, {"12": "FAILED"}]
)
def test_a_firework_whose_job_ended_is_ready_again(
    pad: LaunchPad, squeue: Jobs, begin: Callable[[LaunchPad], tuple[int, int]], ended: dict
) -> None:
    fw_id, _ = begin(pad)
    squeue(ended)
    (repair,) = reconcile(pad, OURS)
    assert (repair.fw_id, repair.after) == (fw_id, "READY")
    assert state(pad, fw_id) == "READY"
    assert reconcile(pad, OURS) == []


@pytest.mark.parametrize("alive", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED"])
def test_a_live_job_keeps_its_firework(pad: LaunchPad, squeue: Jobs, alive: str) -> None:
    fw_id, _ = start(pad)
    squeue({"12": alive})
    assert reconcile(pad, OURS, AT_ONCE) == []
    assert state(pad, fw_id) == "RUNNING"


def test_another_clusters_jobs_are_not_ours(pad: LaunchPad, squeue: Jobs) -> None:
    fw_id, _ = reserve(pad, worker=FWorker(name="there-dft"))
    squeue({})
    assert reconcile(pad, OURS, AT_ONCE) == []
    assert state(pad, fw_id) == "RESERVED"


def test_a_reservation_that_was_never_submitted_is_given_up_in_time(
    pad: LaunchPad, squeue: Jobs
) -> None:
    fw_id, _ = reserve(pad, job=None)
    squeue({})
    assert reconcile(pad, OURS) == []  # qlaunch is about to
    (repair,) = reconcile(pad, OURS, AT_ONCE)
    assert repair.reason == "it was reserved but never submitted"
    assert state(pad, fw_id) == "READY"


def test_a_launch_whose_job_was_killed_before_its_number_was_noted(
    pad: LaunchPad, squeue: Jobs, server: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between FireWorks' writing of the launch and ours: the launch knows its job all the same."""

    class KilledError(BaseException):
        pass

    def killed(*_: object) -> None:
        raise KilledError

    monkeypatch.setattr("launch.cluster.rocket.record_job", killed)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    own = ClusterLaunchPad(host=server.uri, name=pad.name, uri_mode=True, strm_lvl="ERROR")
    with pytest.raises(KilledError):
        own.checkout_fw(HERE, "/launches")
    own.connection.close()
    launch = pad.launches.find_one({})
    assert launch["state"] == "RUNNING"
    assert not any("reservation_id" in entry for entry in launch["state_history"])
    squeue({"12": "RUNNING"})
    assert reconcile(pad, OURS, AT_ONCE) == []
    squeue({"12": "FAILED"})
    (repair,) = reconcile(pad, OURS)
    assert (repair.fw_id, repair.after) == (launch["fw_id"], "READY")
    assert state(pad, launch["fw_id"]) == "READY"


def test_a_launch_without_a_job_lives_as_long_as_it_gives_signs_of_life(
    pad: LaunchPad, squeue: Jobs
) -> None:
    """An rlaunch by hand, which FireWorks lets ping."""
    firework, launch_id = pad.checkout_fw(HERE, "/launches")
    squeue({})
    assert reconcile(pad, OURS) == []
    hours_ago = datetime.now(UTC) - timedelta(hours=5)
    pad.ping_launch(launch_id, hours_ago)
    (repair,) = reconcile(pad, OURS)
    assert repair.reason == "no sign of life for 5.0 h"
    assert state(pad, firework.fw_id) == "READY"


def test_nothing_is_touched_while_slurm_does_not_answer(
    pad: LaunchPad, monkeypatch: pytest.MonkeyPatch
) -> None:
    fw_id, _ = start(pad)
    monkeypatch.setattr(slurm, "ask", lambda *_: (_ for _ in ()).throw(CampaignError("down")))
    with pytest.raises(CampaignError):
        reconcile(pad, OURS, AT_ONCE)
    assert state(pad, fw_id) == "RUNNING"


def test_many_at_once_repair_it_once(
    pad: LaunchPad, squeue: Jobs, server: EmbeddedDatabase
) -> None:
    fw_id, launch_id = start(pad)
    squeue({})

    def repair(_: int) -> list[Repair]:
        own = launchpad(server.uri, pad.name)
        try:
            return reconcile(own, OURS)
        finally:
            own.connection.close()

    with ThreadPoolExecutor(6) as pool:
        repairs = [found for result in pool.map(repair, range(6)) for found in result]
    assert len(repairs) == 1
    document = pad.fireworks.find_one({"fw_id": fw_id})
    assert document["state"] == "READY"
    assert document["archived_launches"] == [launch_id]
    assert pad.launches.count_documents({"launch_id": launch_id}) == 1


def test_a_repair_that_was_cut_short_is_finished(pad: LaunchPad, squeue: Jobs) -> None:
    """Claimed by somebody who died before the Firework was told."""
    fw_id, launch_id = start(pad)
    launch = pad.get_launch_by_id(launch_id)
    launch.state, launch.action = "FIZZLED", ended_action("its job ended", "node")
    pad.launches.replace_one({"launch_id": launch_id}, launch.to_db_dict())
    squeue({})
    assert reconcile(pad, OURS) == []  # whoever claimed it may be slow
    (repair,) = reconcile(pad, OURS, AT_ONCE)
    assert repair.after == "READY"
    assert state(pad, fw_id) == "READY"


def test_an_end_that_the_workflow_was_not_told_of_is_applied(pad: LaunchPad, squeue: Jobs) -> None:
    fw_id, launch_id = start(pad)
    launch = pad.get_launch_by_id(launch_id)
    launch.state, launch.action = "COMPLETED", FWAction()
    pad.launches.replace_one({"launch_id": launch_id}, launch.to_db_dict())
    squeue({"12": "COMPLETED"})
    (repair,) = reconcile(pad, OURS, AT_ONCE)
    assert (repair.fw_id, repair.after) == (fw_id, "COMPLETED")
    assert state(pad, fw_id) == "COMPLETED"
    child = pad.fireworks.find_one({"name": "child"})
    assert child["state"] == "READY"


def test_a_firework_taken_without_a_launch_is_freed(pad: LaunchPad, squeue: Jobs) -> None:
    """Its taker died between FireWorks' first two writes."""
    firework = pad._get_a_fw_to_run({})
    squeue({})
    assert reconcile(pad, OURS) == []
    (repair,) = reconcile(pad, OURS, AT_ONCE)
    assert (repair.fw_id, repair.after) == (firework.fw_id, "READY")
    assert state(pad, firework.fw_id) == "READY"


def test_a_broken_workflow_does_not_keep_others_from_repair(
    pad: LaunchPad, squeue: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    broken, _ = start(pad)
    pad.workflows.delete_one({"nodes": broken})
    pad.add_wf(flow_to_workflow(Flow([leaf("unused", "other")])))
    sound, _ = start(pad)
    squeue({})
    configure_fireworks(lock_seconds=3)  # that a lock of the lost workflow is waited for
    try:
        repairs = reconcile(pad, OURS, AT_ONCE)
    finally:
        configure_fireworks()
    assert sound in {repair.fw_id for repair in repairs}
    assert state(pad, sound) == "READY"
    assert f"Firework {broken} cannot be put right" in caplog.text


def test_slurm_is_asked_for_all_of_ones_own_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those in hidden partitions, and whatever options the user keeps in variables."""
    program, asked = tmp_path / "squeue", tmp_path / "asked"
    program.write_text(f'#!/bin/sh\necho "$@" "$SQUEUE_STATES" > {asked}\necho 12 RUNNING\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")
    assert slurm.jobs() == {"12": "RUNNING"}
    words = asked.read_text().split()
    assert "--all" in words
    assert words[words.index("--user") + 1] == str(os.getuid())
    assert "PENDING" not in words


def test_a_job_that_always_crashes_fails_in_the_end(pad: LaunchPad) -> None:
    for _ in range(LIMITS["crash"]):
        fw_id, launch_id = start(pad)
        assert release(pad, launch_id, "crash", "out of memory") == "READY"
    fw_id, launch_id = start(pad)
    assert release(pad, launch_id, "crash", "out of memory") == "FIZZLED"
    assert state(pad, fw_id) == "FIZZLED"
    assert release(pad, launch_id, "crash", "out of memory") is None


def test_an_error_is_tried_again_once(pad: LaunchPad) -> None:

    action = FWAction(stored_data={"_exception": {"_stacktrace": "ValueError: no"}}, exit=True)
    fw_id, launch_id = start(pad)
    pad.complete_launch(launch_id, action, "FIZZLED")
    retry_launch(pad, fw_id, launch_id)
    assert state(pad, fw_id) == "READY"
    fw_id, launch_id = start(pad)
    pad.complete_launch(launch_id, action, "FIZZLED")
    retry_launch(pad, fw_id, launch_id)
    assert state(pad, fw_id) == "FIZZLED"


@pytest.mark.parametrize(
    ("job", "restarts", "taken"), [("12", "0", True), ("11", "0", False), ("12", "1", False)]
)
def test_a_reservation_is_for_one_job(
    pad: LaunchPad,
    server: EmbeddedDatabase,
    monkeypatch: pytest.MonkeyPatch,
    job: str,
    restarts: str,
    taken: bool,
) -> None:
    """Not for one that had the Firework before, nor for one that SLURM has started anew."""
    fw_id, _ = reserve(pad, "12")
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
    own = ClusterLaunchPad(host=server.uri, name=pad.name, uri_mode=True, strm_lvl="ERROR")
    firework, _ = own.checkout_fw(HERE, "/launches", fw_id=fw_id)
    assert (firework is not None) == taken
    assert state(pad, fw_id) == ("RUNNING" if taken else "RESERVED")
    own.connection.close()


@pytest.mark.parametrize(
    ("text", "seconds"), [("1-02:00:30", 93630), ("4:05", 245), ("10:00:00", 36000), ("0:00", 0)]
)
def test_squeues_times(text: str, seconds: int) -> None:
    assert seconds_left(text) == seconds
