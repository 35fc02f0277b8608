"""Campaigns that share a launchpad and a job store do not touch each other."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pymongo
import pytest

from launch.cluster.configuration import Configuration
from launch.cluster.files import ClusterDescription, write_files
from launch.database.embedded import EmbeddedDatabase
from launch.database.failures import failures
from launch.database.indexes import create_indexes
from launch.local.processes import WorkerProcess, worker_environment
from launch.local.worker import WorkerOptions
from launch.report.overview import overview
from launch.report.results import Results
from launch.report.status_reading import state_counts
from tests.integration.cluster import BIN
from tests.integration.conftest import DEVITRIFY, SETTINGS, SHORT, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

#: Names, formulas, seeds: two of one formula, and another.
CAMPAIGNS = {"Cu-first": ("Cu", 1), "Cu-second": ("Cu", 2), "Ag-only": ("Ag", 1)}
SECONDS = 1000  # far beyond what they take


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run all campaigns at once by two workers; their configuration."""
    folder = tmp_path_factory.mktemp("shared")
    with EmbeddedDatabase(folder / "server") as server:
        create_indexes(server.uri, "shared")
        config = folder / "config"
        write_files(
            config, ClusterDescription("local", server.uri, database="shared").files(config)
        )
        variables = {**environment(), "FW_CONFIG_FILE": str(config / "FW_config.yaml")}

        def type_(*command: str | Path) -> None:
            done = subprocess.run(
                command, cwd=folder, env=variables, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr

        for name, (formula, seed) in CAMPAIGNS.items():
            type_(
                *DEVITRIFY, "workflow", formula, "--engine", "emt", "--config", SETTINGS, "--z",
                "1", "--seed", str(seed), "--campaign", name, "-o", f"{name}.json", *SHORT,
            )  # fmt: skip
            type_(BIN / "lpad", "add", f"{name}.json")
        _run_to_the_end(config, server.uri)
        yield config


def _run_to_the_end(config: Path, uri: str) -> None:
    """Let workers take what is ready, of whichever campaign, until there is nothing left."""
    pad = Configuration(config).launchpad()
    launches = config.parent / "launches"
    workers = []
    try:
        for number in (1, 2):
            settings = WorkerOptions(
                name=f"worker-{number}", parent=os.getpid(), uri=uri, database="shared",
                launches=str(launches), retries=0, since="",
            )  # fmt: skip
            log = config.parent / f"worker-{number}.log"
            workers.append(WorkerProcess(settings, log, worker_environment(config.parent, 2)))
        deadline = time.monotonic() + SECONDS
        while set(pad.fireworks.distinct("state")) - {"COMPLETED"}:
            assert all(worker.exit_code() is None for worker in workers)
            assert not failures(pad)
            assert time.monotonic() < deadline, state_counts(pad)
            time.sleep(1.0)
    finally:
        for worker in workers:
            worker.kill()
            worker.process.wait()
        pad.connection.close()


def test_states_and_results_are_separate(shared: Path) -> None:
    pad = Configuration(shared).launchpad()
    rows = {row.campaign: row for row in overview(pad).campaigns}
    assert {name: row.state for name, row in rows.items()} == dict.fromkeys(CAMPAIGNS, "completed")
    for name, (formula, _) in CAMPAIGNS.items():
        assert rows[name].formula == formula
        assert [row.campaign for row in overview(pad, name).campaigns] == [name]
    # they ran side by side, not one after the other
    spans = {}
    for name in CAMPAIGNS:
        members = pad.fireworks.distinct("fw_id", {"spec.campaign": name})
        launches = list(pad.launches.find({"fw_id": {"$in": members}}))
        spans[name] = (
            min(launch["time_start"] for launch in launches),
            max(launch["time_end"] for launch in launches),
        )
    assert max(start for start, _ in spans.values()) < min(end for _, end in spans.values())
    pad.connection.close()

    with Results.open(shared) as results:
        assert sorted(results.campaigns()) == sorted(CAMPAIGNS)
        assert sorted(results.campaigns("Cu")) == ["Cu-first", "Cu-second"]
        for name, (formula, _) in CAMPAIGNS.items():
            candidates = results.candidates(campaign=name)
            assert candidates
            assert {candidate.campaign for candidate in candidates} == {name}
            assert {candidate.formula for candidate in candidates} == {formula}
            potential = results.potential(name)
            assert potential is not None
            assert potential.elements == (formula,)
        first, second = (results.frames(name) for name in ("Cu-first", "Cu-second"))
        assert first is not None
        assert second is not None
        assert not np.array_equal(first.energies, second.energies)


def test_no_document_names_a_job_of_another_campaign(shared: Path) -> None:
    """Whatever a campaign has written knows only its own jobs."""
    document = Configuration(shared).read("my_launchpad.yaml")
    with pymongo.MongoClient(document["host"]) as client:
        database = client[document["name"]]
        texts: dict[str, list[str]] = {name: [] for name in CAMPAIGNS}
        uuids: dict[str, set[str]] = {name: set() for name in CAMPAIGNS}

        def keep(campaign: str, found: dict[str, Any]) -> None:
            texts[campaign].append(json.dumps(found, default=str))

        for firework in database.fireworks.find({}):
            name = firework["spec"]["campaign"]
            uuids[name].add(firework["spec"]["_tasks"][0]["job"]["uuid"])
            keep(name, firework)
        for output in database.outputs.find({}):
            keep(output["metadata"]["campaign"], output)
            assert output["uuid"] in uuids[output["metadata"]["campaign"]]
    for name, own in texts.items():
        assert own
        others = set().union(*(found for other, found in uuids.items() if other != name))
        assert not [uuid for uuid in others if any(uuid in text for text in own)]
