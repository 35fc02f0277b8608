"""A campaign killed in the middle, as by ``kill -9``, and resumed by the same command."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from launch.database.connections import launchpad
from launch.local.campaign import Campaign
from tests.integration.conftest import DEVITRIFY, RUN, environment

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def fireworks(folder: Path) -> list[dict[str, Any]]:
    """Names, states and numbers of launches of all Fireworks of a finished campaign."""
    campaign = Campaign.open(folder)
    with campaign.database() as database:
        pad = launchpad(database.uri, campaign.document.database)
        found = list(pad.fireworks.find({}, {"fw_id": 1, "name": 1, "state": 1, "launches": 1,
                                             "archived_launches": 1, "spec._category": 1,
                                             "spec.campaign": 1}))  # fmt: skip
        pad.connection.close()
    return found


def kill_and_resume(
    devitrify: Command, folder: Path, moment: str, *arguments: str
) -> dict[int, dict[str, Any]]:
    """
    Kill a run of copper when a job begins, and resume it, as :func:`kill_and_resume_all`.

    Returns
    -------
    dict
        All Fireworks by their numbers.
    """
    return kill_and_resume_all(devitrify, folder, moment, "Cu", *RUN, *arguments)


def kill_and_resume_all(
    devitrify: Command, folder: Path, moment: str, *arguments: str
) -> dict[int, dict[str, Any]]:
    """
    Kill a run when a job begins, resume it, and see that nothing was lost or done twice.

    Returns
    -------
    dict
        All Fireworks by their numbers.
    """
    command = ["run", *arguments, "--folder", folder.name]
    kill_at(folder, moment, *command)
    done_before = {
        work["fw_id"]: len(work["launches"])
        for work in fireworks(folder)
        if work["state"] == "COMPLETED"
    }
    assert done_before
    resumed = devitrify(*command)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    works = {work["fw_id"]: work for work in fireworks(folder)}
    assert {work["state"] for work in works.values()} == {"COMPLETED"}
    # no finished Firework ran again
    for fw_id, launches in done_before.items():
        assert len(works[fw_id]["launches"]) == launches
        assert not works[fw_id]["archived_launches"]
    # every Firework has a queue and knows its campaign
    assert {work["spec"]["_category"] for work in works.values()} == {"dft", "nnp"}
    assert len({work["spec"]["campaign"] for work in works.values()}) == 1
    return works


def kill_at(folder: Path, moment: str, *command: str) -> None:
    """Run a command for a campaign, and kill it when a job begins."""
    process = subprocess.Popen(
        [*DEVITRIFY, *command], cwd=folder.parent, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(folder, f"Starting job - {moment}", process, 400)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert children
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, "workers and database must die with their parent"


def wait_for(folder: Path, text: str, process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a worker's log or the database shows that a job has begun."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        logs = folder.glob("logs/worker-*.log")
        if any(text in log.read_text(errors="replace") for log in logs):
            return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.1)
    raise AssertionError(f"no worker began {text!r}")
