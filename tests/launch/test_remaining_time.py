"""The rest of a batch job goes to Fireworks that fit, and to no others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from fireworks import FWorker, LaunchPad
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.cluster.configuration import Configuration
from launch.cluster.files import ClusterDescription, write_files
from launch.cluster.remaining_time import Kind, RemainingTime
from launch.cluster.rocket import JobWorker
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from tests.launch.sample_jobs import leaf
from workflows.jobs.tags import tag
from workflows.stages.table import STAGES

numbers = itertools.count()
DFT = FWorker(name="here-dft", category="dft")


@pytest.fixture
def pad(server: EmbeddedDatabase) -> Iterator[LaunchPad]:
    """A launchpad with three Fireworks of the engine and one of the potential, all ready."""
    name = f"remaining_{next(numbers)}"
    create_indexes(server.uri, name)
    pad = launchpad(server.uri, name)
    asked = {"short": ("00:10:00", 1), "long": ("12:00:00", 1), "wide": ("00:10:00", 4)}
    jobs = []
    for title, (walltime, nodes) in asked.items():
        work = tag(leaf("unused", title), STAGES["liquid"], "dft")
        work.name = title
        wanted = {"walltime": walltime, "nodes": nodes}
        work.config.manager_config["_queueadapter"] = wanted
        jobs.append(work)
    pad.add_wf(flow_to_workflow(Flow([*jobs, tag(leaf("unused", "other"), STAGES["train"])])))
    yield pad
    pad.connection.close()


def taken(pad: LaunchPad, remaining: RemainingTime, seconds: float) -> list[str]:
    """Return the names of all that a job takes, in any order."""
    names = []
    while (worker := remaining.worker(pad, DFT, seconds)) is not None:
        firework, _ = pad.checkout_fw(JobWorker(worker, "12"), "/launches")
        names.append(firework.name)
    return sorted(names)


@pytest.mark.parametrize(
    ("nodes", "seconds", "names"),
    [
        (1, 599, []),
        (1, 601, ["short"]),
        (4, 601, ["short", "wide"]),
        (4, 43201, ["long", "short", "wide"]),
        (3, 43201, ["long", "short"]),
    ],
)
def test_only_what_fits_is_taken(
    pad: LaunchPad, nodes: int, seconds: float, names: list[str]
) -> None:
    assert taken(pad, RemainingTime(nodes), seconds) == names
    launch = pad.launches.find_one({})
    # the query is not carried along by every launch
    assert launch is None or launch["fworker"] == {
        "name": "here-dft", "category": "dft", "query": "{}", "env": {"SLURM_JOB_ID": "12"}
    }  # fmt: skip


def test_a_stage_that_was_seen_to_be_shorter_than_it_asks_for(pad: LaunchPad) -> None:
    """Ten minutes of a twelve-hour allowance: more of them fit into the rest."""
    remaining = RemainingTime(1)
    long = next(work for work in map(pad.get_fw_by_id, range(1, 5)) if work.name == "long")
    remaining.note(long, 600.0)
    remaining.note(long, 300.0)
    assert not remaining.fits(Kind.of(long), 899.0)
    assert remaining.fits(Kind.of(long), 901.0)
    assert not remaining.fits(Kind("quench", 1, "12:00:00"), 901.0)
    assert not remaining.fits(Kind("liquid", 2, "12:00:00"), 43201.0)
    assert taken(pad, remaining, 901.0) == ["long", "short"]


def test_what_fireworks_ask_for_that_do_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = ClusterDescription(
        "cpu",
        "mongodb://127.0.0.1:1",
        partitions={"dft": "p", "nnp": "p"},
        nodes=2,
        walltimes={"dft": "02:00:00"},
    )
    write_files(tmp_path, cluster.files(tmp_path))
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    remaining = RemainingTime.of_job(Configuration(tmp_path), "dft")
    silent = Kind(None, None, None)
    assert remaining.fits(silent, 7201.0)
    assert not remaining.fits(silent, 7199.0)
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "1")
    assert not RemainingTime.of_job(Configuration(tmp_path), "dft").fits(silent, 7201.0)
    assert not remaining.fits(Kind(None, 1, "two hours"), 1e9)
    (tmp_path / "dft" / "my_qadapter.yaml").unlink()
    assert not RemainingTime.of_job(Configuration(tmp_path), "dft").fits(silent, 1e9)
