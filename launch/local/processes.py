"""The worker processes of a campaign, as their parent sees them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from launch.local.worker import STOP_LINE, WorkerOptions
from launch.own_files import FOLDER_MODE, open_own
from launch.shell import program_environment
from workflows.jobs.cores import usable_cores
from workflows.jobs.site import CONFIG_VARIABLE

STOP_SECONDS = 5.0
OWNER_VARIABLE = "DEVITRIFY_CAMPAIGN_FOLDER"
THREAD_VARIABLES = tuple(
    f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")
)


class WorkerProcess:
    """A worker process and what is known about its end."""

    def __init__(self, options: WorkerOptions, log: Path, environment: dict[str, str]) -> None:
        self.options = options
        self.log = log
        Path(options.launches).mkdir(exist_ok=True, mode=FOLDER_MODE)
        with open_own(log, "ab") as output:
            self.process = subprocess.Popen(
                # -P: a module in the folder of the launches must not take the place of ours
                [sys.executable, "-P", "-m", "launch.local.worker"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=options.launches,
                env=environment,
                # Ctrl-C reaches the parent only, which ends its workers in order.
                start_new_session=True,
            )
        self.say(options.to_line())

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    def say(self, line: bytes) -> None:
        """Write to the worker's standard input; a dead worker does not mind."""
        with suppress(OSError):
            self._stdin.write(line)
            self._stdin.flush()

    def exit_code(self) -> int | None:
        """Return the exit code of a worker that ended, or None."""
        return self.process.poll()

    def reason(self) -> str:
        """Say how the process ended."""
        code = self.process.returncode
        if code is None or code >= 0:
            return f"the worker process ended with exit code {code}"
        if code == -signal.SIGKILL:
            return "the worker process was ended by SIGKILL, perhaps for lack of memory"
        with suppress(ValueError):
            return f"the worker process was ended by {signal.Signals(-code).name}"
        return f"the worker process was ended by signal {-code}"

    def kill(self) -> None:
        """End the worker and the programs that its job started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Wait for the end of the process."""
        self.process.wait()
        with suppress(OSError):
            self._stdin.close()


def worker_environment(folder: Path, workers: int) -> dict[str, str]:
    """Return the environment of a worker: its share of the cores, and where this code is."""
    threads = str(max(1, usable_cores() // workers))
    root = str(Path(__file__).resolve().parents[2])
    own = program_environment()
    return {
        **own,
        **dict.fromkeys(THREAD_VARIABLES, threads),
        OWNER_VARIABLE: str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, (root, own["PYTHONPATH"]))),
        "PYTHONUNBUFFERED": "1",
        # A file of the user's would replace the campaign's own store.
        "JOBFLOW_CONFIG_FILE": str(folder / "no-jobflow.yaml"),
        # Nor is this a cluster: checkpoints stay in the campaign's folder.
        CONFIG_VARIABLE: "",
    }


def end_orphans(folder: Path) -> list[int]:
    """
    End processes that a killed run of this campaign has left, and return their ids.

    Workers die with their parent; programs that their jobs started may not.
    """
    ended = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(OWNER_VARIABLE) == str(folder) and process.pid != os.getpid():
                process.kill()
                ended.append(process.pid)
    return ended


def remove_empty_folders(folder: Path) -> None:
    """Remove the empty folders that killed jobs have left in a folder."""
    for path in folder.glob("*/"):
        with suppress(OSError):
            path.rmdir()


def stop_workers(workers: Sequence[WorkerProcess], *, at_once: bool) -> None:
    """End the workers; what they run after the grace period is lost and runs again."""
    if not at_once:
        for worker in workers:
            worker.say(f"{STOP_LINE}\n".encode())
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and any(w.exit_code() is None for w in workers):
            time.sleep(0.05)
    for worker in workers:
        if worker.exit_code() is None:
            worker.kill()
        worker.close()
