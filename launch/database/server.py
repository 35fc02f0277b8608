"""Small pieces for looking after a database server: its process, port and connection."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pymongo import MongoClient

STOP_SECONDS = 5.0  # then it is killed, which loses nothing that was acknowledged


@dataclass(frozen=True)
class Server:
    """
    A running server, as written to ``server.json`` in the database folder.

    Attributes
    ----------
    pid : int
        Process id.
    created : float
        Start of that process, seconds since the epoch: tells a reused process id apart.
    port : int
        Port on 127.0.0.1.
    """

    pid: int
    created: float
    port: int

    @classmethod
    def read(cls, path: Path) -> Server | None:
        """Read ``server.json``; none if there is none, or it holds no such record."""
        try:
            found = json.loads(path.read_text())
            return cls(int(found["pid"]), float(found["created"]), int(found["port"]))
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs and is the one that was started."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 2.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError, OverflowError):  # the number is no process id
            return None


def end_process(process: psutil.Process) -> None:
    """Ask a process to end, and end it after a while; writes are on disk either way."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def free_port() -> int:
    """Return a TCP port that is free on 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def client(uri: str, seconds: float = 30.0) -> MongoClient:
    """Return a MongoDB client that gives up selecting a server after some seconds."""
    from pymongo import MongoClient

    return MongoClient(uri, serverSelectionTimeoutMS=int(1000 * seconds))


def answers(uri: str, seconds: float) -> bool:
    """Whether a server answers a ping within some seconds."""
    from pymongo.errors import PyMongoError

    try:
        with client(uri, seconds) as connection:
            connection.admin.command("ping")
    except (PyMongoError, ValueError):
        return False
    return True


def without_password(uri: str) -> str:
    """Return a URI that may be printed."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
