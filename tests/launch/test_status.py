"""Status documents, their table and the display of a running campaign."""

import io
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fireworks import FWAction, FWorker
from jobflow.managers.fireworks import flow_to_workflow
from rich.console import Console

from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.failures import last_error
from launch.database.indexes import create_indexes
from launch.errors import CampaignError
from launch.local.campaign import Campaign
from launch.local.display import Display
from launch.local.status import campaign_status
from launch.report.status import (
    CampaignStatus,
    StageStatus,
    collect,
    format_duration,
    format_figures,
    print_status,
    union_seconds,
)
from launch.report.status_reading import WHOLE_SECONDS, StatusReader, state_counts
from tests.launch import sample_jobs

TRACE = """Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
ValueError: first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in g
    raise
pydantic.ValidationError: 1 validation error for Frames
energies
  Field required
"""


def stage(**changes: Any) -> StageStatus:
    """Return the status of a liquid at work."""
    values = {
        "name": "liquid",
        "state": "running",
        "counts": {"COMPLETED": 1, "RUNNING": 1},
        "done": 1.5,
        "total": 2,
        "started": None,
        "elapsed": 61.0,
        "figures": {"temperature_K": 1480.0, "pressure_kbar": -3.0},
    }
    return StageStatus(**(values | changes))


def status(*stages: StageStatus, **changes: Any) -> CampaignStatus:
    """Return the status of a campaign."""
    names = {"campaign": "c", "formula": "LiAlCl4", "engine": "emt", "protocol": "quick"}
    values = {"folder": "/f", "state": "running", "failures": [], "started": None, "elapsed": 61.0}
    return CampaignStatus(**(names | values | {"stages": list(stages)} | changes))


@pytest.fixture
def written(
    new_campaign: Callable[..., Campaign], server: EmbeddedDatabase
) -> Callable[..., tuple[Campaign, Any]]:
    """Return a campaign whose launchpad holds a flow that has not run."""

    def make(count: int) -> tuple[Campaign, Any]:
        campaign = new_campaign()
        create_indexes(server.uri, campaign.document.database)
        pad = launchpad(server.uri, campaign.document.database)
        flow = sample_jobs.chain("unused", count, 0.0, stage="volume")
        flow.jobs[-1].metadata["stage"] = "melt"
        flow.jobs[0].metadata.pop("stage")
        pad.add_wf(flow_to_workflow(flow))
        return campaign, pad

    return make


def test_stages_are_counted_in_order(written: Callable[..., tuple[Campaign, Any]]) -> None:
    campaign, pad = written(4)
    found = collect(campaign.heading, pad, running=True)
    assert [s.name for s in found.stages] == ["melt", "volume", "other"]
    assert [s.total for s in found.stages] == [1, 2, 1]
    assert {s.state for s in found.stages} == {"waiting"}
    assert found.state == "running"
    assert collect(campaign.heading, pad, running=False).state == "stopped"
    assert (found.started, found.elapsed) == (None, 0.0)


def test_running_jobs_count_by_their_progress(
    written: Callable[..., tuple[Campaign, Any]],
) -> None:
    campaign, pad = written(4)
    now = datetime.now(UTC)
    pad.fireworks.update_one({"spec.stage": "volume"}, {"$set": {"state": "RUNNING"}})
    for uuid, done, age in (("a", 99.0, 10), ("b", 25.0, 0), ("c", 100.0, 5)):
        pad.db.progress.insert_one(
            {"uuid": uuid, "stage": "volume", "job": uuid, "done": done, "total": 100.0}
            | {"time": (now - timedelta(seconds=age)).isoformat(), "figures": {"x": done}}
        )
    volume = collect(campaign.heading, pad, running=True).stages[1]
    assert volume.done == 0.25  # one runs: the newest unfinished report is its
    assert (volume.job, volume.figures, volume.state) == ("b", {"x": 25.0}, "running")


def test_failed_fireworks_and_left_out_ones(
    written: Callable[..., tuple[Campaign, Any]],
) -> None:
    campaign, pad = written(4)
    details = {"state": "FIZZLED", "spec._exception_details": {"_stacktrace": TRACE}}
    pad.fireworks.update_one({"spec.stage": "volume"}, {"$set": details})
    found = collect(campaign.heading, pad, running=False)
    assert found.stages[1].state == "failed"
    (failure,) = found.failures
    assert failure.reason == "pydantic.ValidationError: 1 validation error for Frames"
    assert (failure.stage, failure.launch) == ("volume", None)
    pad.fireworks.update_one(
        {"spec.stage": "volume", "state": "WAITING"}, {"$set": {"state": "COMPLETED"}}
    )
    assert collect(campaign.heading, pad, running=False).stages[1].state == "completed"


def test_status_of_a_stopped_campaign(new_campaign: Callable[..., Campaign]) -> None:
    campaign = new_campaign()
    found = campaign_status(campaign.folder)
    assert (found.state, found.stages, found.failures) == ("not started", [], [])
    assert campaign.database().running() is None
    assert not campaign.locked()


def test_status_of_a_campaign_in_use(new_campaign: Callable[..., Campaign]) -> None:
    campaign = new_campaign()
    with campaign.lock(), campaign.database() as database:
        assert campaign_status(campaign.folder).state == "running"
        assert database.alive()


