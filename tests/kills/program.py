"""A command as a process with all that it starts, and how it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from launch import parent_process
from tests.integration.conftest import DEVITRIFY, environment

#: In the environment of a command and of all that it starts: which trial they belong to.
MARK = "DEVITRIFY_KILLS"
#: What a process is, by a word of its command line.
ROLES = {
    "launch.local.worker": "worker",
    "secantusd": "database",
    "mongod": "database",
    "spawn_main": "island",
}


class Program:
    """
    A command that runs; it ends with this process.

    Parameters
    ----------
    arguments : list of str
        What is typed behind ``devitrify``.
    folder : Path
        In which it is typed.
    mark : str
        Of the trial; must not occur in another one.
    printed : Path
        File for what it prints.
    """

    def __init__(self, arguments: list[str], folder: Path, mark: str, printed: Path) -> None:
        bound = [
            sys.executable,
            parent_process.__file__,
            str(os.getpid()),
            str(int(signal.SIGKILL)),
        ]
        self.mark, self.printed = mark, printed
        with printed.open("wb") as output:
            self.process = subprocess.Popen(
                [*bound, *DEVITRIFY, *arguments],
                cwd=folder,
                env={**environment(), MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; the exit code, or none if it still runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def wait_for_print(self, seconds: float) -> None:
        """Wait until it has printed something, or has ended."""
        deadline = time.monotonic() + seconds
        while not self.printed.stat().st_size and time.monotonic() < deadline:
            if self.wait(0.02) is not None:
                return

    def find(self, role: str) -> list[psutil.Process]:
        """Processes that it has started, of one role, in the order of their ids."""
        return [p for p in marked(self.mark) if p.pid != self.process.pid and role_of(p) == role]

    def kill(self) -> None:
        """Kill the main process alone."""
        self.process.kill()
        self.process.wait()

    def kill_all(self) -> None:
        """Kill it and all that it has started, as nearly at once as can be."""
        kill([p for p in marked(self.mark) if p.pid != self.process.pid])
        self.kill()

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.printed.read_text(errors="replace")


def kill(processes: list[psutil.Process]) -> None:
    """Kill processes; those that have ended do not mind."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def marked(mark: str) -> list[psutil.Process]:
    """All processes of a trial that run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


def role_of(process: psutil.Process) -> str:
    """What a process is; empty: something else."""
    with suppress(psutil.Error):
        line = " ".join(process.cmdline())
        return next((role for word, role in ROLES.items() if word in line), "")
    return ""


def survivors(mark: str, seconds: float) -> list[str]:
    """
    Command lines of processes of a trial that are still there after some time.

    They are killed then.
    """
    deadline = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    lines = []
    for process in left:
        with suppress(psutil.Error):
            lines.append(" ".join(process.cmdline())[:200])
    kill(left)
    return lines
