"""The user's commands on a real SLURM against a real database, and what may go wrong there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bson
import psutil
import pymongo
import pytest

from launch import doctor
from launch.configuration import Configuration
from tests.integration.cluster import BIN, Cluster, open_cluster
from tests.integration.cluster_jobs import expedition
from tests.integration.conftest import SETTINGS
from tests.integration.slurm import kill, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.xdist_group("slurm"),
]
PASSWORD_HOLDERS = {"my_launchpad.yaml", "jobflow.yaml"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests; qlaunch runs for both queues as on a login node."""
    with open_cluster(tmp_path_factory.mktemp("cluster")) as running:
        for queue in ("dft", "nnp"):
            running.qlaunch(queue)
        yield running


@dataclass
class Expedition:
    """A flow on its way, whose job is to meet with a fault."""

    cluster: Cluster
    name: str
    notes: Path

    def steps(self) -> list[str]:
        """Return the steps taken so far."""
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def job(self) -> str:
        """Return the SLURM job that climbs."""
        (firework,) = [f for f in self.cluster.fireworks() if f["name"] == "climb"
                       and f["spec"].get("campaign") == self.name
                       and f["spec"]["_category"] == "dft"]  # fmt: skip
        launches = {launch["launch_id"]: launch for launch in self.cluster.launches()}
        history = launches[firework["launches"][-1]]["state_history"]
        return next(entry["reservation_id"] for entry in history if "reservation_id" in entry)

    def process(self, module: str) -> int:
        """Return the process of this job that runs a module."""
        job = self.job()
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if f"launch.{module}" in command and process.environ().get("SLURM_JOB_ID") == job:
                return process.pid
        raise AssertionError(f"job {job} has no process launch.{module}")


def scancel(expedition: Expedition) -> None:
    expedition.cluster.slurm.command("scancel", expedition.job())


def time_limit(expedition: Expedition) -> None:
    """Its end comes closer than the signal, which SLURM sends at its next look."""
    expedition.cluster.slurm.command(
        "scontrol", "update", f"JobId={expedition.job()}", "EndTime=now+45"
    )


def requeue(expedition: Expedition) -> None:
    slurm, job = expedition.cluster.slurm, expedition.job()
    slurm.command("scontrol", "update", f"JobId={job}", "Requeue=1")
    slurm.command("scontrol", "requeue", job)
    # SLURM waits two minutes before it starts a job again
    expedition.cluster.wait(lambda: slurm.jobs()[job] == "PENDING", 60)
    slurm.command("scontrol", "update", f"JobId={job}", "StartTime=now")


def rocket_killed(expedition: Expedition) -> None:
    kill(expedition.process("rocket"))


def job_killed(expedition: Expedition) -> None:
    """Both at once, so that nobody is left who could tell."""
    pids = [expedition.process("supervisor"), expedition.process("rocket")]
    for pid in pids:
        kill(pid)


def node_lost(expedition: Expedition) -> None:
    slurm = expedition.cluster.slurm
    node = slurm.node_of(expedition.job())
    slurm.kill_node(node)
    # SLURM finds out by itself after a while; this is what its administrator does
    slurm.command("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    slurm.start_node(node)
    # it may come back by itself meanwhile
    slurm.command("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)


def network_cut(expedition: Expedition) -> None:
    """Longer than the climb, so that its end falls into the cut."""
    expedition.cluster.proxy.cut()
    time.sleep(30)
    expedition.cluster.proxy.join()


def database_killed(expedition: Expedition) -> None:
    database = expedition.cluster.proxy.database
    assert database._server is not None
    kill(database._server.pid)
    database.start()


FAULTS: dict[Callable[[Expedition], None], tuple[int, str | None]] = {
    scancel: (1, "cancelled"),
    time_limit: (1, "time"),
    requeue: (1, None),
    rocket_killed: (1, "crash"),
    job_killed: (1, "crash"),
    node_lost: (1, "node"),
    network_cut: (0, None),
    database_killed: (0, None),
}
"""Faults, how many of the 30 steps each may cost, and the end that is recorded with the launch."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_job_survives(
    cluster: Cluster, tmp_path: Path, fault: Callable[[Expedition], None]
) -> None:
    name = fault.__name__
    under_way = Expedition(cluster, name, tmp_path / "notes")
    # SLURM looks at time limits twice a minute
    cluster.add(expedition(under_way.notes, name, seconds=75.0 if fault is time_limit else 15.0))
    cluster.wait(lambda: len(under_way.steps()) >= 5, 120)
    fault(under_way)

    # what a cron job or --watch does; at any time, also when nothing is amiss
    cluster.wait_until_completed(name, 300, meanwhile=lambda: cluster.devitrify("reconcile"))
    cost, kind = FAULTS[fault]
    taken = Counter(under_way.steps())
    assert {f"{name} {step}" for step in range(30)} <= set(taken)
    assert sum(taken.values()) - len(taken) <= cost
    if kind is not None:
        ours = [
            work["fw_id"] for work in cluster.fireworks() if work["spec"].get("campaign") == name
        ]
        kinds = {
            ((launch.get("action") or {}).get("stored_data") or {}).get("_kind")
            for launch in cluster.launches()
            if launch["fw_id"] in ours
        }
        assert kind in kinds


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
        "--seed", "1", "-o", "wf.yaml", "--campaign", "by-hand",
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
