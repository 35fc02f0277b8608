"""What happens to the workers, the server, the network and the disk of a soak."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launch.database.embedded import EmbeddedDatabase
from tests.integration.proxy import Proxy

#: How often each happens, in parts of all faults.
WEIGHTS = {"worker": 0.5, "server": 0.2, "network": 0.2, "disk": 0.1}
CUT_SECONDS = (1.0, 12.0)
FULL_SECONDS = (2.0, 8.0)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """
    Mount a disk that can be filled without harm; say whether that is allowed here.

    It is in memory, and for the superuser only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "soak", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


def kill_server(database: EmbeddedDatabase) -> None:
    """End the server without a word, and start it again."""
    running = database.running()
    if running is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGKILL)
    start_server(database)


def start_server(database: EmbeddedDatabase, seconds: float = 120.0) -> None:
    """Start a server that has ended; a disk that was full may need a moment."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            database.stop()
            database.start()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
        else:
            return


def cut_network(proxy: Proxy, drawn: random.Random) -> None:
    """Pull the cable for a while."""
    proxy.cut()
    time.sleep(drawn.uniform(*CUT_SECONDS))
    proxy.join()


def fill_disk(folder: Path, drawn: random.Random) -> None:
    """Fill the disk to its last byte for a while."""
    ballast = folder / "ballast"
    try:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1_000_000))
        time.sleep(drawn.uniform(*FULL_SECONDS))
    finally:
        ballast.unlink(missing_ok=True)
