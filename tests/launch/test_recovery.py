"""What killed processes leave in a launchpad is put in order."""

import pytest
from fireworks import FWAction, FWorker, LaunchPad
from jobflow.managers.fireworks import flow_to_workflow

from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.recovery import recover
from launch.database.retries import retry, retry_all
from tests.launch import sample_jobs


@pytest.fixture
def pad(server: EmbeddedDatabase, request: pytest.FixtureRequest) -> LaunchPad:
    """
    Return a launchpad with a chain of three Fireworks: 1 COMPLETED, 2 RUNNING, 3 WAITING.

    FireWorks numbers them from the last to the first of the chain.
    """
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)[:50]
    create_indexes(server.uri, name)
    pad = launchpad(server.uri, name)
    pad.add_wf(flow_to_workflow(sample_jobs.chain("unused", 3, 0.0)))
    _, launch = pad.checkout_fw(FWorker("dead"), "/")
    pad.complete_launch(launch, FWAction())
    pad.checkout_fw(FWorker("dead"), "/")
    return pad


def states(pad: LaunchPad) -> list[str]:
    """Return the states in the order of the chain, as Fireworks and as the workflow have them."""
    fireworks = {d["fw_id"]: d["state"] for d in pad.fireworks.find({})}
    recorded = pad.workflows.find_one({})["fw_states"]
    assert {str(fw_id): state for fw_id, state in fireworks.items()} == recorded
    return [fireworks[fw_id] for fw_id in sorted(fireworks, reverse=True)]


def test_recovery_frees_what_a_dead_worker_held(pad: LaunchPad) -> None:
    assert states(pad) == ["COMPLETED", "RUNNING", "WAITING"]
    assert recover(pad, "gone", alive={"dead"}) == []
    assert states(pad) == ["COMPLETED", "RUNNING", "WAITING"]
    (lost,) = recover(pad, "gone")
    assert (lost.name, lost.worker) == ("sleep", "dead")
    assert states(pad) == ["COMPLETED", "READY", "WAITING"]
    assert recover(pad, "gone") == []
    launch = pad.launches.find_one({"launch_id": 2})
    assert launch["state"] == "FIZZLED"
    assert launch["action"]["stored_data"]["_message"] == "gone"


def test_recovery_gives_up(pad: LaunchPad) -> None:
    recover(pad, "gone", give_up=lambda lost: lost.worker == "dead")
    assert states(pad) == ["COMPLETED", "FIZZLED", "WAITING"]
    assert retry_all(pad) == [2]
    assert states(pad) == ["COMPLETED", "READY", "WAITING"]


def test_recovery_of_a_killed_checkout(pad: LaunchPad) -> None:
    """The Firework is RESERVED, or has a launch, but the other documents do not know."""
    recover(pad, "gone")
    pad.fireworks.update_one({"fw_id": 2}, {"$set": {"state": "RESERVED"}})
    pad.launches.update_one({"launch_id": 2}, {"$set": {"state": "RUNNING"}})
    recover(pad, "gone", alive={"another"})  # a live worker may be at it
    assert pad.fireworks.find_one({"fw_id": 2})["state"] == "RESERVED"
    assert pad.launches.find_one({"launch_id": 2})["state"] == "FIZZLED"
    pad.fireworks.update_one({"fw_id": 2}, {"$set": {"updated_on": "2026-01-01T00:00:00"}})
    recover(pad, "gone", alive={"another"})
    assert states(pad) == ["COMPLETED", "READY", "WAITING"]


@pytest.mark.parametrize("written", [0, 1, 2])
def test_recovery_of_a_killed_update(pad: LaunchPad, written: int) -> None:
    """
    A job that spawned ended; its Firework, its children or neither had been written.

    The workflow document comes last: it still says RUNNING, and is locked.
    """
    detour = flow_to_workflow(sample_jobs.chain("unused", 2, 0.0))
    pad.launches.update_one(
        {"launch_id": 2},
        {"$set": {"state": "COMPLETED", "action": FWAction(detours=detour).to_dict()}},
    )
    pad.workflows.update_one({}, {"$set": {"locked": True}})
    if written > 0:
        stranger = pad.fireworks.find_one({"fw_id": 1}, {"_id": 0})
        pad.fireworks.insert_one({**stranger, "fw_id": pad.get_new_fw_id(), "state": "READY"})
    if written > 1:
        pad.fireworks.update_one({"fw_id": 2}, {"$set": {"state": "COMPLETED"}})
    assert recover(pad, "gone") == []
    # the last of the chain waits for the detour, which is there once
    assert sorted(states(pad)) == ["COMPLETED", "COMPLETED", "READY", "WAITING", "WAITING"]
    assert pad.workflows.find_one({}).get("locked") is None
    assert sorted(pad.workflows.find_one({})["links"]["2"])[0] == 1


def test_no_retry_once_a_child_has_gone_on(pad: LaunchPad) -> None:
    recover(pad, "gone", give_up=lambda _: True)
    pad.fireworks.update_one({"fw_id": 1}, {"$set": {"state": "COMPLETED"}})
    assert not retry(pad, 2)
    assert pad.fireworks.find_one({"fw_id": 2})["state"] == "FIZZLED"
