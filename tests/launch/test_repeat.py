"""Commands that watch, as they run under cron or nohup: no terminal, ended by a signal."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jobflow.managers.fireworks import flow_to_workflow

from launch.cluster.configuration import Configuration
from launch.cluster.files import ClusterDescription, write_files
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from tests.launch.test_overview import campaign

pytestmark = pytest.mark.slow
numbers = itertools.count()


class Watching:
    """A command that goes on, and what it has printed."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.output, self.errors = folder / "output", folder / "errors"
        root = str(Path(__file__).parents[2])
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "launch.cli", *command, "--watch", "--interval", "1",
                 "--config", str(folder)],
                env={**os.environ, "PYTHONPATH": root, "PATH": str(Path(sys.executable).parent)},
                stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
            )  # fmt: skip

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds; the command must not end."""
        deadline = time.monotonic() + 90
        while not condition():
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.1)

    def end(self, number: signal.Signals) -> None:
        """Tell it to end, which it does without complaint."""
        self.process.send_signal(number)
        assert self.process.wait(30) == 128 + number
        assert "Traceback" not in self.errors.read_text()


@pytest.fixture
def folder(tmp_path: Path, server: EmbeddedDatabase) -> Path:
    """A configuration with a database of its own."""
    name = f"watch_{next(numbers)}"
    create_indexes(server.uri, name)
    write_files(
        tmp_path / "config", ClusterDescription("local", server.uri, database=name).files(tmp_path)
    )
    return tmp_path / "config"


@pytest.fixture
def watch(folder: Path) -> Iterator[Callable[..., Watching]]:
    """Start commands that end with the test."""
    started: list[Watching] = []

    def start(*command: str) -> Watching:
        started.append(Watching(folder, *command))
        return started[-1]

    yield start
    for watching in started:
        watching.process.kill()
        watching.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_status_shows_what_has_changed(
    watch: Callable[..., Watching], folder: Path, number: signal.Signals
) -> None:
    watching = watch("status")
    watching.wait(lambda: watching.output.read_text().count("campaign") >= 2)
    assert "MgO-new" not in watching.output.read_text()
    pad = Configuration(folder).launchpad()
    pad.add_wf(flow_to_workflow(campaign("MgO-new")))
    pad.connection.close()
    watching.wait(lambda: watching.output.read_text().count("MgO-new") >= 2)
    assert "\x1b" not in watching.output.read_text()  # no terminal, no colours
    watching.end(number)


def test_a_database_that_comes_back(watch: Callable[..., Watching], folder: Path) -> None:
    """The command says that it is away, and goes on."""
    path = folder / "my_launchpad.yaml"
    sound = path.read_text()
    path.write_text(sound.replace("127.0.0.1", "127.0.0.2").replace("60000", "200"))
    watching = watch("status")
    watching.wait(lambda: watching.errors.read_text().count("does not answer") >= 2)
    path.write_text(sound)
    watching.wait(lambda: "campaign" in watching.output.read_text())
    watching.end(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_reconcile_goes_on_while_slurm_is_away(
    watch: Callable[..., Watching], number: signal.Signals
) -> None:
    """On the cluster it is tested with SLURM."""
    watching = watch("reconcile")
    watching.wait(lambda: watching.errors.read_text().count("squeue is not on the PATH") >= 3)
    watching.end(number)
