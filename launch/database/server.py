"""Small pieces for looking after a database server: its process, port and connection."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import psutil

if TYPE_CHECKING:
    from pymongo import MongoClient

#: Options of a URI that hold passwords or tokens, in small letters.
SECRET_OPTIONS = "password|properties|token|secret"
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


def end_process(process: psutil.Process, at_once: bool = False) -> None:
    """
    Ask a process to end, and end it after a while; writes are on disk either way.

    Parameters
    ----------
    process : Process
    at_once : bool
        Whether to end it without asking.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        if not at_once:
            process.terminate()
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(STOP_SECONDS)
                return
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
    """Whether a server answers a ping within some seconds, and knows us if we have a password."""
    from pymongo.errors import PyMongoError

    try:
        with client(uri, seconds) as connection:
            connection.admin.command("ping")
    except (OSError, PyMongoError, ValueError):  # of the system: the files of a certificate
        return False
    return True


#: Ends a sentence about a URI, of which no part may be shown: pymongo's own messages may quote
#: the end of a password with an unquoted @ or / as the host or the port.
MALFORMED = (
    "is malformed: it is mongodb://USER:PASSWORD@HOST:PORT/, and signs like @ : / % in the user "
    "or the password must be percent-encoded."
)


def is_uri(text: str) -> bool:
    """Whether pymongo can read a URI; the host of a ``mongodb+srv`` is not looked up."""
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    scheme, _, rest = text.partition("://")
    if scheme == "mongodb+srv":  # parsing it would ask a name server
        text = "mongodb://" + rest.partition("?")[0]
    try:
        parse_uri(text)
    except (OSError, PyMongoError, ValueError):
        return False
    return True


def without_password(uri: str) -> str:
    """
    Return what may be printed of a URI: its hosts and its database.

    The options after them may hold passwords and tokens too. Of what is no URI, or may be one with
    a password that was not encoded, nothing is shown.

    Examples
    --------
    >>> without_password("mongodb://me:secret@host:27017/name?authMechanismProperties=TOKEN")
    'mongodb://host:27017/name'
    """
    scheme, _, rest = uri.partition("://")
    hosts, _, database = rest.partition("?")[0].partition("/")
    if not is_uri(uri) or "@" in database or "@" in rest.partition("?")[2]:
        return "the URI that was given"
    return f"{scheme}://{hosts.rpartition('@')[2]}/{database}"


def secrets_of(uri: str) -> list[str]:
    """List what no message may quote of a URI, longest first."""
    rest = uri.partition("://")[2] or uri
    user = rest.rpartition("@")[0]
    options = (part.partition("=") for part in re.split("[&;]", rest.partition("?")[2]))
    secret = [value for key, _, value in options if re.search(SECRET_OPTIONS, key.lower())]
    quoted = {user, user.partition(":")[2], *secret, *([uri, rest] if user or secret else [])}
    return sorted({*quoted, *map(unquote_plus, quoted)} - {""}, key=len, reverse=True)
