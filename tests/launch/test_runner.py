"""Running, failing, killing and resuming whole campaigns of tiny jobs."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.database.connections import job_store, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.retries import LIMITS
from launch.errors import CampaignError
from launch.local import processes, runner
from launch.local.campaign import Campaign
from launch.local.runner import run_campaign
from launch.report.status import CampaignStatus
from tests.launch import sample_jobs

ROOT = Path(__file__).parents[2]
RUN = """
import sys
from launch.local.campaign import Campaign
from launch.local.runner import run_campaign
from tests.launch import sample_jobs
notes, count, seconds = sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
result = run_campaign(Campaign.open(sys.argv[1]), lambda: sample_jobs.chain(notes, count, seconds))
print(result.state)
"""


class Recorder:
    """A display that keeps what it is given."""

    def __init__(self) -> None:
        self.seen: list[CampaignStatus] = []
        self.messages: list[str] = []

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, status: CampaignStatus) -> None:
        """Keep a status."""
        self.seen.append(status)

    def message(self, text: str) -> None:
        """Keep a message."""
        self.messages.append(text)


def never() -> Flow:
    """Stand for a flow that must not be built again."""
    raise AssertionError("a resumed campaign must not build its flow again")


def start(campaign: Campaign, notes: Path, count: int, seconds: float) -> subprocess.Popen[str]:
    """Run a chain of sleeping jobs in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, campaign.folder, notes, str(count), str(seconds)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(notes: Path, line: str, process: subprocess.Popen[str]) -> None:
    """Wait until a job has noted a line."""
    deadline = time.monotonic() + 60
    while not (notes.exists() and line in notes.read_text().splitlines()):
        assert process.poll() is None, "the campaign ended too early"
        assert time.monotonic() < deadline, f"{line!r} was never noted"
        time.sleep(0.01)


