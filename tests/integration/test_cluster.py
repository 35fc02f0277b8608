"""The user's commands on a real SLURM against a real database, and what may go wrong there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import bson
import pymongo
import pytest

from launch.cluster import doctor
from launch.cluster.configuration import Configuration
from launch.database.release import job_of
from tests.integration.cluster import BIN, Cluster, open_cluster
from tests.integration.cluster_jobs import crowd, sowing
from tests.integration.conftest import SETTINGS, SHORT
from tests.integration.faults import (
    FAULTS,
    Expedition,
    Fault,
    job_killed,
    kill_database_during_writes,
    undergo,
)
from tests.integration.slurm import why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
PASSWORD_HOLDERS = {"my_launchpad.yaml", "jobflow.yaml"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests; qlaunch runs for both queues as on a login node."""
    with open_cluster(tmp_path_factory.mktemp("cluster")) as running:
        for queue in ("dft", "nnp"):
            running.qlaunch(queue)
        yield running


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_job_survives(cluster: Cluster, tmp_path: Path, fault: Fault) -> None:
    outcome = undergo(cluster, tmp_path / "notes", fault)
    assert outcome.missing == 0
    assert outcome.repeated <= fault.cost
    if fault.kind is not None:
        assert fault.kind in {kind for kind, _ in outcome.ends}


def test_reconcile_and_status_watch(cluster: Cluster, tmp_path: Path) -> None:
    """Without a terminal, through the end of a job that nobody but reconcile can notice."""
    fault = Fault("", watched)
    with cluster.watching("reconcile") as repairs, cluster.watching("status") as table:
        outcome = undergo(cluster, tmp_path / "notes", fault, watched=True)
        cluster.wait(lambda: "completed" in table.read_text(), 60)
    assert (outcome.missing, outcome.repeated) in ((0, 0), (0, 1))
    assert " RUNNING -> READY, SLURM job" in repairs.read_text()
    assert table.read_text().count("watched") >= 3


def watched(expedition: Expedition) -> None:
    """Kill a job under another name: every campaign has its own."""
    job_killed(expedition)


def test_a_database_killed_while_all_workers_write(cluster: Cluster, tmp_path: Path) -> None:
    outcome = kill_database_during_writes(cluster, tmp_path / "notes", "writes")
    assert outcome.missing == 0
    assert outcome.repeated <= 4  # what each of four workers was at


