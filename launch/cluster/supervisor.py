"""
The first process of a SLURM job: starts the rocket and puts right what it leaves behind.

Written into the batch script by ``devitrify init`` as ``python -P -m launch.cluster.supervisor
FOLDER singleshot``; ``qlaunch -r`` adds ``--fw_id N``. Whatever ends the rocket (the time limit,
scancel, lack of memory, a database that is gone), its Firework does not stay RUNNING: it becomes
READY again and goes on from its last checkpoint in the next job. What kills this process too is
found by ``devitrify reconcile``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from launch.cluster.configuration import Configuration
from launch.cluster.rocket import TOLD_TO_END
from launch.cluster.slurm import ask
from launch.errors import CampaignError

MARGIN_SECONDS = 60.0  # for the bookkeeping after the last Firework of a job
DATABASE_SECONDS = 900.0  # a database that is gone is waited for


class Supervisor:
    """
    One SLURM job.

    Parameters
    ----------
    folder : Path
        Of the queue, in the configuration folder.
    fw_id : int or None
        The Firework that the job was submitted for.
    job : str
        SLURM's number of this job.
    """

    def __init__(self, folder: Path, fw_id: int | None, job: str) -> None:
        self.folder = folder
        self.fw_id = fw_id
        self.job = job
        self.told: str | None = None
        self.rocket: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Run the job to its end; return the exit code of the batch script."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self.remember)
        if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
            self.release_held("node", "SLURM started the job anew")
        code = self.run_rocket()
        if self.told == "time":
            kind, reason = "time", "the job's time was over"
        elif self.told == "cancelled":
            kind, reason = "cancelled", "the job was cancelled"
        elif code < 0:
            kind, reason = "crash", f"the job was ended by {signal.Signals(-code).name}"
        else:
            kind, reason = "database", f"the job's process ended with exit code {code}"
        self.release_held(kind, reason)
        return 0 if code in (0, TOLD_TO_END) else 1

    def run_rocket(self) -> int:
        """Start the rocket, wait for it, and end whatever it has started."""
        command = [sys.executable, "-P", "-m", "launch.cluster.rocket", str(self.folder)]
        if self.fw_id is not None:
            command += ["--fw_id", str(self.fw_id)]
        finish = end_of_job(self.job)
        if finish is not None:
            command += ["--finish", str(finish - MARGIN_SECONDS)]
        self.rocket = subprocess.Popen(command, start_new_session=True)
        if self.told:  # while it was being started
            self.forward()
        # what releasing needs, now: at the end there may be little time
        importlib.import_module("launch.database.launchpad")
        code = self.rocket.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.rocket.pid, signal.SIGKILL)
        return code

    def remember(self, number: int, _: Any) -> None:
        """Remember why the job ends; SLURM signals USR1 when its time is nearly over."""
        self.told = self.told or ("time" if number == signal.SIGUSR1 else "cancelled")
        self.forward(number)

    def forward(self, number: int = signal.SIGTERM) -> None:
        """Signal the rocket: USR1 if only the time is nearly over, else TERM."""
        if self.rocket is not None and self.rocket.poll() is None:
            late = number == signal.SIGUSR1
            self.rocket.send_signal(signal.SIGUSR1 if late else signal.SIGTERM)

    def release_held(self, kind: str, reason: str) -> None:
        """Give back what the rocket still held, and try failed Fireworks again."""
        persist(lambda: self._release_held(kind, reason))

    def _release_held(self, kind: str, reason: str) -> None:
        from launch.database.release import guarded, launches_of, release, retry_guarded
        from launch.database.states import HELD

        configuration = Configuration.find(self.folder.parent)
        pad = configuration.launchpad()
        # another cluster may have a job of the same number
        worker = configuration.worker(self.folder.name).name
        mine = {**launches_of(self.job), "fworker.name": worker}
        held = pad.launches.find({**mine, "state": {"$in": HELD}}, {"launch_id": 1, "fw_id": 1})
        for launch in list(held):
            fw_id = launch["fw_id"]
            state = guarded(fw_id, partial(release, pad, launch["launch_id"], kind, reason))
            if state is not None:
                print(f"Firework {launch['fw_id']}: {reason}; it is {state} now", flush=True)
        failed = pad.launches.find({**mine, "state": "FIZZLED"}, {"launch_id": 1, "fw_id": 1})
        for launch in list(failed):
            retry_guarded(pad, launch["fw_id"], launch["launch_id"])
        pad.connection.close()


def persist(action: Callable[[], None], seconds: float = DATABASE_SECONDS) -> None:
    """Do something with the database, again and again while it is not there."""
    from pymongo.errors import PyMongoError

    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except PyMongoError as error:
            if time.monotonic() > deadline:
                raise
            print(f"the database does not answer ({type(error).__name__})", flush=True)
            time.sleep(5.0)


def end_of_job(job: str) -> float | None:
    """When SLURM ends a job (seconds since the epoch); none where it does not say."""
    command = ["squeue", "--noheader", "--all", "--job", job, "--format", "%L"]
    try:
        return time.time() + seconds_left(ask(*command).strip())
    except (CampaignError, ValueError):
        return None


def seconds_left(text: str) -> int:
    """
    Seconds of a time as squeue prints it.

    Examples
    --------
    >>> seconds_left("1-02:00:30"), seconds_left("4:05")
    (93630, 245)
    """
    days, _, clock = text.rpartition("-")
    seconds = 0
    for part in clock.split(":"):
        seconds = 60 * seconds + int(part)
    return 86400 * int(days or 0) + seconds


def main() -> int:
    """Run inside a SLURM job."""
    parser = argparse.ArgumentParser(prog="launch.cluster.supervisor")
    parser.add_argument("folder", type=Path)
    parser.add_argument("mode", choices=["singleshot"])
    parser.add_argument("--fw_id", type=int)
    arguments = parser.parse_args()
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        print(
            "launch.cluster.supervisor runs inside SLURM jobs; elsewhere use rlaunch.",
            file=sys.stderr,
        )
        return 2
    return Supervisor(arguments.folder.absolute(), arguments.fw_id, job).run()


if __name__ == "__main__":
    sys.exit(main())
