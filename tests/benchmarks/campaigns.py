"""Campaigns as benchmarks run them: resumed, timed, one after the other."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

#: ``devitrify``, of this checkout.
DEVITRIFY = (sys.executable, "-m", "launch.cli")


@dataclass
class Times:
    """
    What all calls of a command took that goes on with the same folder.

    Attributes
    ----------
    wall, cpu : float
        Seconds; those of processes that the command has waited for are counted.
    status : int or None
        Exit status of the last call; none: it has never ended.
    commits : list of str
        Of the code that was run.
    """

    wall: float = 0.0
    cpu: float = 0.0
    status: int | None = None
    commits: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Times:
        """Read what is kept beside a folder."""
        path = _record(folder)
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def save(self, folder: Path) -> None:
        """Keep them beside the folder."""
        _record(folder).write_text(json.dumps(asdict(self)))


def _record(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.json"


def log_of(folder: Path) -> Path:
    """Return where the output of the command of a folder goes."""
    return folder.parent / f"{folder.name}.log"


def is_finished(folder: Path) -> bool:
    """Whether a campaign has ranked its candidates."""
    return (folder / "summary.json").exists() and (folder / "structures").is_dir()


def current_commit() -> str:
    """Commit of this checkout, marked if files were changed since; empty if it is none."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        ran = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
        return ran.stdout.strip() if ran.returncode == 0 else ""

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def run_timed(command: Sequence[str], folder: Path) -> Times:
    """
    Run a command that works in a folder; its output and its times are kept beside it.

    Parameters
    ----------
    command : sequence of str
        Not through a shell.
    folder : Path
        Whose name the record has.

    Returns
    -------
    Times
        Of this call and all before it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    before, commit, started = Times.of(folder), current_commit(), time.monotonic()
    with log_of(folder).open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        interrupted = False
        while True:
            # the command is interrupted by the same key; what it took until then counts
            with contextlib.suppress(KeyboardInterrupt):
                _, status, usage = os.wait4(process.pid, 0)
                break
            interrupted = True
    times = Times(
        before.wall + time.monotonic() - started,
        before.cpu + usage.ru_utime + usage.ru_stime,
        os.waitstatus_to_exitcode(status),
        list(dict.fromkeys([*before.commits, commit])),
    )
    times.save(folder)
    if interrupted:
        raise KeyboardInterrupt
    return times
