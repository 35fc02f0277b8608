"""A formula in, ranked crystals out: the real command, FireWorks, database and workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ase.io import read
from pymatgen.core import Structure

from launch.database.connections import launchpad
from launch.local.campaign import Campaign
from nnp.potential import Potential
from tests.integration.conftest import DEVITRIFY, RUN, environment

Command = Callable[..., "subprocess.CompletedProcess[str]"]

#: Relaxed face-centred cubic copper by effective medium theory, eV/atom.
FCC_COPPER = -0.0070


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


@pytest.mark.slow
def test_copper_from_its_formula(devitrify: Command, tmp_path: Path) -> None:
    done = devitrify("run", "Cu", *RUN, "--folder", "copper")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "crystal structures by emt energy" in done.stdout
    folder = tmp_path / "copper"

    # the ground state, found from nothing but the formula; effective medium theory does not tell
    # the two close packings apart
    best = json.loads((folder / "summary.json").read_text())["candidates"][0]
    assert best["energy"] == pytest.approx(FCC_COPPER, abs=0.003)
    assert best["space_group"] in ("Fm-3m", "P6_3/mmc")
    crystal = Structure.from_file(next((folder / "structures").glob("01_*.cif")))
    assert crystal.volume / len(crystal) == pytest.approx(11.6, rel=0.03)

    # every file that was promised
    frames = read(folder / "frames.extxyz", index=":")
    assert {atoms.info["stage"] for atoms in frames} >= {"liquid", "quench", "anneal"}
    liquid = [atoms.info["time"] for atoms in frames if atoms.info["stage"] == "liquid"]
    # two trajectories of 1 ps in several segments: times run on through the segments
    assert sorted(liquid) == pytest.approx(sorted(list(np.arange(20.0, 1001.0, 20.0)) * 2))
    potential = Potential.load(folder / "potential.nnp")
    assert np.isfinite(potential.compute(frames[:3]).energies).all()
    plots = {path.stem for path in (folder / "plots").glob("*.png")}
    expected = {"melting_temperature", "trajectory", "training", "parity", "search", "coverage"}
    assert expected <= plots

    # every Firework has a queue and knows its campaign
    works = fireworks(folder)
    assert {work["spec"]["_category"] for work in works} == {"dft", "nnp"}
    assert len({work["spec"]["campaign"] for work in works}) == 1
    assert {work["state"] for work in works} == {"COMPLETED"}

    # asked again, nothing runs again
    again = devitrify("run", "Cu", *RUN, "--folder", "copper")
    assert again.returncode == 0
    assert "crystal structures by emt energy" in again.stdout
    assert [len(work["launches"]) for work in fireworks(folder)] == [1] * len(works)

    status = devitrify("status", "copper", "--json")
    assert json.loads(status.stdout)["state"] == "completed"

    other = devitrify("run", "Ag", *RUN, "--folder", "copper")
    assert other.returncode == 1
    assert "Cu" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.slow
def test_frames_only(devitrify: Command, tmp_path: Path) -> None:
    done = devitrify("run", "Cu", *RUN, "--set", "until=sample", "--folder", "frames")
    assert done.returncode == 0, done.stdout + done.stderr
    frames = read(tmp_path / "frames" / "frames.extxyz", index=":")
    assert {atoms.info["stage"] for atoms in frames} >= {"liquid", "quench", "anneal"}
    assert not (tmp_path / "frames" / "potential.nnp").exists()
    assert {work["spec"]["_category"] for work in fireworks(tmp_path / "frames")} == {"dft", "nnp"}


def _wait_for(folder: Path, text: str, process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a worker's log or the database shows that a job has begun."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        logs = folder.glob("logs/worker-*.log")
        if any(text in log.read_text(errors="replace") for log in logs):
            return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.1)
    raise AssertionError(f"no worker began {text!r}")


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["liquid", "search"])
def test_killed_and_resumed(devitrify: Command, tmp_path: Path, moment: str) -> None:
    folder = tmp_path / "copper"
    process = subprocess.Popen(
        [*DEVITRIFY, "run", "Cu", *RUN, "--folder", "copper"], cwd=tmp_path, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        _wait_for(folder, f"Starting job - {moment}", process, 200)
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert children
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, "workers and database must die with their parent"

    done_before = {
        work["fw_id"]: len(work["launches"])
        for work in fireworks(folder)
        if work["state"] == "COMPLETED"
    }
    assert done_before
    resumed = devitrify("run", "Cu", *RUN, "--folder", "copper")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    works = {work["fw_id"]: work for work in fireworks(folder)}
    assert {work["state"] for work in works.values()} == {"COMPLETED"}
    # no finished Firework ran again
    for fw_id, launches in done_before.items():
        assert len(works[fw_id]["launches"]) == launches
        assert not works[fw_id]["archived_launches"]
    # no descendant came twice
    names = Counter(work["name"] for work in works.values())
    assert all(names[f"melt part {part}"] == 1 for part in (1, 2))
    assert names["train"] == names["rank"] == names["sample"] == 1
    segments = [name for name in names if name.startswith(("liquid", "anneal"))]
    assert len(segments) >= 6
    assert all(names[name] == 1 for name in segments)
