"""The workflow file, by exactly the commands of a FireWorks user."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import RUN, SHORT
from tests.integration.launchpad import LaunchpadFolder


@pytest.mark.slow
def test_lpad_add_and_rlaunch(
    devitrify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    written = devitrify("workflow", "Cu", *RUN, *SHORT, "-o", "wf.json", "--campaign", "by-hand")
    assert written.returncode == 0, written.stderr
    assert "by-hand" in written.stdout
    assert len(json.loads((tmp_path / "wf.json").read_text())["fws"]) >= 10

    with LaunchpadFolder(tmp_path / "launchpad") as launchpad:
        launchpad.reset()
        added = launchpad.type("lpad", "add", str(tmp_path / "wf.json"))
        assert "Added a workflow" in added
        launchpad.type("rlaunch", "rapidfire", "--nlaunches", "0")
        states = {firework["state"] for firework in launchpad.fireworks()}
        (found,) = launchpad.find(
            "outputs", {"metadata.campaign": "by-hand", "output.@class": "PredictionDocument"}
        )
    assert states == {"COMPLETED"}
    assert found["output"]["candidates"][0]["rank"] == 1
