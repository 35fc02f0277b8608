"""A spawning Firework that is run again spawns nothing twice."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fireworks import FWorker, LaunchPad
from fireworks.core.rocket_launcher import launch_rocket
from jobflow import SETTINGS, Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.cluster import rocket, slurm
from launch.cluster.rocket import ClusterLaunchPad
from launch.database.connections import job_store, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from tests.launch.sample_jobs import leaf, spawn

numbers = itertools.count()
HERE = FWorker(name="here")
ONCE = ["leaf after", "leaf last", "leaf leaf-0", "leaf leaf-1"]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File of the jobs, which run in the test's folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "notes"


@pytest.fixture
def pad(
    server: EmbeddedDatabase, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LaunchPad]:
    """A launchpad with a job that spawns, and one that waits for what it spawns."""
    name = f"counters_{next(numbers)}"
    create_indexes(server.uri, name)
    monkeypatch.setattr(SETTINGS, "JOB_STORE", job_store(server.uri, name))
    pad = launchpad(server.uri, name)
    first = spawn(str(notes), 2)
    pad.add_wf(flow_to_workflow(Flow([first, leaf(str(notes), "after", first.output)])))
    yield pad
    pad.connection.close()


def run(pad: LaunchPad, most: int = 99) -> int:
    """Run what is ready, and return how many Fireworks that were."""
    return sum(1 for _ in itertools.takewhile(bool, (
        launch_rocket(pad, HERE, strm_lvl="ERROR") for _ in range(most)
    )))  # fmt: skip


@pytest.mark.parametrize("category", ["", "dft", ["dft", "nnp"]])
@pytest.mark.parametrize("query", [{}, {"spec.stage": "liquid"}, {"$or": [{"name": "a"}]}])
def test_the_same_fireworks_are_taken_as_fireworks_would(
    pad: LaunchPad, category: str | list[str], query: dict
) -> None:
    """With and without a worker, a queue, and whatever else a worker asks for."""
    (template,) = pad.fireworks.find({"name": "spawn"}, {"_id": 0})
    pad.fireworks.delete_many({})
    specs: list[dict] = [{}, {"_fworker": None}, {"_fworker": "here"}, {"_fworker": "there"}]
    queues: list[dict] = [{}, {"_category": "dft"}, {"_category": "gpu"}]
    pad.fireworks.insert_many(
        {**template, "fw_id": number, "name": name,
         "spec": {**template["spec"], **spec, **queue, "stage": stage, "_priority": number % 3}}
        for number, (spec, queue, stage, name) in enumerate(
            itertools.product(specs, queues, ("liquid", "train"), "ab"), 1
        )
    )  # fmt: skip
    # of no workflow, nobody would take them
    pad.workflows.update_one({}, {"$set": {"nodes": list(range(1, 49))}})
    worker = FWorker("here", category, query)
    wanted = {each["fw_id"] for each in pad.fireworks.find({**worker.query, "state": "READY"})}
    assert 0 < len(wanted) < 48
    taken = []
    while pad.run_exists(worker):
        taken.append(pad._get_a_fw_to_run(worker.query))
    assert {firework.fw_id for firework in taken} == wanted
    priorities = [firework.spec["_priority"] for firework in taken]
    assert priorities == sorted(priorities, reverse=True)


def spawner(pad: LaunchPad) -> int:
    return int(pad.fireworks.find_one({"name": "spawn"})["fw_id"])


def lines(notes: Path) -> list[str]:
    return sorted(notes.read_text().splitlines())


@pytest.mark.parametrize("done", [1, 2, 99])
def test_what_was_spawned_is_there_once(pad: LaunchPad, notes: Path, done: int) -> None:
    """However many of the descendants had run when the spawning job was run again."""
    run(pad, done)
    before = pad.fireworks.count_documents({})
    pad.rerun_fw(spawner(pad))
    run(pad)
    assert pad.fireworks.count_documents({}) == before
    assert pad.fireworks.distinct("state") == ["COMPLETED"]
    assert lines(notes) == [*ONCE, "spawn", "spawn"]
    assert pad.workflows.find_one({})["state"] == "COMPLETED"


def test_a_job_that_did_not_spawn_spawns_when_it_is_run_again(pad: LaunchPad, notes: Path) -> None:
    """Its first launch had failed."""
    fw_id = spawner(pad)
    _, launch_id = pad.checkout_fw(HERE, "/launches", fw_id=fw_id)
    pad.complete_launch(launch_id, state="FIZZLED")
    pad.rerun_fw(fw_id)
    run(pad)
    assert pad.fireworks.distinct("state") == ["COMPLETED"]
    assert lines(notes) == [*ONCE, "spawn"]


def test_a_descendant_that_still_runs_is_waited_for(
    pad: LaunchPad, server: EmbeddedDatabase, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rocket, "OTHERS_SECONDS", 0.1)
    alive = {"11": "RUNNING"}
    monkeypatch.setattr(slurm, "jobs", lambda: alive)
    run(pad, 1)
    own = ClusterLaunchPad(host=server.uri, name=pad.name, uri_mode=True, strm_lvl="ERROR")
    monkeypatch.setenv("SLURM_JOB_ID", "11")
    running, first = own.checkout_fw(HERE, "/launches")
    pad.rerun_fw(spawner(pad))
    run(pad, 1)
    assert pad.fireworks.find_one({"fw_id": running.fw_id})["state"] == "READY"
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    again = threading.Thread(
        target=own.checkout_fw, args=(HERE, "/launches"), kwargs={"fw_id": running.fw_id}
    )
    again.start()
    again.join(2)
    assert again.is_alive()
    own.complete_launch(first)
    again.join(30)
    assert not again.is_alive()

    # one that died is not waited for, whether anybody has noticed or not
    pad.launches.update_one({"launch_id": first}, {"$set": {"state": "RUNNING"}})
    alive.clear()
    pad.rerun_fw(running.fw_id)
    assert own.checkout_fw(HERE, "/launches", fw_id=running.fw_id)[0] is not None
    own.connection.close()
