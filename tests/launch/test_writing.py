"""A process that is killed while it writes a workflow leaves nothing that stays as it is."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fireworks import FWAction, FWorker, LaunchPad
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow
from pymongo.errors import AutoReconnect

from launch.cluster.reconcile import Repair, _finish
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.firework_documents import firework_document
from launch.database.indexes import create_indexes
from launch.database.retries import retry_launch
from launch.database.writing import NOTES, match_states, undo_cut_short
from tests.launch.sample_jobs import chain, leaf

numbers = itertools.count()
WORKER = FWorker("here")


class Killed(BaseException):
    """Ends a step as ``kill -9`` would, but for the lock of the workflow."""


@pytest.fixture
def pad(server: EmbeddedDatabase) -> Iterator[LaunchPad]:
    """Return the launchpad of a job, one after it, and one beside."""
    name = f"writing_{next(numbers)}"
    create_indexes(server.uri, name)
    found = launchpad(server.uri, name)
    first = leaf("unused", "first")
    jobs = [first, leaf("unused", "after", first.output), leaf("unused", "beside")]
    flow = Flow(jobs)
    flow.update_metadata({"campaign": "Cu-1"})
    found.add_wf(flow_to_workflow(flow, metadata={"campaign": "Cu-1"}))
    yield found
    found.connection.drop_database(name)
    found.connection.close()


def states(pad: LaunchPad) -> Counter[str]:
    """Return how many Fireworks are in each state, which their workflow records too."""
    fireworks = {str(f["fw_id"]): f["state"] for f in pad.fireworks.find({})}
    assert fireworks == pad.workflows.find_one({})["fw_states"]
    return Counter(fireworks.values())


def take_first(pad: LaunchPad) -> int:
    """Take the job that others wait for."""
    (first,) = (f["fw_id"] for f in pad.fireworks.find({"state": "READY"})
                if pad.workflows.find_one({})["links"][str(f["fw_id"])])  # fmt: skip
    _, launch = pad.checkout_fw(WORKER, "/", fw_id=first)
    return int(launch)


def end(pad: LaunchPad, launch: int) -> None:
    """End a job that spawns two, the second after the first."""
    detour = flow_to_workflow(chain("unused", 2, 0.0))
    pad.complete_launch(launch, FWAction(detours=detour))


def dying_at(count: int, replace: Any) -> Any:
    """Let the writing of the next document, or a later one, be the end."""
    calls = itertools.count(1)

    def killed(*arguments: Any, **named: Any) -> Any:
        if next(calls) >= count:
            raise Killed
        return replace(*arguments, **named)

    return killed


@pytest.mark.parametrize(("collection", "count"), [("fireworks", 1), ("workflows", 1)])
def test_what_a_kill_leaves_is_done_again(
    pad: LaunchPad, monkeypatch: pytest.MonkeyPatch, collection: str, count: int
) -> None:
    launch = take_first(pad)
    written = getattr(pad, collection)
    with monkeypatch.context() as patched:
        dying = dying_at(count, written.replace_one)
        patched.setattr(written, "replace_one", dying, raising=False)
        with pytest.raises(Killed):
            end(pad, launch)
    assert pad.workflows.find_one({})[NOTES]
    assert pad.fireworks.count_documents({}) == 5
    # nobody takes what no workflow has; and what others write of the workflow hides nothing
    firework, beside = pad.checkout_fw(WORKER, "/")
    assert pad.workflows.find_one({"nodes": firework.fw_id}) is not None
    assert pad.checkout_fw(WORKER, "/") == (None, None)
    pad.complete_launch(beside, FWAction())
    assert pad.workflows.find_one({})[NOTES]
    # it may still be on the way
    assert undo_cut_short(pad, datetime.now(UTC) - timedelta(seconds=60)) == []
    assert _finish(pad, 0.0)
    assert states(pad) == {"COMPLETED": 2, "READY": 1, "WAITING": 2}
    assert NOTES not in pad.workflows.find_one({})
    assert _finish(pad, 0.0) == []
    for _ in range(3):
        _, launch = pad.checkout_fw(WORKER, "/")
        pad.complete_launch(launch, FWAction())
    assert states(pad) == {"COMPLETED": 5}


def test_a_step_that_is_written_leaves_no_note(pad: LaunchPad) -> None:
    end(pad, take_first(pad))
    assert NOTES not in pad.workflows.find_one({})
    assert states(pad) == {"COMPLETED": 1, "READY": 2, "WAITING": 2}
    repairs: list[Repair] = _finish(pad, 0.0)
    assert repairs == []


def test_what_has_run_is_not_taken_again_before_its_workflow_is_told(
    pad: LaunchPad, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = take_first(pad)
    with monkeypatch.context() as patched:
        dying = dying_at(1, pad.workflows.replace_one)
        patched.setattr(pad.workflows, "replace_one", dying, raising=False)
        with pytest.raises(Killed):
            end(pad, launch)
    (done,) = (f["fw_id"] for f in pad.fireworks.find({"state": "COMPLETED"}))
    # the workflow had not been told of its start either
    untold = {"$set": {f"fw_states.{done}": "READY"}, "$unset": {"locked": ""}}
    pad.workflows.update_one({}, untold)
    workflow = pad.workflows.find_one({})
    # between these two a worker that looks for work sees it
    assert (done, "COMPLETED", "RUNNING") in match_states(pad, workflow["fw_states"])
    assert pad.checkout_fw(WORKER, "/", fw_id=done) == (None, None)
    assert _finish(pad, 0.0)
    assert states(pad)["COMPLETED"] == 1
    assert pad.launches.count_documents({"fw_id": done}) == 1


@pytest.mark.parametrize("written", [False, True])
def test_a_job_whose_end_is_recorded_does_not_run_again(
    pad: LaunchPad, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """The database fails before its workflow is written, or right after that."""
    launch = take_first(pad)
    whole = pad.workflows.replace_one

    def away(*arguments: Any, **named: Any) -> Any:
        if written:
            whole(*arguments, **named)
        raise AutoReconnect("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(pad.workflows, "replace_one", away, raising=False)
        with pytest.raises(RuntimeError, match="the database is away"):
            end(pad, launch)
    (failed,) = pad.get_fw_ids({"state": "FIZZLED"})  # so FireWorks has it
    assert not retry_launch(pad, failed, launch)
    _finish(pad, 0.0)
    assert states(pad) == {"COMPLETED": 1, "READY": 2, "WAITING": 2}
    assert pad.fireworks.find_one({"fw_id": failed})["launches"] == [launch]


def test_documents_of_what_was_launched_are_those_of_fireworks(pad: LaunchPad) -> None:
    end(pad, take_first(pad))
    workflow = pad.get_wf_by_fw_id_lzyfw(pad.fireworks.find_one({})["fw_id"])
    documents = {fw_id: firework_document(found) for fw_id, found in workflow.id_fw.items()}
    assert any(document["launches"] for document in documents.values())
    for fw_id, document in documents.items():
        assert document == workflow.id_fw[fw_id].to_db_dict()
        stored = pad.fireworks.find_one({"fw_id": fw_id}, {"_id": 0})
        assert {**document, "updated_on": None} == {**stored, "updated_on": None}
