"""
One worker process of a campaign: runs ready Fireworks until its parent tells it to stop.

Started by :mod:`launch.local.runner` as ``python -m launch.local.worker``. Its first line of
standard input is a JSON object with its options; ``stop`` asks it to end after the current
Firework, and the end of standard input means that the parent is gone, upon which it ends at once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from launch.parent_process import die_with_parent

if TYPE_CHECKING:
    from fireworks import FWorker, LaunchPad

IDLE_SECONDS = (0.2, 1.0)  # first and longest wait when nothing is ready
STOP_LINE = "stop"


@dataclass(frozen=True)
class WorkerOptions:
    """
    What a worker is told by its parent.

    Attributes
    ----------
    name : str
        Name in the launchpad; unique among all processes of the campaign.
    parent : int
        Process id of the parent.
    uri, database : str
        Where the launchpad and the job store are.
    launches : str
        Folder in which jobs get a folder each.
    retries : int
        How often a failed Firework runs again.
    since : str
        Start of the campaign's run (ISO 8601): older failures do not count.
    """

    name: str
    parent: int
    uri: str
    database: str
    launches: str
    retries: int
    since: str

    def to_line(self) -> bytes:
        """Return the options as one line for the worker's standard input."""
        return (json.dumps(asdict(self)) + "\n").encode()


class Worker:
    """
    The loop of a worker process.

    Parameters
    ----------
    options : WorkerOptions
        What the parent asks for.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self.options = options
        self.stopping = threading.Event()

    def run(self) -> None:
        """Run ready Fireworks, one after the other, until told to stop."""
        from fireworks import FWorker
        from jobflow import SETTINGS

        from launch.database.connections import job_store, launchpad

        SETTINGS.JOB_STORE = job_store(self.options.uri, self.options.database)
        pad = launchpad(self.options.uri, self.options.database, log_level="INFO")
        fworker = FWorker(name=self.options.name)
        shortest, longest = IDLE_SECONDS
        pause = shortest
        while not self.stopping.is_set():
            if pad.run_exists(fworker):
                self.launch(pad, fworker)
                pause = shortest
            else:
                # The database needs the cores too: do not ask it five times a second for hours.
                self.stopping.wait(pause)
                pause = min(1.5 * pause, longest)

    def launch(self, pad: LaunchPad, fworker: FWorker) -> None:
        """Run one Firework in a folder of its own; the folder is removed if it stays empty."""
        from fireworks.core.rocket_launcher import launch_rocket

        from workflows.jobs.checkpoints import remove_checkpoints

        launches = Path(self.options.launches)
        folder = launches / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{os.getpid()}"
        folder.mkdir(parents=True)
        os.chdir(folder)
        try:
            ran = launch_rocket(pad, fworker, strm_lvl="INFO")
        finally:
            os.chdir(launches)
            remove_checkpoints()
            with suppress(OSError):
                folder.rmdir()
        if ran:
            self.retry_last(pad)

    def retry_last(self, pad: LaunchPad) -> None:
        """Make the Firework just run READY again if it failed and may be retried."""
        from launch.database.retries import Allowance, retry_launch

        last = pad.launches.find_one(
            {"fworker.name": self.options.name},
            {"fw_id": 1, "launch_id": 1},
            sort=[("launch_id", -1)],
        )
        if last is None:
            return
        allowance = Allowance(errors=self.options.retries)
        retry_launch(pad, last["fw_id"], last["launch_id"], allowance, self.options.since)

    def listen(self, stream: IO[str]) -> None:
        """Wait for the parent's word, or for its end."""
        for line in stream:
            if line.strip() == STOP_LINE:
                self.stopping.set()
        os._exit(1)


def main() -> None:
    """Run a worker as a process of its own."""
    # Programs that jobs start must not read the parent's words.
    stream = os.fdopen(os.dup(0), "r")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    options = WorkerOptions(**json.loads(stream.readline()))
    die_with_parent(options.parent)
    worker = Worker(options)
    threading.Thread(target=worker.listen, args=(stream,), daemon=True).start()
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} worker {options.name} starts", flush=True)
    worker.run()
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} worker {options.name} ends", flush=True)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