def processes_of(campaign: Campaign) -> list[psutil.Process]:
    """Return the workers and the server of a campaign."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            owner = process.environ().get(processes.OWNER_VARIABLE)
        except psutil.Error:
            continue
        if owner == str(campaign.folder) or f"{campaign.folder}/database" in line:
            found.append(process)
    return found


def test_run_and_run_again(new_campaign: Callable[..., Campaign], tmp_path: Path) -> None:
    campaign = new_campaign()
    notes = tmp_path / "notes"
    display = Recorder()
    result = run_campaign(campaign, lambda: sample_jobs.chain(str(notes), 4, 0.1), display=display)
    assert (result.state, result.failures) == ("completed", [])
    assert notes.read_text().split("\n")[:-1] == [
        f"{word} s{i}" for i in range(4) for word in ("start", "end")
    ]
    (liquid,) = result.status.stages
    assert (liquid.done, liquid.total, liquid.state) == (4, 4, "completed")
    assert liquid.figures == {"temperature_K": 1480.0, "pressure_kbar": -3.0}
    assert 0.4 < liquid.elapsed < 60
    assert len(display.seen) >= 2
    assert campaign.document.fw_ids == [1, 2, 3, 4]
    assert Campaign.open(campaign.folder).document.workflow_uuid
    # nothing is left running, and no empty folders of jobs
    assert processes_of(campaign) == []
    assert list(campaign.launches.iterdir()) == []
    assert (
        "Rocket finished"
        in (campaign.logs / "worker-1.log").read_text()
        + (campaign.logs / "worker-2.log").read_text()
    )
    assert run_campaign(campaign, never, workers=1).state == "completed"
    assert len(notes.read_text().splitlines()) == 8


def test_kill_and_resume(new_campaign: Callable[..., Campaign], tmp_path: Path) -> None:
    """After kill -9 of the process group, a resumed campaign runs nothing finished again."""
    campaign = new_campaign()
    notes = tmp_path / "notes"
    process = start(campaign, notes, 6, 0.3)
    wait_for(notes, "start s3", process)
    workers = processes_of(campaign)
    assert len(workers) == 3  # two workers and the database server
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    assert not campaign.locked()
    assert len(list(campaign.launches.iterdir())) == 1
    result = run_campaign(campaign, never, workers=1)
    assert result.state == "completed"
    assert list(campaign.launches.iterdir()) == []
    lines = Counter(notes.read_text().splitlines())
    for i in range(6):
        assert lines[f"end s{i}"] == 1
        assert lines[f"start s{i}"] == (2 if i == 3 else 1)


@pytest.mark.slow
def test_interrupt_ends_in_order(new_campaign: Callable[..., Campaign], tmp_path: Path) -> None:
    campaign = new_campaign()
    notes = tmp_path / "notes"
    process = start(campaign, notes, 2, 20.0)
    wait_for(notes, "start s0", process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert (process.returncode, output) == (0, "interrupted\n")
    assert processes_of(campaign) == []
    with campaign.database() as database:
        pad = launchpad(database.uri, campaign.document.database)
        states = {d["name"]: d["state"] for d in pad.fireworks.find({}, {"name": 1, "state": 1})}
        assert sorted(states.values()) == ["READY"] or set(states.values()) == {"READY", "WAITING"}
        assert pad.launches.count_documents({"state": "RUNNING"}) == 0


@pytest.mark.slow
def test_rerun_of_a_spawning_job_computes_nothing_again(
    new_campaign: Callable[..., Campaign], tmp_path: Path
) -> None:
    campaign = new_campaign()
    notes = tmp_path / "notes"
    result = run_campaign(campaign, lambda: Flow([sample_jobs.spawn(str(notes), 2)]), workers=1)
    assert result.state == "completed"
    before = sorted(notes.read_text().splitlines())
    assert before == ["leaf last", "leaf leaf-0", "leaf leaf-1", "spawn"]
    name = campaign.document.database
    with campaign.database() as database:
        launchpad(database.uri, name).rerun_fw(1)
    result = run_campaign(campaign, never, workers=1)
    assert result.state == "completed"
    assert sorted(notes.read_text().splitlines()) == sorted([*before, "spawn"])
    with campaign.database() as database, job_store(database.uri, name) as store:
        assert store.get_output(campaign_job(database, name)) == {"name": "last"}
        assert store.count({"name": "leaf"}) == 3


def campaign_job(database: EmbeddedDatabase, name: str) -> str:
    """Return the uuid of the job of Firework 1."""
    pad = launchpad(database.uri, name)
    firework = pad.fireworks.find_one({"fw_id": 1})
    return str(firework["spec"]["_tasks"][0]["job"]["uuid"])


@pytest.mark.slow
def test_failures_are_retried_and_then_left(
    new_campaign: Callable[..., Campaign], tmp_path: Path
) -> None:
    campaign = new_campaign()
    once, always, left_out = (str(tmp_path / name) for name in ("once", "always", "left"))
    result = run_campaign(
        campaign,
        lambda: Flow(
            [sample_jobs.fail(once, 1), sample_jobs.fail(always, 3), sample_jobs.tolerant(left_out)]
        ),
        workers=1,
    )
    assert result.state == "failed"
    assert {failure.reason for failure in result.failures} == {"ValueError: forces are not finite"}
    assert len(result.failures) == 2
    assert Path(once).read_text().split() == ["fail"] * 2
    assert Path(always).read_text().split() == ["fail"] * 2
    # the job that tolerates a failed parent has run, after both attempts
    assert Path(left_out).read_text().splitlines() == ["fail", "fail", "start last", "end last"]
    # the same command tries the failed one again, and not the one whose child went on
    result = run_campaign(campaign, never, workers=1)
    assert result.state == "completed"
    assert len(result.failures) == 1
    # a completed campaign stays as it is
    assert run_campaign(campaign, never, workers=1).state == "completed"
    assert Path(always).read_text().split() == ["fail"] * 4
    assert len(Path(left_out).read_text().splitlines()) == 4
    assert Path(once).read_text().split() == ["fail"] * 2


@pytest.mark.slow
def test_dying_workers_are_replaced(
    new_campaign: Callable[..., Campaign], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "crash", 1)
    campaign = new_campaign()
    survivor, killer = str(tmp_path / "survivor"), str(tmp_path / "killer")
    display = Recorder()
    result = run_campaign(
        campaign,
        lambda: Flow([sample_jobs.die(survivor, 1), sample_jobs.die(killer, 9)]),
        display=display,
    )
    assert result.state == "failed"
    (failure,) = result.failures
    assert failure.reason.startswith("the worker process was ended by SIGKILL, perhaps for lack")
    assert Path(survivor).read_text().split() == ["die"] * 2
    assert Path(killer).read_text().split() == ["die"] * 2
    assert len(display.messages) == 3
    assert "SIGKILL" in (campaign.logs / "campaign.log").read_text()


@pytest.mark.slow
def test_workers_that_cannot_start(
    new_campaign: Callable[..., Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner.WorkerOptions, "to_line", lambda _: b"{}\n")
    campaign = new_campaign()
    with pytest.raises(CampaignError, match=r"cannot run jobs \(the worker process ended with"):
        run_campaign(campaign, lambda: sample_jobs.chain("unused", 1, 0.0), workers=1)
    assert processes_of(campaign) == []


@pytest.mark.slow
def test_database_server_that_dies_is_started_again(
    new_campaign: Callable[..., Campaign], tmp_path: Path
) -> None:
    campaign = new_campaign()
    notes = tmp_path / "notes"
    process = start(campaign, notes, 3, 0.5)
    try:
        wait_for(notes, "start s1", process)
        server = campaign.database().running()
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert output == "completed\n"
    lines = Counter(notes.read_text().splitlines())
    assert lines["end s0"] == lines["end s2"] == 1


@pytest.mark.slow
def test_full_disk_stops_the_campaign_and_loses_nothing(
    new_campaign: Callable[..., Campaign], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = new_campaign()
    notes = tmp_path / "notes"
    with monkeypatch.context() as patch:
        patch.setattr(runner, "MINIMUM_SPACE", 10**18)
        with pytest.raises(CampaignError, match="nothing is lost"):
            run_campaign(campaign, lambda: sample_jobs.chain(str(notes), 2, 0.0), workers=1)
    assert processes_of(campaign) == []
    assert run_campaign(campaign, never, workers=1).state == "completed"


def test_database_of_others(
    new_campaign: Callable[..., Campaign], server: EmbeddedDatabase
) -> None:
    first = new_campaign()
    name = first.document.database
    create_indexes(server.uri, name)
    pad = launchpad(server.uri, name)
    pad.add_wf(flow_to_workflow(sample_jobs.chain("unused", 1, 0.0)))
    with pytest.raises(CampaignError, match="holds workflows of others"):
        run_campaign(first, never, uri=server.uri)
    pad.db.campaign.insert_one({"_id": "owner", "campaign": "another"})
    with pytest.raises(CampaignError, match="belongs to campaign another"):
        run_campaign(first, never, uri=server.uri)
    assert pad.fireworks.count_documents({}) == 1


def test_a_process_that_was_stopped_soon_looks_again() -> None:
    assert runner._pause(0.01) == runner.POLL_SECONDS
    assert runner._pause(1.0) == 5.0
    assert runner._pause(3600.0) == runner.LONGEST_POLL_SECONDS
