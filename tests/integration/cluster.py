"""A cluster as its user sees it: SLURM, a database, a configuration, and commands to type."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow

from launch.cluster.configuration import Configuration
from launch.database.embedded import EmbeddedDatabase
from tests.integration.conftest import environment
from tests.integration.proxy import Proxy
from tests.integration.slurm import Slurm

BIN = Path(sys.executable).parent
QUEUES = {"dft": "knl", "nnp": "normal"}  # and their partitions


class Cluster:
    """
    What a user of a cluster has before the eyes.

    Parameters
    ----------
    folder : Path
        Holds everything; the configuration is where commands are typed.
    slurm : Slurm
        Running.
    proxy : Proxy
        The way to the database.
    """

    def __init__(self, folder: Path, slurm: Slurm, proxy: Proxy) -> None:
        self.folder = folder
        self.slurm = slurm
        self.proxy = proxy
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.launchers: list[subprocess.Popen[bytes]] = []

    @property
    def uri(self) -> str:
        """Of the database, with its password."""
        return self.proxy.uri

    @property
    def environment(self) -> dict[str, str]:
        """Of the user's shell, after ``. env.sh``."""
        named = {
            "DEVITRIFY_CONFIG": self.home,
            "FW_CONFIG_FILE": self.home / "FW_config.yaml",
            "JOBFLOW_CONFIG_FILE": self.home / "jobflow.yaml",
            "ATOMATE2_CONFIG_FILE": self.home / "atomate2.yaml",
        }
        named_text = {name: str(path) for name, path in named.items()}
        return {**environment(), **self.slurm.environment, **named_text, "HOME": str(self.folder)}

    def devitrify(self, *arguments: str) -> str:
        """Type a devitrify command."""
        return self.type(sys.executable, "-m", "launch.cli", *arguments)

    @contextmanager
    def watching(self, command: str) -> Iterator[Path]:
        """Type a devitrify command that goes on, and end it as cron or nohup would; its output."""
        output = self.folder / f"{command}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "launch.cli", command, "--watch", "--interval", "1"],
                cwd=self.home, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )  # fmt: skip
        try:
            yield output
            assert process.poll() is None, output.read_text()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM
            assert "Traceback" not in output.read_text()
        finally:
            process.kill()
            process.wait()

    def type(self, *command: str) -> str:
        """Type any command; return what it prints."""
        done = subprocess.run(
            command, cwd=self.home, env=self.environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def initialise(self, *options: str) -> None:
        """Write the configuration by devitrify init, and make it impatient."""
        self.devitrify(
            "init", "--site", "cpu", "--cores", "4", "--partition", QUEUES["dft"],
            "--nnp-partition", QUEUES["nnp"], "--walltime", "00:10:00",
            "--nnp-walltime", "00:10:00", "--signal-seconds", "30", "--db", self.uri,
            "--folder", ".", *options,
        )  # fmt: skip
        limits = self.home / "FW_config.yaml"
        before = "WFLOCK_EXPIRATION_SECS: 300"
        assert before in limits.read_text()
        limits.write_text(limits.read_text().replace(before, "WFLOCK_EXPIRATION_SECS: 30"))
        for queue in QUEUES:  # small jobs share the nodes
            path = self.home / queue / "my_qadapter.yaml"
            path.write_text(path.read_text().replace("exclusive: exclusive\n", ""))

    @property
    def configuration(self) -> Configuration:
        """The configuration, as programs read it."""
        return Configuration(self.home)

    def add(self, flow: Flow) -> None:
        """Add a flow of test jobs by lpad."""
        flow_to_workflow(flow).to_file(str(self.home / "flow.json"))
        self.type(str(BIN / "lpad"), "add", "flow.json")

    def qlaunch(self, queue: str) -> None:
        """Type qlaunch for a queue and leave it running."""
        # repeated: it gives up when another process has taken the work that it saw
        command = [str(BIN / "qlaunch"), "-c", queue, "-r", "-d", "2", "rapidfire", "-m", "4",
                   "--sleep", "2"]  # fmt: skip
        with (self.folder / f"qlaunch-{queue}.log").open("ab") as log:
            self.launchers.append(
                subprocess.Popen(
                    command, cwd=self.home, env=self.environment, stdout=log, stderr=log,
                    start_new_session=True,
                )
            )  # fmt: skip

    def fireworks(self) -> list[dict[str, Any]]:
        """Return all Fireworks, without what they do."""
        with pymongo.MongoClient(self.proxy.database.uri) as client:
            hidden = {"spec._tasks.job.function_args": 0, "spec._tasks.job.function_kwargs": 0}
            return list(client.devitrify.fireworks.find({}, hidden))

    def launches(self) -> list[dict[str, Any]]:
        """Return all launches."""
        with pymongo.MongoClient(self.proxy.database.uri) as client:
            return list(client.devitrify.launches.find({}))

    def launches_of(self, campaign: str) -> list[dict[str, Any]]:
        """Return the launches of a campaign's Fireworks."""
        with pymongo.MongoClient(self.proxy.database.uri) as client:
            found = client.devitrify.fireworks.find({"spec.campaign": campaign}, {"fw_id": 1})
            members = {"fw_id": {"$in": [firework["fw_id"] for firework in found]}}
            return list(client.devitrify.launches.find(members))

    def states(self, campaign: str) -> set[str]:
        """Return the states of a campaign's Fireworks."""
        with pymongo.MongoClient(self.proxy.database.uri) as client:
            return set(client.devitrify.fireworks.distinct("state", {"spec.campaign": campaign}))

    def wait(
        self, condition: Callable[[], object], seconds: float, meanwhile: Callable[[], object] = str
    ) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(self.describe())
            meanwhile()
            time.sleep(0.5)

    def wait_until_completed(
        self, campaign: str, seconds: float, meanwhile: Callable[[], object] = str
    ) -> None:
        """Wait for the end of a campaign's Fireworks; none may fail."""
        ended = ({"COMPLETED"}, {"COMPLETED", "FIZZLED"}, {"FIZZLED", "WAITING"})
        self.wait(lambda: self.states(campaign) in ended, seconds, meanwhile)
        assert self.states(campaign) == {"COMPLETED"}, self.describe()

    def describe(self) -> str:
        """Say how things stand, for a test that fails."""
        unfinished = [f for f in self.fireworks() if f["state"] != "COMPLETED"]
        lines = [f"{f['fw_id']} {f['name']}: {f['state']}" for f in unfinished]
        lines += [f"SLURM job {job}: {state}" for job, state in self.slurm.jobs().items()]
        files = [*self.home.rglob("*.out"), *self.home.rglob("*.err")]
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[-20:]:
            lines.append(f"--- {path}\n{path.read_text()[-1500:]}")
        lines += [p.read_text()[-1500:] for p in self.folder.glob("qlaunch-*.log")]
        return "\n".join(lines)

    def stop(self) -> None:
        """End the commands that were left running."""
        for process in self.launchers:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def open_cluster(folder: Path, *options: str) -> Iterator[Cluster]:
    """Start a cluster with its database, configured by devitrify init; stop it all at the end."""
    with (
        Slurm(folder / "slurm") as slurm,
        EmbeddedDatabase(folder / "database") as database,
        Proxy(database) as proxy,
    ):
        cluster = Cluster(folder, slurm, proxy)
        try:
            cluster.initialise(*options)
            cluster.type(sys.executable, "-m", "launch.cli", "doctor", "--prepare")
            yield cluster
        finally:
            cluster.stop()
