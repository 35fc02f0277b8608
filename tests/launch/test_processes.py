"""Worker processes: their share of the machine, and that none outlives its campaign."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import parent_process
from launch.local import processes
from launch.local.campaign import Campaign
from launch.local.worker import WorkerOptions


def test_workers_share_the_cores(
    new_campaign: Callable[..., Campaign], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "usable_cores", lambda: 6)
    environment = processes.worker_environment(tmp_path, workers=2)
    assert {environment[f"{n}_NUM_THREADS"] for n in ("OMP", "MKL", "NUMBA")} == {"3"}
    assert processes.worker_environment(tmp_path, workers=7)["OMP_NUM_THREADS"] == "1"
    monkeypatch.undo()
    assert processes.usable_cores() >= 1


def test_orphans_of_a_killed_run_are_ended(tmp_path: Path) -> None:
    environment = {**os.environ, processes.OWNER_VARIABLE: str(tmp_path)}
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    orphan = subprocess.Popen(command, env=environment)
    stranger = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 10
        while not processes.end_orphans(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert orphan.wait(10) == -signal.SIGKILL
        assert stranger.poll() is None
    finally:
        orphan.kill()
        stranger.kill()
        orphan.wait()
        stranger.wait()


def test_worker_ends_with_its_standard_input(tmp_path: Path) -> None:
    """Where the kernel sends no signal at the parent's end, the closed pipe tells."""
    settings = WorkerOptions(
        name="worker",
        parent=os.getpid(),
        uri="mongodb://127.0.0.1:1/",
        database="none",
        launches=str(tmp_path),
        retries=0,
        since="",
    )
    environment = processes.worker_environment(tmp_path, 1)
    worker = processes.WorkerProcess(settings, tmp_path / "log", environment)
    try:
        deadline = time.monotonic() + 30
        while "starts" not in (tmp_path / "log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert worker.exit_code() is None
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        assert worker.process.wait(20) == 1
        assert worker.reason() == "the worker process ended with exit code 1"
    finally:
        worker.kill()
        worker.process.wait()


def test_child_of_a_dead_parent_ends_at_once() -> None:
    """The parent may end before the child asks to be told."""
    command = [sys.executable, parent_process.__file__, "1", "9", sys.executable, "-c", "print(1)"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (1, b"")
    command[2] = str(os.getpid())
    done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (0, b"1\n")
