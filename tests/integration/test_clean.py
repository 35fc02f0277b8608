"""A campaign goes on after ``devitrify clean``, and comes to what it would have come to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from gridfs import GridFSBucket

from launch.database.connections import OUTPUTS, launchpad
from launch.local.campaign import Campaign
from tests.integration.kills import fireworks
from tests.integration.test_travel import completed
from tests.launch.archives import UNFINISHED

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def litter(folder: Path) -> tuple[Path, int]:
    """
    Leave behind what killed launches of a finished job leave: a checkpoint, and a blob.

    Returns
    -------
    tuple of Path and int
        The checkpoint, and how many blobs there were before.
    """
    campaign = Campaign.open(folder)
    campaign.launches.mkdir(exist_ok=True)
    with campaign.database() as server:
        pad = launchpad(server.uri, campaign.document.database)
        job = pad.db[OUTPUTS].find_one({"metadata.stage": "liquid"}, {"uuid": 1, "index": 1})
        number = pad.db[f"{OUTPUTS}_blobs.files"].count_documents({})
        metadata = {"job_uuid": job["uuid"], "job_index": job["index"], "blob_uuid": "of nobody"}
        bucket = GridFSBucket(pad.db, f"{OUTPUTS}_blobs")
        bucket.upload_from_stream("blob", b"half of a trajectory", metadata=metadata)
        pad.connection.close()
    checkpoint = campaign.launches / f"{job['uuid']}-{job['index']}.checkpoint"
    checkpoint.write_bytes(b"a step of dynamics")
    return checkpoint, number


def blobs(folder: Path) -> int:
    """Number of blobs in a campaign's database."""
    campaign = Campaign.open(folder)
    with campaign.database() as server:
        pad = launchpad(server.uri, campaign.document.database)
        number: int = pad.db[f"{OUTPUTS}_blobs.files"].count_documents({})
        pad.connection.close()
    return number


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_campaign_resumes_after_clean(devitrify: Command, tmp_path: Path) -> None:
    """It was killed when its training began; what its finished jobs have stored is all needed."""

    def type_(*words: str) -> str:
        done = devitrify(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    folder = tmp_path / "copper"
    told = type_("import", str(UNFINISHED), "copper")
    (command,) = [line for line in told.splitlines() if line.startswith("Go on with")]
    again = command.partition("devitrify ")[2].split()
    checkpoint, number = litter(folder)
    before = completed(fireworks(folder))
    assert len(before) == 27
    told = type_("clean", "copper", "--yes")
    assert "checkpoints: 1" in told
    assert "blobs of no document: 1" in told
    assert not checkpoint.exists()
    assert blobs(folder) == number
    assert "nothing to free" in type_("clean", "copper", "--yes")

    type_(*again)
    works = fireworks(folder)
    assert {work["state"] for work in works} == {"COMPLETED"}
    assert completed(works).items() >= before.items()  # no finished job ran again
    best = json.loads((folder / "summary.json").read_text())["candidates"][0]
    # the number of the same campaign where nothing was taken away
    assert best["energy"] == pytest.approx(0.02563932680710934, abs=1e-6)

    # a complete one has launch folders besides, and its results stay whatever is taken
    results = type_("results", "copper", "--format", "json")
    type_("clean", "copper", "--yes")
    assert type_("results", "copper", "--format", "json") == results
    type_(*again)
    assert completed(fireworks(folder)) == completed(works)
    assert json.loads((folder / "summary.json").read_text())["candidates"][0] == best
