"""The workflow file, by exactly the commands of a FireWorks user."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pymongo
import pytest

from launch.database import EmbeddedDatabase
from tests.integration.conftest import RUN, environment

JOBFLOW = """\
JOB_STORE:
  docs_store: {{type: MongoURIStore, uri: "{uri}", database: test, collection_name: outputs}}
  additional_stores:
    data: {{type: GridFSURIStore, uri: "{uri}", database: test, collection_name: outputs_blobs}}
"""


@pytest.mark.slow
def test_lpad_add_and_rlaunch(
    devitrify: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    written = devitrify("workflow", "Cu", *RUN, "-o", "wf.json", "--campaign", "by-hand")
    assert written.returncode == 0, written.stderr
    assert "by-hand" in written.stdout
    assert len(json.loads((tmp_path / "wf.json").read_text())["fws"]) >= 10

    with EmbeddedDatabase(tmp_path / "server") as server:
        _configure(tmp_path, server.uri)
        _run(tmp_path, "lpad", "reset", "--password", _today())
        added = _run(tmp_path, "lpad", "add", "wf.json")
        assert "Added a workflow" in added
        _run(tmp_path, "rlaunch", "rapidfire", "--nlaunches", "0")
        with pymongo.MongoClient(server.uri) as client:
            states = client.test.fireworks.distinct("state")
            found = client.test.outputs.find_one(
                {"metadata.campaign": "by-hand", "output.@class": "PredictionDocument"}
            )
    assert states == ["COMPLETED"]
    assert found is not None
    assert found["output"]["candidates"][0]["rank"] == 1


def _configure(folder: Path, uri: str) -> None:
    """Write the configuration of FireWorks and jobflow."""
    (folder / "my_launchpad.yaml").write_text(f"host: {uri}\nuri_mode: true\nname: test\n")
    (folder / "jobflow.yaml").write_text(JOBFLOW.format(uri=uri))


def _today() -> str:
    from datetime import datetime

    return datetime.now().strftime("%Y-%m-%d")


def _run(folder: Path, program: str, *arguments: str) -> str:
    """Run lpad or rlaunch with the configuration of a folder."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), "-l", "my_launchpad.yaml", *arguments],
        cwd=folder,
        env={**environment(), "JOBFLOW_CONFIG_FILE": str(folder / "jobflow.yaml")},
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