def test_four_workers_run_each_of_two_hundred_fireworks_once(
    cluster: Cluster, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    cluster.add(crowd(notes, "crowd", 200))
    cluster.wait_until_completed("crowd", 500)
    assert Counter(notes.read_text().splitlines()) == {f"leaf {i}": 1 for i in range(200)}
    launches = cluster.launches_of("crowd")
    assert [launch["state"] for launch in launches] == ["COMPLETED"] * 200
    jobs = {job_of(launch) for launch in launches}
    assert len(jobs - {None}) >= 4
    assert len(jobs) < 100  # and more than one of them in each batch job


@pytest.mark.parametrize("when", ["finished", "its children run", "fizzled"])
def test_a_spawning_firework_that_is_run_again_spawns_nothing_twice(
    cluster: Cluster, tmp_path: Path, when: str
) -> None:
    """By lpad rerun_fws, as a user does it."""
    notes, name = tmp_path / "notes", f"spawn {when}"
    cluster.add(sowing(notes, name, failures=2 if when == "fizzled" else 0))

    def lines(word: str) -> list[str]:
        found = notes.read_text().splitlines() if notes.exists() else []
        return [line for line in found if line.startswith(word)]

    if when == "fizzled":
        # its supervisor tries it again once
        failed = {"FIZZLED", "WAITING"}
        cluster.wait(lambda: cluster.states(name) == failed and len(lines("sow")) == 2, 200)
    elif when == "finished":
        cluster.wait_until_completed(name, 200)
    else:
        cluster.wait(lambda: len(lines("begin")) >= 2, 200)
    (sower,) = [w for w in cluster.fireworks() if w["name"] == "sow" and
                w["spec"]["campaign"] == name]  # fmt: skip
    cluster.type(str(BIN / "lpad"), "rerun_fws", "-i", str(sower["fw_id"]))
    cluster.wait_until_completed(name, 300)
    counts = Counter(lines("begin") + lines("end"))
    assert counts == {f"{word} {i}": 1 for word in ("begin", "end") for i in (0, 1, 2, "last")}
    assert len(lines("sow")) == (3 if when == "fizzled" else 2)
    # sow, the three it spawns, their last and the one that stores its output
    works = [work for work in cluster.fireworks() if work["spec"].get("campaign") == name]
    assert len(works) == len({work["spec"]["_tasks"][0]["job"]["uuid"] + str(
        work["spec"]["_tasks"][0]["job"]["index"]) for work in works})  # fmt: skip


@pytest.mark.parametrize("layout", ["64x1", "16x4"])
def test_slurm_takes_the_scripts_for_xeon_phi_nodes(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    cluster.devitrify(
        "init", "--site", "knl", "--layout", layout, "--partition", "knl", "--db", cluster.uri,
        "--folder", str(tmp_path),
    )  # fmt: skip
    monkeypatch.setenv("SLURM_CONF", cluster.slurm.environment["SLURM_CONF"])
    for queue in ("dft", "nnp"):
        (check,) = doctor._queue(Configuration(tmp_path), queue)
        assert check.state == "ok", check
    # and says why not
    adapter = tmp_path / "dft" / "my_qadapter.yaml"
    adapter.write_text(adapter.read_text().replace("knl&quad&cache", "haswell"))
    (check,) = doctor._queue(Configuration(tmp_path), "dft")
    assert check.state == "failed"
    assert check.mend


@pytest.mark.timeout(1000)
def test_the_whole_chain_by_the_users_commands(cluster: Cluster) -> None:
    printed = cluster.devitrify(
        "workflow", "Cu", "--engine", "emt", "--config", str(SETTINGS), "--z", "1,2",
        "--seed", "1", "-o", "wf.yaml", "--campaign", "by-hand", *SHORT,
    )  # fmt: skip
    assert "engine emt" in printed
    assert "node-hours" in printed
    assert "Added a workflow" in cluster.type(str(BIN / "lpad"), "add", "wf.yaml")
    cluster.wait_until_completed("by-hand", 800)

    works = [work for work in cluster.fireworks() if work["spec"].get("campaign") == "by-hand"]
    for work in works:
        assert work["spec"]["_category"] in ("dft", "nnp")
        assert {"walltime", "nodes"} <= set(work["spec"]["_queueadapter"])
        assert work["spec"]["_priority"] >= 0
        assert len(work["launches"]) == 1
        assert not work["archived_launches"]
    with pymongo.MongoClient(cluster.uri) as client:
        found = client.devitrify.outputs.find_one(
            {"metadata.campaign": "by-hand", "output.@class": "PredictionDocument"}
        )
    assert found["output"]["candidates"][0]["rank"] == 1


def test_no_password_is_left_anywhere_and_documents_are_small(cluster: Cluster) -> None:
    """After the others: in no script, log or document."""
    secret = cluster.uri.partition("://")[2].partition(":")[2].partition("@")[0]
    assert len(secret) > 20
    leaks = [
        path
        for path in cluster.folder.rglob("*")
        if path.is_file()
        and "database" not in path.parts
        and path.name not in PASSWORD_HOLDERS
        and secret.encode() in path.read_bytes()
    ]
    assert not leaks
    for name in PASSWORD_HOLDERS:
        assert (cluster.home / name).stat().st_mode & 0o077 == 0
    with pymongo.MongoClient(cluster.uri) as client:
        for collection in ("fireworks", "launches", "workflows", "outputs"):
            for document in client.devitrify[collection].find():
                assert secret not in str(document)
                assert len(bson.encode(document)) < 2_000_000