def test_status_when_the_holder_has_no_database(
    new_campaign: Callable[..., Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = new_campaign()
    monkeypatch.setattr("launch.local.status.PATIENCE", 0.3)
    with campaign.lock(), pytest.raises(CampaignError, match="does not answer"):
        campaign_status(campaign.folder)


def test_status_by_uri(
    written: Callable[..., tuple[Campaign, Any]], server: EmbeddedDatabase
) -> None:
    campaign, _ = written(3)
    assert campaign_status(campaign.folder, server.uri).state == "stopped"


def test_last_error() -> None:
    assert last_error(TRACE) == "pydantic.ValidationError: 1 validation error for Frames"
    assert last_error("the worker process was ended by SIGKILL").endswith("by SIGKILL")
    assert last_error("") == "no reason recorded"


def test_union_seconds() -> None:
    zero = datetime(2026, 1, 1, tzinfo=UTC)

    def period(start: float, end: float) -> tuple[datetime, datetime]:
        return zero + timedelta(seconds=start), zero + timedelta(seconds=end)

    assert union_seconds([]) == 0.0
    assert union_seconds([period(5, 8), period(0, 2), period(1, 3), period(6, 7)]) == 6.0


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"temperature_K": 1480.0, "pressure_kbar": -3.04}, "T 1480 K  p -3.0 kbar"),
        (
            {"validation_meV_atom": 8.12, "validation_eV_A": 0.171, "validation_kbar": 6.0},
            "validation 8.1 meV/atom  0.17 eV/Å  6.0 kbar",
        ),
        (
            {"best_eV_atom": -4.24311, "structures_per_s": 12.34},
            "best -4.2431 eV/atom  12.3 structures/s",
        ),
        ({"space_group": "P2_1/c", "epoch": 17.0}, "space group P2_1/c  epoch 17"),
        ({}, ""),
    ],
)
def test_format_figures(figures: dict[str, float | str], text: str) -> None:
    assert format_figures(figures) == text


def test_format_duration() -> None:
    assert [format_duration(s) for s in (0.0, 61.9, 3600.0)] == ["0:00", "1:01", "1:00:00"]


def test_printed_status_names_failures_and_how_to_resume() -> None:
    failure = {"fw_id": 7, "name": "quench [0]", "stage": "quench", "reason": "ValueError: [x]"}
    failed = status(
        stage(state="failed"), state="failed", failures=[failure | {"launch": 1, "folder": "/l"}]
    )
    text = io.StringIO()
    print_status(failed, Console(file=text, width=120))
    assert "T 1480 K  p -3.0 kbar" in text.getvalue()
    assert "failed quench: quench [0] (Firework 7): ValueError: [x]" in text.getvalue()
    assert "devitrify run LiAlCl4 --protocol quick --engine emt --folder /f" in text.getvalue()
    told = failed.model_copy(update={"command": ["LiAlCl4", "--set", "train.options.members=2"]})
    print_status(told, Console(file=text, width=120))
    expected = "devitrify run LiAlCl4 --set train.options.members=2 --folder /f"
    assert text.getvalue().endswith(f"Resume with: {expected}\n")


def test_plain_lines_at_changes_and_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    clock = [0.0]
    monkeypatch.setattr("launch.local.display.monotonic", lambda: clock[0])
    with Display(Console(file=text, width=40)) as display:
        for now, shown in [(0, stage(state="waiting")), (1, stage()), (2, stage(done=1.7))]:
            clock[0] = now
            display.update(status(shown))
        assert text.getvalue().count("running  ") == 1
        clock[0] = 32
        display.update(status(stage(done=1.9)))
        display.update(status(stage(done=1.95)))
        assert text.getvalue().count("running  ") == 2
        display.update(status(stage(done=2.0, state="completed")))
        display.message("done [x]")
    lines = text.getvalue().splitlines()
    assert lines[0] == "    1:01  liquid: running  1.5/2 jobs  T 1480 K  p -3.0 kbar"
    assert lines[1] == "Now: running the liquid, 1 of 2 jobs known so far."
    assert lines[-2].startswith("    1:01  liquid: completed  2.0/2 jobs")
    assert lines[-1] == "done [x]"


def test_live_table_on_a_terminal() -> None:
    text = io.StringIO()
    with Display(Console(file=text, width=120, force_terminal=True)) as display:
        display.update(status(stage(), stage(name="quench", state="waiting", figures={})))
        display.message("a worker died")
    assert "1480 K" in text.getvalue()
    assert "quench" in text.getvalue()
    assert "a worker died" in text.getvalue()


def test_what_is_done_is_not_read_again(written: Callable[..., tuple[Campaign, Any]]) -> None:
    campaign, pad = written(4)
    reader = StatusReader()

    def both() -> tuple[CampaignStatus, CampaignStatus]:
        heading = campaign.heading
        return (
            collect(heading, pad, running=True, reader=reader),
            collect(heading, pad, running=True),
        )

    def take_and_end(state: str = "COMPLETED") -> int:
        firework, launch = pad.checkout_fw(FWorker("here"), "/")
        assert both()[0].stages != first_of_all.stages
        pad.complete_launch(launch, FWAction(), state=state)
        return int(firework.fw_id)

    first_of_all = both()[0]
    first = take_and_end()
    known, whole = both()
    assert known == whole
    detour = flow_to_workflow(sample_jobs.chain("unused", 2, 0.0, stage="volume"))
    pad.append_wf(detour, [first])
    take_and_end()
    take_and_end("FIZZLED")
    known, whole = both()
    assert known == whole
    assert sum(stage.total for stage in known.stages) == 6
    assert state_counts(pad) == Counter(f["state"] for f in pad.fireworks.find({}))
    # what others change of it is seen a minute later
    pad.fireworks.update_one({"fw_id": first}, {"$set": {"name": "other", "state": "READY"}})
    assert first in {f["fw_id"] for f in reader.fireworks(pad) if f["state"] == "COMPLETED"}
    reader._fireworks.whole_at -= WHOLE_SECONDS
    assert first in {f["fw_id"] for f in reader.fireworks(pad) if f["state"] == "READY"}
    assert state_counts(pad) == Counter(f["state"] for f in pad.fireworks.find({}))
