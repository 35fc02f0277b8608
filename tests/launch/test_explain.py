"""No query that many campaigns make long goes through a whole collection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pymongo.monitoring
import pytest
from fireworks import FWAction, FWorker
from monty.json import jsanitize
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener, CommandStartedEvent

from launch.database.connections import job_store, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.leftovers import find_leftovers
from launch.report.campaign_results import CampaignResults
from launch.report.overview import overview
from launch.report.results import Results
from tests.launch.test_results import ranking
from tests.launch.test_tallies import workflow
from workflows.documents.prediction import PredictionDocument

#: Read as a whole, or of one document: they have one small document a campaign at most.
SMALL = {"tallies", "tally_checks", "rankings", "fw_id_assigner"}
NAME = "explained"


class Recorder(CommandListener):
    """Keeps the queries that are made while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.queries: dict[str, dict[str, Any]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        command = event.command
        if self.on and event.database_name == NAME:
            for query in queries_of(event.command_name, command):
                shape = json.dumps(query, default=str, sort_keys=True)
                self.queries[shape] = query

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def queries_of(name: str, command: Any) -> Iterator[dict[str, Any]]:
    """Return what a command looks for, as commands that can be explained everywhere."""
    collection = command.get(name)
    if name == "find":
        yield {"find": collection, "filter": command["filter"], "sort": command.get("sort", {})}
    elif name == "aggregate":
        yield {"aggregate": collection, "pipeline": command["pipeline"], "cursor": {}}
    elif name == "findAndModify":
        yield {"find": collection, "filter": command["query"], "sort": command.get("sort", {})}
    elif name == "update":
        yield from ({"find": collection, "filter": one["q"]} for one in command["updates"])
    elif name == "delete":
        yield from ({"find": collection, "filter": one["q"]} for one in command["deletes"])


RECORDER = Recorder()


@pytest.fixture
def recorded(server: EmbeddedDatabase) -> Iterator[tuple[Database, Recorder]]:
    """Return a database of which everything that many people do was asked."""
    pymongo.monitoring.register(RECORDER)
    create_indexes(server.uri, NAME)
    pad = launchpad(server.uri, NAME)
    store = job_store(server.uri, NAME)
    for number in (1, 2):
        pad.add_wf(workflow(f"MgO-{number}"))
    pad.db.outputs.insert_one(
        {"uuid": "job", "index": 1, "completed_at": "2030-01-01T00:00:00",
         "metadata": {"campaign": "MgO-1", "formula": "MgO", "stage": "candidates"},
         "output": jsanitize(ranking("MgO", [-6.0]), strict=True, enum_values=True)}
    )  # fmt: skip
    overview(pad)  # the first look compares all workflows with their tallies, once
    RECORDER.on = True
    overview(pad)
    overview(pad, "MgO-1")
    for worker in (FWorker("dft", category="dft"), FWorker("all"), FWorker("nnp", category="nnp")):
        firework, launch = pad.checkout_fw(worker, "/launches")
        if firework is not None:
            pad.complete_launch(launch, FWAction())
            overview(pad)
    results = Results(store)
    results.candidates(structures=False)
    results.candidates("OMg", structures=False)
    results.candidates(campaign="MgO-1")
    results.stages("train", campaign="MgO-1")
    CampaignResults(store, "MgO-1").jobs_of(PredictionDocument)
    list(find_leftovers(pad.db, "MgO-1"))
    RECORDER.on = False
    yield pad.db, RECORDER
    pad.connection.drop_database(NAME)
    pad.connection.close()
    store.close()


def scans(database: Database, query: dict[str, Any]) -> bool:
    """
    Whether a query goes through a whole collection.

    SecantusDB explains only what an index answers as a whole. If none does it goes by the first
    clause that has an index, and reads what that finds: so its clauses are explained one by one.
    """
    if not is_scan(database, query):
        return False
    asked = query["filter"] if "find" in query else query["pipeline"][0].get("$match", {})
    collection = query.get("find") or query.get("aggregate")
    clauses = [{"find": collection, "filter": {name: value}} for name, value in asked.items()]
    return all(is_scan(database, clause) for clause in clauses)


def is_scan(database: Database, query: dict[str, Any]) -> bool:
    """What the server says of a query."""
    plan = database.command("explain", query, verbosity="queryPlanner")
    return '"COLLSCAN"' in json.dumps(plan, default=str)


def test_all_queries_go_by_an_index(recorded: tuple[Database, Recorder]) -> None:
    database, recorder = recorded
    asked = [
        query
        for query in recorder.queries.values()
        if (query.get("find") or query.get("aggregate")) not in SMALL
    ]
    assert len(asked) > 15
    try:
        assert not [query for query in asked if scans(database, query)]
    except OperationFailure as error:
        pytest.skip(f"this server explains nothing: {error}")


def test_a_scan_would_be_noticed(recorded: tuple[Database, Recorder]) -> None:
    database, _ = recorded
    query = {"find": "fireworks", "filter": {"spec.nobody": 1}}
    assert scans(database, query)
    query["filter"] = {"spec.nobody": 1, "fw_id": 1}
    assert not scans(database, query)
