"""The command as a user types it, and what it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launch.local.campaign import Campaign
from launch.local.processes import end_orphans

SETTINGS = Path(__file__).with_name("small.yaml")
DEVITRIFY = [sys.executable, "-m", "launch.cli"]
RUN = ["--engine", "emt", "--config", str(SETTINGS), "--z", "1,2", "--seed", "1"]
#: All stages with as few jobs as they can have, for tests of what runs them.
SHORT = [
    word
    for setting in (
        *("replicas=1", "pack.n_atoms=8", "melting_temperature.duration=0.4"),
        *("liquid.duration=0.5", "train.options.max_epochs=20", "search.islands=1"),
        *("search.evolution.generations=2", "search.evolution.population=4"),
        "candidates.n_candidates=1",
    )
    for word in ("--set", setting)
]


def environment() -> dict[str, str]:
    """Environment in which the packages of this checkout are found, one thread a process."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "COLUMNS": "110"}


@pytest.fixture
def devitrify(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run the command in the test's folder; whatever it leaves behind ends with the test."""

    def run(*arguments: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*DEVITRIFY, *arguments], cwd=tmp_path, env=environment(), timeout=timeout,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    yield run
    stop_campaigns(tmp_path)


def stop_campaigns(folder: Path) -> None:
    """End the processes of all campaigns in a folder."""
    for file in folder.glob("*/campaign.json"):
        end_orphans(file.parent)
        Campaign.open(file.parent).database().stop()
