"""The checks of the soak find what they are there to find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fireworks import FWAction, FWorker
from pymongo.database import Database

from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from tests.kills.launchpad import ledger_of
from tests.launch.test_tallies import workflow
from tests.soak.checks import LOST, TALLY, TWICE, Verdict, faults_at_rest
from tests.soak.memory import growth_of

NAME = "soak"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database[dict[str, Any]]]:
    """Return the database of two campaigns of which two jobs are done and have an output each."""
    with EmbeddedDatabase(Path(tmp_path_factory.mktemp("server"))) as server:
        create_indexes(server.uri, NAME)
        pad = launchpad(server.uri, NAME)
        for campaign in ("A-1", "A-2"):
            pad.add_wf(workflow(campaign))
        for _ in range(2):
            firework, launch = pad.checkout_fw(FWorker(), "/")
            pad.complete_launch(launch, FWAction())
            job = firework.tasks[0]["job"]
            pad.db.outputs.insert_one({"uuid": job.uuid, "index": job.index})
        yield pad.db
        pad.connection.close()


def verdict_of(database: Database[dict[str, Any]]) -> dict[str, int]:
    """How much of each kind is wrong."""
    verdict = Verdict()
    verdict.note(faults_at_rest(database))
    return {kind: len(found) for kind, found in verdict.faults.items() if found}


def test_every_kind_of_fault_is_found(database: Database[dict[str, Any]]) -> None:
    assert verdict_of(database) == {}
    before = ledger_of(database)
    lines = Verdict().lines(2, 2)
    assert lines == [
        "lost: 0 of 2 jobs done", "done twice: 0 of 2 jobs done", "wrong tallies: 0 of 2"
    ]  # fmt: skip

    output = database.outputs.find_one_and_delete({})
    assert output is not None
    assert verdict_of(database) == {LOST: 1}
    assert ledger_of(database).faults_since(before)[0].startswith(LOST)
    database.outputs.insert_many([{**output, "_id": 1}, {**output, "_id": 2}])
    assert verdict_of(database) == {TWICE: 1}
    database.outputs.delete_one({"_id": 2})

    done = database.fireworks.find_one({"state": "COMPLETED"})
    assert done is not None
    database.launches.insert_one({"launch_id": 99, "fw_id": done["fw_id"], "state": "COMPLETED"})
    assert verdict_of(database) == {TWICE: 1}
    assert ledger_of(database).faults_since(before)[0].startswith(TWICE)
    database.launches.delete_one({"launch_id": 99})

    again = {**done, "_id": 7, "fw_id": 99}  # two Fireworks of one job
    database.fireworks.insert_one(again)
    database.launches.insert_one({"launch_id": 99, "fw_id": 99, "state": "COMPLETED"})
    assert verdict_of(database)[TWICE] == 1
    database.fireworks.delete_one({"fw_id": 99})
    database.launches.delete_one({"launch_id": 99})

    database.fireworks.delete_one({"fw_id": done["fw_id"]})
    assert verdict_of(database)[LOST] == 1
    database.fireworks.insert_one(done)
    assert verdict_of(database) == {TALLY: 1}  # it was counted meanwhile


def test_a_tally_that_is_believed_and_wrong_is_found(database: Database[dict[str, Any]]) -> None:
    tally = database.tallies.find_one({})
    assert tally is not None
    wrong = {"$set": {"figures": tally["figures"].replace("READY", "FIZZLED")}}
    database.tallies.update_one({"_id": tally["_id"]}, wrong)
    assert verdict_of(database) == {TALLY: 1}
    assert verdict_of(database) == {}  # it was counted anew


def test_growth_is_that_of_each_process() -> None:
    """Two processes of different size that grow by 60 and 72 MB an hour, and one that is young."""
    seconds = np.arange(0.0, 1800.0, 5.0)
    noise = np.random.default_rng(0).normal(0.0, 1.0, (2, len(seconds)))
    old = np.column_stack([seconds, 100 + seconds / 60 + noise[0]])
    large = np.column_stack([seconds + 900, 300 + seconds / 50 + noise[1]])
    young = np.array([[0.0, 10.0], [5.0, 80.0]])
    growth = growth_of([old, large, young], warm=60.0)
    assert growth is not None
    assert growth.slope == pytest.approx(66.0, abs=2.0)
    assert 2.0 < growth.error < 15.0
    assert growth.hours == pytest.approx(2 * 1735 / 3600, abs=0.01)
    assert growth_of([young], warm=60.0) is None
