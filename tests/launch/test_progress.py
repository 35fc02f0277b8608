"""Progress reports of jobs, and the ids of spawned jobs."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jobflow import CURRENT_JOB, SETTINGS, Flow, Job, JobStore, run_locally
from maggma.stores import MemoryStore

from launch.database.connections import job_store
from launch.database.embedded import EmbeddedDatabase, client
from tests.launch import sample_jobs
from workflows.jobs import idempotency, progress
from workflows.jobs.progress import report_progress


@pytest.fixture(autouse=True)
def no_job() -> Iterator[None]:
    """Leave neither a current job nor a memory of writes behind."""
    yield
    CURRENT_JOB.reset()
    progress._throttle = progress._Throttle()


@pytest.fixture
def use_store(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Set the job store that jobs find in jobflow's settings."""
    return lambda store: monkeypatch.setattr(SETTINGS, "JOB_STORE", store)


def current_job(campaign: str = "c") -> Job:
    """Make a job the current one."""
    job = sample_jobs.leaf("unused", "x")
    job.update_metadata({"campaign": campaign})
    CURRENT_JOB.job = job
    return job


def test_newest_report_of_a_job_is_kept(
    server: EmbeddedDatabase, use_store: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_store(job_store(server.uri, "progress"))
    clock = iter([0.0, 0.5, 0.9, 1.1, 1.2])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    job = current_job("campaign-1")
    with client(server.uri) as connection:
        stored = connection["progress"].progress

        def after(done: int, **figures: Any) -> dict[str, Any]:
            report_progress("liquid", done, 100, **figures)
            document = stored.find_one({"campaign": "campaign-1"})
            assert document is not None
            return document

        assert after(1, temperature_K=np.float32(1480.0))["figures"] == {"temperature_K": 1480.0}
        assert after(2)["done"] == 1  # 0.5 s later: too early
        assert after(3)["done"] == 1
        assert after(4, phase="hot")["done"] == 4  # a second has passed
        last = after(100)  # the end is always written
        assert (last["done"], last["total"]) == (100.0, 100.0)
        assert (last["stage"], last["job"], last["uuid"]) == ("liquid", "leaf", job.uuid)
        assert stored.count_documents({}) == 1


def test_memory_store_and_no_job(use_store: Callable[[Any], None]) -> None:
    report_progress("liquid", 1, 2)
    memory = JobStore(MemoryStore())
    use_store(memory)
    current_job()
    report_progress("liquid", 1, 2)
    memory.connect()
    assert memory.docs_store.count() == 0


def test_failing_write_is_logged_once_and_does_not_raise(
    use_store: Callable[[Any], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        raise ConnectionError("server gone")

    monkeypatch.setattr(progress, "_collection", broken)
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        current_job()
        report_progress("liquid", 2, 2)
    assert [record.message for record in caplog.records] == [
        "progress cannot be written; the job goes on"
    ]


def test_spawned_ids_follow_from_the_parent() -> None:
    parent = current_job()

    def make(key: str = "") -> Flow:
        first = sample_jobs.leaf("unused", "a")
        second = sample_jobs.leaf("unused", first.output["name"])
        inner = Flow([second], output=second.output)
        return idempotency.spawn(Flow([first, inner], output=second.output), key)

    one, two = make(), make()
    assert one.all_uuids == two.all_uuids
    assert one.uuid == two.uuid
    assert set(one.all_uuids).isdisjoint(make("other").all_uuids)
    # references were renamed with the jobs
    first, inner = one.jobs
    (second,) = inner.jobs
    assert second.function_args[1].uuid == first.uuid
    assert one.output.uuid == second.uuid
    assert second.hosts == [inner.uuid, one.uuid]
    parent.index = 2
    assert set(one.all_uuids).isdisjoint(make().all_uuids)
    CURRENT_JOB.reset()
    assert make().uuid != make().uuid


def test_spawned_flow_runs(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    store = JobStore(MemoryStore())
    job = sample_jobs.spawn(str(notes), 3)
    run_locally(job, store=store, ensure_success=True)
    assert store.get_output(job.uuid) == {"name": "last"}
    assert sorted(notes.read_text().split("\n"))[1:] == [
        *("leaf last", "leaf leaf-0", "leaf leaf-1", "leaf leaf-2", "spawn")
    ]


def test_once_returns_what_is_stored(tmp_path: Path, use_store: Callable[[Any], None]) -> None:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    use_store(store)
    notes = tmp_path / "notes.txt"
    job = sample_jobs.leaf(str(notes), "x")
    for _ in range(3):
        assert job.run(store).output == {"name": "x"}
    assert notes.read_text() == "leaf x\n"


def test_once_computes_again_when_a_blob_is_missing(
    tmp_path: Path, use_store: Callable[[Any], None]
) -> None:
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    store.connect()
    use_store(store)
    notes = tmp_path / "notes.txt"
    job = sample_jobs.leaf(str(notes), "x")
    job._kwargs = {"data": "name"}
    job.run(store)
    job.run(store)
    assert notes.read_text() == "leaf x\n"
    store.additional_stores["data"].remove_docs({})
    assert job.run(store).output == {"name": "x"}
    assert notes.read_text() == "leaf x\nleaf x\n"
    assert store.get_output(job.uuid, load=True) == {"name": "x"}
