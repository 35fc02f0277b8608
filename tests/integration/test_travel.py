"""
Campaigns of earlier versions, and campaigns that travel between a laptop and a cluster.

The campaign that travels was begun by an earlier commit, and killed when its training began.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from launch.cluster.configuration import Configuration
from launch.cluster.files import ClusterDescription, write_files
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.local.campaign import Campaign
from launch.local.processes import WorkerProcess, worker_environment
from launch.local.worker import WorkerOptions
from launch.versions import CAMPAIGN_VERSION, LAST_TO_RUN
from nnp.potential import Potential
from tests.integration.conftest import RUN, SHORT
from tests.integration.kills import fireworks
from tests.launch.archives import COMPLETE, UNFINISHED
from workflows.jobs.progress import VERSION as PROGRESS_VERSION

Command = Callable[..., "subprocess.CompletedProcess[str]"]
NAME = "Cu-68ab1e1c"
AGAIN = ["run", "Cu", *RUN, *SHORT, "--z", "1"]


def completed(works: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Launches of the finished Fireworks, and those before they were run again, by name."""
    return {
        f"{work['name']} {n}": (len(work["launches"]), len(work["archived_launches"]))
        for n, work in enumerate(sorted(works, key=lambda work: work["fw_id"]))
        if work["state"] == "COMPLETED"
    }


@pytest.mark.slow
@pytest.mark.parametrize("version", COMPLETE)
def test_campaigns_of_earlier_versions_are_read_and_not_run(
    devitrify: Command, tmp_path: Path, version: int
) -> None:
    assert devitrify("import", str(COMPLETE[version]), "old").returncode == 0
    before = (tmp_path / "old" / "campaign.json").read_text()
    results = devitrify("results", "old", "--format", "json")
    (best,) = json.loads(results.stdout)
    assert best["rank"] == 1
    assert best["space_group"] in ("Im-3m", "P6/mmm")
    refused = devitrify(*AGAIN, "--folder", "old")
    assert refused.returncode == 1
    assert f"is of version {version} of campaigns" in refused.stderr
    assert f"go on with {LAST_TO_RUN[version]}" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert (tmp_path / "old" / "campaign.json").read_text() == before


@contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """A cluster's database on a server, and its configuration."""
    with EmbeddedDatabase(folder / "server") as server:
        create_indexes(server.uri, "shared")
        config = folder / "config"
        description = ClusterDescription("local", server.uri, database="shared")
        write_files(config, description.files(config))
        yield config


def work_until(config: Path, name: str) -> None:
    """Let a worker of the cluster take what is ready until a job is completed; then end it."""
    pad = Configuration(config).launchpad()
    options = WorkerOptions(
        name="node-1", parent=os.getpid(), uri=pad.host, database="shared",
        launches=str(config.parent / "launches"), retries=0, since="",
    )  # fmt: skip
    worker = WorkerProcess(
        options, config.parent / "worker.log", worker_environment(config.parent, 1)
    )
    deadline = time.monotonic() + 300
    try:
        while pad.fireworks.find_one({"name": name, "state": "COMPLETED"}) is None:
            assert worker.exit_code() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # as a user stops a campaign: nothing new begins, and what runs comes to its end
        pad.fireworks.update_many({"state": "READY"}, {"$set": {"state": "PAUSED"}})
        while pad.fireworks.find_one({"state": {"$in": ["RUNNING", "RESERVED"]}}) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        worker.kill()
        worker.close()
        pad.connection.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_a_laptop_to_a_cluster_and_back(devitrify: Command, tmp_path: Path) -> None:
    """Begun by an earlier version; no job that was finished anywhere is run again elsewhere."""

    def type_(*words: str | Path) -> str:
        done = devitrify(*map(str, words))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with cluster(tmp_path) as config:
        told = type_("import", UNFINISHED, "--config", config)
        assert f"{NAME}: in the cluster's database, 27 of 30 jobs finished" in told
        twice = devitrify("import", str(UNFINISHED), "--config", str(config))
        assert (twice.returncode, twice.stdout) == (1, "")
        assert f"has a campaign {NAME} already" in twice.stderr
        pad = Configuration(config).launchpad()
        on_laptop = completed(list(pad.fireworks.find({})))
        assert len(on_laptop) == 27
        work_until(config, "train")
        on_cluster = completed(list(pad.fireworks.find({})))
        assert on_cluster.items() > on_laptop.items()
        pad.connection.close()
        sent = type_("export", NAME, "--config", config, "-o", "back.zip")
    checksum = next(line for line in sent.splitlines() if line.startswith("checksum"))
    told = type_("import", "back.zip", "laptop")
    assert f"{checksum}, verified" in told
    assert "Go on with: devitrify run Cu" in told

    # by the command that was told, which knows the settings without the file of the old machine
    (command,) = [line for line in told.splitlines() if line.startswith("Go on with")]
    words = command.partition("devitrify ")[2].split()
    assert "small.yaml" not in command
    type_(*words)
    works = fireworks(tmp_path / "laptop")
    assert {work["state"] for work in works} == {"COMPLETED"}
    assert completed(works).items() >= on_cluster.items()
    assert all(runs == 1 for runs, _ in completed(works).values())
    potential = Potential.load(tmp_path / "laptop" / "potential.nnp")
    assert potential.elements == ("Cu",)
    best = json.loads((tmp_path / "laptop" / "summary.json").read_text())["candidates"][0]
    # the numbers of the same campaign where it was never moved
    assert best["energy"] == pytest.approx(0.02563932680710934, abs=1e-6)
    type_("export", "laptop", "--format", "json", "-o", "found.json")
    (shared,) = json.loads((tmp_path / "found.json").read_text())["campaigns"]
    assert shared["candidates"][0]["energy"] == best["energy"]
    assert {"python", "devitrify", "ase", "scipy", "spglib", "numba"} <= set(shared["versions"])
    require_versions(tmp_path / "laptop")


def require_versions(folder: Path) -> None:
    """Every document of a campaign says by which version it is understood."""
    campaign = Campaign.open(folder)
    assert campaign.id == NAME
    assert campaign.document.version == CAMPAIGN_VERSION
    with campaign.database() as database:
        pad = launchpad(database.uri, campaign.document.database)
        owner = pad.db.campaign.find_one({})
        workflows = list(pad.workflows.find({}))
        progress = list(pad.db.progress.find({"stage": "train"}))
        ours = {"output.@module": {"$regex": "^workflows\\.documents"}}
        outputs = list(pad.db.outputs.find(ours, {"output.version": 1}))
        pad.connection.close()
    assert owner["version"] == CAMPAIGN_VERSION
    assert [one["metadata"]["campaign_version"] for one in workflows] == [CAMPAIGN_VERSION]
    assert [one["version"] for one in progress] == [PROGRESS_VERSION]
    assert len(outputs) > 20
    assert all(type(one["output"]["version"]) is int for one in outputs)
