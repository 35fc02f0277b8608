"""Many campaigns of one launchpad at a glance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fireworks import FWAction, FWorker
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.cluster.files import ClusterDescription, write_files
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.report.overview import CampaignOverview, Overview, _state, overview, overview_table
from tests.launch.sample_jobs import leaf
from tests.launch.test_cli import call
from workflows.jobs.tags import tag
from workflows.stages.table import STAGES


def campaign(name: str) -> Flow:
    """Return two jobs in a row, on both queues."""
    first = tag(leaf("unused", "first"), STAGES["liquid"], "dft")
    last = tag(leaf("unused", "last", after=first.output), STAGES["train"])
    flow = Flow([first, last])
    flow.update_metadata({"campaign": name, "formula": "MgO"})
    return flow


def test_all_campaigns(
    server: EmbeddedDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_indexes(server.uri, "overview")
    pad = launchpad(server.uri, "overview")
    for name in ("MgO-1", "MgO-2", "MgO-3"):
        pad.add_wf(flow_to_workflow(campaign(name)))
    dft, nnp = FWorker(name="dft", category="dft"), FWorker(name="nnp", category="nnp")

    def run(worker: FWorker, state: str) -> None:
        _, launch = pad.checkout_fw(worker, "/launches")
        pad.complete_launch(launch, FWAction(), state)

    run(dft, "COMPLETED")
    run(nnp, "COMPLETED")
    run(dft, "COMPLETED")
    run(dft, "FIZZLED")
    pad.reserve_fw(nnp, "/launches")
    found = {row.campaign: row for row in overview(pad).campaigns}
    states = sorted(row.state for row in found.values())
    assert states == ["completed", "failed", "running"]
    running = next(row for row in found.values() if row.state == "running")
    assert running.stage == "train"
    assert running.queue == {"nnp": {"RESERVED": 1}}
    assert running.states == {"COMPLETED": 1, "RESERVED": 1}
    assert running.node_hours > 0
    assert running.node_hours_to_go is not None
    assert running.node_hours_to_go > 0
    done = next(row for row in found.values() if row.state == "completed")
    assert done.per_hour > 0
    assert done.node_hours_to_go == 0
    assert len(overview(pad).failures) == 1
    assert [row.campaign for row in overview(pad, "MgO-1").campaigns] == ["MgO-1"]

    write_files(
        tmp_path, ClusterDescription("local", server.uri, database="overview").files(tmp_path)
    )
    code, out, error = call(capsys, "status", "--config", str(tmp_path))
    assert code == 0, error
    assert all(name in out for name in found)
    assert "failed" in out
    code, out, _ = call(capsys, "status", "--config", str(tmp_path), "--json")
    assert '"campaign": "MgO-1"' in out
    pad.connection.close()


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["PAUSED", "WAITING"], "paused"),
        (["COMPLETED", "DEFUSED", "WAITING"], "defused"),
        (["ARCHIVED", "ARCHIVED"], "archived"),
        (["FIZZLED", "PAUSED"], "failed"),
        (["PAUSED", "RUNNING"], "running"),
    ],
)
def test_what_was_stopped_by_hand_has_not_failed(states: list[str], state: str) -> None:
    row = CampaignOverview(
        campaign="c", formula="Al", state=_state(Counter(states)), stage="", states={}, queue={},
        per_hour=0.0, node_hours=0.0, node_hours_to_go=None,
    )  # fmt: skip
    assert row.state == state
    assert overview_table(Overview(campaigns=[row], failures=[])).row_count == 1


def test_a_database_that_is_away_gets_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "mongodb://me:s3cret@127.0.0.1:1"
    write_files(tmp_path, ClusterDescription("local", uri).files(tmp_path))
    path = tmp_path / "my_launchpad.yaml"
    path.write_text(path.read_text().replace("60000", "200"))
    code, _, error = call(capsys, "status", "--config", str(tmp_path))
    assert code == 1
    assert "doctor" in error
    assert "s3cret" not in error
