"""A launchpad, a job store and the commands of FireWorks, as a user has them in one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pymongo
from jobflow import JobStore
from monty.json import MontyDecoder

from launch import parent_process
from launch.database.connections import job_store
from launch.database.embedded import EmbeddedDatabase

DATABASE = "test"

_JOBFLOW = """\
JOB_STORE:
  docs_store: {{type: MongoURIStore, uri: "{uri}", database: {name}, collection_name: outputs}}
  additional_stores:
    data: {{type: GridFSURIStore, uri: "{uri}", database: {name}, collection_name: outputs_blobs}}
"""


class LaunchpadFolder:
    """
    A folder in which ``lpad`` and ``rlaunch`` work, with a database of its own.

    Parameters
    ----------
    folder : Path
        Made if missing; launches get their folders in ``launches``.

    Attributes
    ----------
    variables : dict
        Further environment variables of the commands; none: taken away.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launches = folder / "launches"
        self.launches.mkdir(parents=True, exist_ok=True)
        self.database = EmbeddedDatabase(folder / "server")
        self.variables: dict[str, str | None] = {}

    def __enter__(self) -> Self:
        uri = self.database.start()
        text = f"host: {uri}\nuri_mode: true\nname: {DATABASE}\n"
        (self.folder / "my_launchpad.yaml").write_text(text)
        (self.folder / "jobflow.yaml").write_text(_JOBFLOW.format(uri=uri, name=DATABASE))
        return self

    def __exit__(self, *_: object) -> None:
        self.database.stop()

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which the packages of this checkout and the job store are found."""
        known = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "OMP_NUM_THREADS": "1",
            "JOBFLOW_CONFIG_FILE": str(self.folder / "jobflow.yaml"),
            **self.variables,
        }
        return {name: value for name, value in known.items() if value is not None}

    def reset(self) -> None:
        """Empty the launchpad."""
        self.type("lpad", "reset", *_sure())

    def rerun_failed(self) -> None:
        """Make what is FIZZLED READY again."""
        self.type("lpad", "rerun_fws", "-s", "FIZZLED", *_sure())

    def type(self, program: str, *arguments: str, timeout: float | None = 400) -> str:
        """Run a command of FireWorks to its end; what it printed."""
        with self.started(program, *arguments) as process:
            printed, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, printed
        return str(printed)

    @contextmanager
    def started(
        self, program: str, *arguments: str, log: Path | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command of FireWorks; it ends with the block, and with this process."""
        bound = [
            sys.executable,
            parent_process.__file__,
            str(os.getpid()),
            str(int(signal.SIGKILL)),
        ]
        command = [str(Path(sys.executable).with_name(program)), "-l",
                   str(self.folder / "my_launchpad.yaml"), *arguments]  # fmt: skip
        with open(log or os.devnull, "a") as file:  # noqa: PTH123 (the null device is no path)
            process = subprocess.Popen(
                [*bound, *command], cwd=self.launches, env=self.environment, text=True,
                stdout=file if log else subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def store(self) -> JobStore:
        """The job store, connected."""
        store = job_store(self.database.uri, DATABASE)
        store.connect()
        return store

    def output(self, uuid: str) -> Any:
        """Last output of a job, blobs included."""
        return MontyDecoder().process_decoded(self.store().get_output(uuid, load=True))

    def find(self, collection: str, *query: Any) -> list[dict[str, Any]]:
        """Documents of a collection."""
        with pymongo.MongoClient(self.database.uri) as client:
            return list(client[DATABASE][collection].find(*query))

    def fireworks(self) -> list[dict[str, Any]]:
        """All Fireworks, without what they do."""
        return self.find("fireworks", {}, {"spec._tasks": 0})


def _sure() -> list[str]:
    """What lpad wants to hear before it changes much."""
    return ["--password", datetime.now().strftime("%Y-%m-%d")]
