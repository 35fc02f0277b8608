"""Run the Fireworks of one SLURM job; started by :mod:`launch.supervisor`.

``python -m launch.rocket FOLDER [--fw_id N]``, where the folder is that of a queue. Told to end,
it ends at once if a job of ours is computing, for that keeps checkpoints; while FireWorks or the
job store are being written it first lets them finish.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

from launch.configuration import Configuration
from launch.counters import CampaignLaunchPad
from launch.tether import die_with_parent

#: Exit code of a rocket that was told to end.
TOLD_TO_END = 75
RETRY_SECONDS = 0.5

_told = False  # to end: no further Firework begins


class ClusterLaunchPad(CampaignLaunchPad):
    """A launchpad whose launches know the SLURM job they belong to."""

    def checkout_fw(self, *args: Any, **kwargs: Any) -> Any:
        """Check a Firework out and record the job in its launch."""
        firework, launch_id = super().checkout_fw(*args, **kwargs)
        job = os.environ.get("SLURM_JOB_ID")
        if firework is not None and job:
            record_job(self, launch_id, job)
        return firework, launch_id


def record_job(pad: CampaignLaunchPad, launch_id: int, job: str) -> None:
    """Note a SLURM job in a launch where FireWorks notes reservations."""
    launch = pad.launches.find_one({"launch_id": launch_id}, {"state_history": 1})
    history = launch["state_history"] if launch else []
    if not history or any("reservation_id" in entry for entry in history):
        return
    field = f"state_history.{len(history) - 1}.reservation_id"
    pad.launches.update_one({"launch_id": launch_id}, {"$set": {field: job}})


def end_at_a_good_moment(number: int, frame: FrameType | None) -> None:
    """End this process unless it is writing to the database; then try again soon."""
    global _told
    _told = True
    if computes(frame):
        print(f"signal {number}: the job ends here and goes on in another", flush=True)
        os._exit(TOLD_TO_END)
    signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)


def computes(frame: FrameType | None) -> bool:
    """Whether a frame belongs to a job's own function, below FireWorks and jobflow's storing."""
    names = []
    while frame is not None:
        names.append((frame.f_globals.get("__name__", ""), frame.f_code.co_name))
        frame = frame.f_back
    inside = ("jobflow.core.job", "run") in names
    storing = any(module.startswith("maggma.") for module, _ in names)
    return inside and not storing


def run(folder: Path, fw_id: int | None, finish: float | None) -> None:
    """
    Run one Firework, then others of the same queue while there is time.

    Parameters
    ----------
    folder
        Of the queue.
    fw_id
        The Firework to begin with; none: any.
    finish
        When nothing may run any more (seconds since the epoch); none: run one Firework only.
    """
    from fireworks.core.rocket_launcher import launch_rocket

    configuration = Configuration.find(folder.parent)
    pad = configuration.launchpad(ClusterLaunchPad)
    fworker = configuration.worker(folder.name)
    home = Path.cwd()
    longest, count = 0.0, 0
    while True:
        started = time.time()
        launch_rocket(pad, fworker, fw_id, strm_lvl="INFO")
        longest, count, fw_id = max(longest, time.time() - started), count + 1, None
        left = (finish or 0.0) - time.time()
        # what runs next may well take as long as the longest before
        if _told or left < 1.5 * longest or not pad.run_exists(fworker):
            return
        beside = home / f"next_{count:03d}"
        beside.mkdir(exist_ok=True)
        os.chdir(beside)


def main() -> None:
    """Run as a process of its own."""
    parser = argparse.ArgumentParser(prog="launch.rocket")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fw_id", type=int)
    parser.add_argument("--finish", type=float)
    arguments = parser.parse_args()
    die_with_parent(os.getppid())
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, end_at_a_good_moment)
    run(arguments.folder, arguments.fw_id, arguments.finish)


if __name__ == "__main__":
    main()
