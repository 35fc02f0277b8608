"""
Run the Fireworks of one SLURM job; started by :mod:`launch.cluster.supervisor`.

``python -m launch.cluster.rocket FOLDER [--fw_id N]``, where the folder is that of a queue. Told to
end, it ends at once if a job is computing, which goes on from its checkpoint or begins anew; while
FireWorks or the job store are being written it first lets them finish. Which of the two it is, is
said by the contexts of :mod:`workflows.jobs.interruption`.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from fireworks import FWorker

from launch.cluster.configuration import Configuration
from launch.cluster.reconcile import Deadlines, how_it_ended
from launch.cluster.remaining_time import RemainingTime
from launch.database.launchpad import CampaignLaunchPad
from launch.database.release import JOB_VARIABLE
from launch.errors import CampaignError
from launch.parent_process import die_with_parent
from workflows.jobs.interruption import computing, may_end, storing

if TYPE_CHECKING:
    from fireworks import Firework
    from jobflow import JobStore

#: Exit code of a rocket that was told to end.
TOLD_TO_END = 75
RETRY_SECONDS = 0.5
OTHERS_SECONDS = 10.0  # between two looks at a launch of the same Firework that still runs

_told = False  # to end: no further Firework begins
_at_once = False  # not only because the time will be over


class JobWorker(FWorker):
    """
    A worker with a SLURM job in its environment.

    A launch is written with its worker, so it knows its job from its first moment on, whatever
    kills the process afterwards.
    """

    def __init__(self, whole: FWorker, job: str) -> None:
        super().__init__(whole.name, whole.category, env={**whole.env, JOB_VARIABLE: job})
        self.whole = whole

    @property
    def query(self) -> dict[str, Any]:
        """Finds what the worker takes."""
        return dict(self.whole.query)


class ClusterLaunchPad(CampaignLaunchPad):
    """
    A launchpad whose launches know the SLURM job they belong to.

    Attributes
    ----------
    taken : Firework or None
        The Firework that was checked out last.
    """

    taken: Firework | None = None

    def checkout_fw(
        self, fworker: FWorker, launch_dir: str, fw_id: int | None = None, **kwargs: Any
    ) -> Any:
        """
        Check a Firework out and record the job in its launch.

        By its number FireWorks gives a reserved Firework to anybody, also to two at once: to a job
        that SLURM has started anew, for one, and to that which has got its work meanwhile. So a
        number counts only in the job that it was reserved for; any other takes what is READY.
        """
        job = os.environ.get(JOB_VARIABLE)
        if fw_id is not None and job and not reserved_for(self, fw_id, job):
            fw_id = None
        if job:
            fworker = JobWorker(fworker, job)
        firework, launch_id = super().checkout_fw(fworker, launch_dir, fw_id=fw_id, **kwargs)
        self.taken = firework
        for task in firework.tasks if firework is not None else []:
            task.run_task = computing()(task.run_task)
        if firework is not None and job:
            record_job(self, launch_id, job)
        if firework is not None:
            wait_for_others(self, firework.fw_id, launch_id, fworker.name)
        return firework, launch_id


def reserved_for(pad: CampaignLaunchPad, fw_id: int, job: str) -> bool:
    """Whether a Firework is reserved for a SLURM job, which qlaunch may not have recorded yet."""
    held = {"fw_id": fw_id, "state": "RESERVED"}
    launch = pad.launches.find_one(held, {"state_history": 1}, sort=[("launch_id", -1)])
    if launch is None or os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        return False
    jobs = [e["reservation_id"] for e in launch["state_history"] if "reservation_id" in e]
    return not jobs or jobs[-1] == job


def wait_for_others(pad: CampaignLaunchPad, fw_id: int, launch_id: int, worker: str) -> None:
    """
    Wait until no earlier launch of a Firework runs: it was told to run again while it was running.

    What such a launch computes is then found in the job store, and not computed twice.
    """
    from launch.cluster import slurm

    # earlier ones only: of two that wait, one must not wait for the other
    others = {"fw_id": fw_id, "state": "RUNNING", "launch_id": {"$lt": launch_id}}
    fields = {"_id": 0, "state": 1, "state_history": 1, "fworker": 1}
    while launches := list(pad.launches.find(others, fields)):
        try:
            jobs = slurm.jobs()
        except CampaignError:
            jobs = None
        if all(
            how_it_ended(launch, jobs if launch["fworker"]["name"] == worker else None, Deadlines())
            for launch in launches
        ):
            return
        if _told:
            os._exit(TOLD_TO_END)
        print(f"Firework {fw_id} still runs in another job, which is waited for", flush=True)
        time.sleep(OTHERS_SECONDS)


def retry_if_failed(pad: CampaignLaunchPad, fw_id: int) -> None:
    """
    Make a Firework READY again that this job has just failed to run, if it may be tried again.

    At once and not at the end of the job: children that do without it could begin meanwhile.
    """
    from launch.database.release import launches_of, retry_guarded

    job = os.environ.get(JOB_VARIABLE)
    if not job:
        return
    failed = {**launches_of(job), "fw_id": fw_id, "state": "FIZZLED"}
    last = pad.launches.find_one(failed, {"launch_id": 1}, sort=[("launch_id", -1)])
    if last is not None:
        retry_guarded(pad, fw_id, last["launch_id"])


def record_job(pad: CampaignLaunchPad, launch_id: int, job: str) -> None:
    """Note a SLURM job in a launch where FireWorks notes reservations."""
    launch = pad.launches.find_one({"launch_id": launch_id}, {"state_history": 1})
    history = launch["state_history"] if launch else []
    if not history or any("reservation_id" in entry for entry in history):
        return
    field = f"state_history.{len(history) - 1}.reservation_id"
    pad.launches.update_one({"launch_id": launch_id}, {"$set": {field: job}})


def end_at_a_good_moment(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """End this process unless it is writing to the database; then try again soon."""
    global _told, _at_once
    _told = True
    _at_once = _at_once or number == signal.SIGTERM
    # a program that is watched ends by itself before the time is over: then its steps are kept
    if may_end(now=_at_once):
        print("the job is told to end; it goes on in another", flush=True)
        os._exit(TOLD_TO_END)
    signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)


def guard(store: JobStore) -> None:
    """Let what is being written to a job store always come to its end."""
    store.update = storing()(store.update)  # type: ignore[method-assign]


def run(folder: Path, fw_id: int | None, finish: float | None) -> None:
    """
    Run one Firework, then others of the same queue while there is time.

    Parameters
    ----------
    folder : Path
        Of the queue.
    fw_id : int or None
        The Firework to begin with; none: any.
    finish : float or None
        When nothing may run any more (seconds since the epoch); none: run one Firework only.
    """
    from fireworks.core.rocket_launcher import launch_rocket
    from jobflow import SETTINGS

    from workflows.jobs.checkpoints import remove_checkpoints

    configuration = Configuration.find(folder.parent)
    pad = configuration.launchpad(ClusterLaunchPad)
    queue = configuration.worker(folder.name)
    remaining = RemainingTime.of_job(configuration, folder.name)
    worker: FWorker | None = queue
    home = Path.cwd()
    count = 0
    guard(SETTINGS.JOB_STORE)
    while worker is not None:
        started = time.time()
        launch_rocket(pad, worker, fw_id, strm_lvl="INFO")
        remove_checkpoints()
        if pad.taken is None:
            return
        retry_if_failed(pad, pad.taken.fw_id)
        remaining.note(pad.taken, time.time() - started)
        left = (finish or 0.0) - time.time()
        if _told or left <= 0:
            return
        worker = remaining.worker(pad, queue, left)
        fw_id, count = None, count + 1
        beside = home / f"next_{count:03d}"
        beside.mkdir(exist_ok=True)
        os.chdir(beside)


def main() -> None:
    """Run as a process of its own."""
    parser = argparse.ArgumentParser(prog="launch.cluster.rocket")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fw_id", type=int)
    parser.add_argument("--finish", type=float)
    arguments = parser.parse_args()
    die_with_parent(os.getppid())
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, end_at_a_good_moment)
    try:
        run(arguments.folder, arguments.fw_id, arguments.finish)
    finally:
        # Python takes its handlers away before the process is over: then these would kill it
        for number in (signal.SIGUSR1, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
