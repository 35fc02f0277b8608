"""
The database of a campaign: an embedded server in its folder, or any MongoDB by URI.

The embedded server is SecantusDB, an independent program that speaks MongoDB's wire protocol;
where a ``mongod`` is on the PATH that is preferred. Either runs as a subprocess on a loopback
port, with its data inside the campaign's folder, so that a campaign uses the same client code
here and on a cluster. :mod:`launch.database.programs` alone knows which server it is.

Anybody on the machine can reach the port, and jobs are code: whoever writes to the launchpad runs
programs as this user. So the server asks for a password, which only the user can read, and gets it
while it speaks to nobody but the holder of a key that is made for the purpose. Client and server
prove to each other that they know the password (SCRAM): another program on the port is not
believed, and learns nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Self
from urllib.parse import quote_plus

import psutil

from launch import parent_process
from launch.database.certificate import write_certificate
from launch.database.locks import FileLock
from launch.database.programs import is_mongod, reason_of, server_command
from launch.database.server import (
    MALFORMED,
    Server,
    answers,
    client,
    end_process,
    free_port,
    is_uri,
    without_password,
)
from launch.errors import CampaignError
from launch.own_files import open_own, require_no_links, require_own, try_writing
from launch.shell import program_environment
from nnp.storage.files import write_atomically

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
STARTS = 4  # of a server that is killed meanwhile, or whose port is taken
OWNER_SECONDS = 60.0  # for another command that has started the server to end
READER_SECONDS = 60.0  # for other commands that use it
USER = "devitrify"


class EmbeddedDatabase:
    """
    A database server for one campaign folder, or a connection to a given one.

    Parameters
    ----------
    folder : Path or str
        The folder for the server's data, log and ``server.json``; created if missing.
    uri : str or None
        Use the server at this URI instead of starting one. It is remembered in the folder, in a
        file that only its owner may read.
    """

    def __init__(self, folder: Path | str, uri: str | None = None) -> None:
        self.folder = Path(folder)
        self.external_uri = uri or self._remembered()
        self._process: subprocess.Popen[bytes] | None = None
        self._server: Server | None = None
        #: Held by who starts the server and ends it.
        self._ownership = FileLock(self.folder / "owner.lock")
        #: Shared by those who use a server of others.
        self._reading = FileLock(self.folder / "readers.lock")

    @property
    def uri(self) -> str:
        """The connection string of the running server."""
        if self.external_uri:
            return self.external_uri
        server = self._server or self.running()
        if server is None:
            raise CampaignError(f"No database server runs in {self.folder}.")
        return self._uri(server)

    @property
    def _uri_file(self) -> Path:
        return self.folder / "uri"

    def _remembered(self) -> str | None:
        text = _read_secret(self._uri_file)
        return text.strip() if text else None

    def _remember(self, uri: str) -> None:
        """Keep the URI of a server that is not ours for the commands that come later."""
        if self._remembered() == uri:
            return
        self._prepare_folder()
        if (self.folder / "password").exists():
            raise CampaignError(
                f"The campaign's documents are in its own database in {self.folder}: leave --db "
                "out, or give another --folder."
            )
        write_atomically(self._uri_file, uri, mode=0o600)

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder / "server.log"

    @property
    def record(self) -> Path:
        """The file that names the running server."""
        return self.folder / "server.json"

    def running(self) -> Server | None:
        """
        Return the server that already serves this folder, or None.

        It must be alive, be the process that was started here and answer.
        """
        server = self._recorded()
        if server is None or not answers(self._uri(server), seconds=2.0):
            return None
        return server

    def start(self) -> str:
        """
        Start the server, stopping first one that a killed run has left behind.

        A server that is left is not adopted: it would not end with this process.

        Returns
        -------
        str
            The connection string.
        """
        if self.external_uri:
            return self._connect(self.external_uri)
        self._prepare_folder()
        if not self._ownership.held and not self._ownership.acquire(OWNER_SECONDS):
            raise CampaignError(
                f"The database in {self.folder} is in use by another command (its server: process "
                f"{getattr(Server.read(self.record), 'pid', 'unknown')}): wait for that to end."
            )
        return self._open()

    def start_if_free(self) -> bool:
        """Start the server unless somebody else has it; say whether it was started."""
        self._prepare_folder()
        if not self._ownership.acquire():
            return False
        self._open()
        return True

    def borrow(self) -> bool:
        """
        Use the server that somebody else has started; say whether there is one.

        It goes on, if its owner is not killed, until :meth:`give_back`.
        """
        if not self.folder.exists() or not self._reading.acquire(shared=True):
            return False
        self._server = self.running()
        if self._server is None:
            self._reading.release()
        return self._server is not None

    def give_back(self) -> None:
        """Let the owner end the server that was borrowed."""
        self._server = None
        self._reading.release()

    def stop(self) -> None:
        """End the server of this folder, if there is one, once nobody uses it any more."""
        server = self._server or self._recorded()
        self.record.unlink(missing_ok=True)  # nobody begins to use it now
        if self._ownership.held and self._process is not None and self.folder.exists():
            self._reading.acquire(READER_SECONDS)
        self._end(server)
        self._reading.release()
        self._ownership.release()

    def _end(self, server: Server | None, at_once: bool = False) -> None:
        """End a server by its process id."""
        process = server.process() if server else None
        if process is not None:
            end_process(process, at_once)
        if self._process is not None:
            self._process.wait()
        self._process = self._server = None
        self.record.unlink(missing_ok=True)

    def alive(self) -> bool:
        """Whether the server runs; a given server counts as running while it answers."""
        if self.external_uri:
            return answers(self.external_uri, seconds=5.0)
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _recorded(self) -> Server | None:
        """Return the live server of ``server.json`` if it serves this very folder."""
        server = Server.read(self.record)
        process = server.process() if server else None
        with contextlib.suppress(psutil.Error):
            if process is not None and str(self.folder.resolve()) in " ".join(process.cmdline()):
                return server
        return None

    def _connect(self, uri: str) -> str:
        """Make sure that a server that is not ours answers."""
        if not is_uri(uri):
            raise CampaignError(f"The URI of the campaign's MongoDB {MALFORMED}")
        if not answers(uri, seconds=10.0):
            raise CampaignError(
                f"No MongoDB answers at {without_password(uri)}; start it or correct the URI "
                "given with --db."
            )
        self._remember(uri)
        return uri

    def _prepare_folder(self) -> None:
        """Make the folder its owner's only; what others may have put there is refused."""
        require_no_links(self.folder.parent, self.folder.name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            require_own(self.folder)
            self.folder.chmod(0o700)
            try_writing(self.folder)
        except OSError as error:
            raise CampaignError(
                f"The database folder {self.folder} cannot be written ({error.strerror}); "
                "give another --folder."
            ) from error

    def _open(self) -> str:
        """Start the server, again if it is killed meanwhile; it is ours until :meth:`stop`."""
        from pymongo.errors import PyMongoError

        try:
            self._end(self._server or self._recorded())
            for _ in range(STARTS):
                try:
                    if not self._password_file.exists():
                        self._set_password()
                    uri = self._uri(self._start_server())
                    self._require_no_others(uri)
                except PyMongoError as error:  # of its message nothing: it may quote the URI
                    logger.warning("the database failed in its start: %s", type(error).__name__)
                    self._end(self._server)
                else:
                    return uri
            raise CampaignError(
                f"The database failed {STARTS} times while it was started; see {self.log} and run "
                "the same command again."
            )
        except BaseException:
            self._end(self._server)
            self._ownership.release()
            raise

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    def _uri(self, server: Server, certificate: Path | None = None) -> str:
        """Return the connection string, with the password or, before there is one, the key."""
        address = f"127.0.0.1:{server.port}/?directConnection=true"
        if certificate is not None:
            file = quote_plus(str(certificate))
            return f"mongodb://{address}&tls=true&tlsCAFile={file}&tlsCertificateKeyFile={file}"
        password = quote_plus(_read_secret(self._password_file) or "none")
        options = "&authSource=admin&authMechanism=SCRAM-SHA-256"
        return f"mongodb://{USER}:{password}@{address}{options}"

    def _set_password(self) -> None:
        """Make the user of a new database, with a password that nobody else can read."""
        password = secrets.token_urlsafe(24)
        certificate = self.folder.resolve() / "certificate.pem"
        write_certificate(certificate)
        server = self._start_server(certificate)
        with client(self._uri(server, certificate), START_SECONDS) as connection:
            known = connection.admin.command("usersInfo", USER)["users"]
            command = "updateUser" if known else "createUser"
            connection.admin.command(command, USER, pwd=password, roles=["root"])
        # What it has acknowledged is on disk; but a mongod would take long to open it then.
        self._end(server, at_once=not is_mongod(server_command(self.folder, 0)))
        certificate.unlink()
        # Last, and only for this user: until it is there the next start sets a new password.
        write_atomically(self._password_file, password, mode=0o600)

    def _require_no_others(self, uri: str) -> None:
        """Refuse a database with users that were not made here; they may have left jobs in it."""
        with client(uri) as connection:
            users = list(connection.admin["system.users"].find({}, {"user": 1, "db": 1}))
        others = [user["user"] for user in users if (user["db"], user["user"]) != ("admin", USER)]
        if others:
            raise CampaignError(
                f"The database in {self.folder} has users that devitrify did not make "
                f"({', '.join(map(repr, others)):.200}), who may have left programs in it: run "
                "the campaign anew in another --folder."
            )

    def _start_server(self, certificate: Path | None = None) -> Server:
        """Start the server; again if its port was taken meanwhile, or somebody has killed it."""
        for _ in range(STARTS):
            server = self._launch(free_port(), certificate)
            if server is not None:
                return server
        raise CampaignError(
            f"No free port for the database on 127.0.0.1, or it was killed at once, {STARTS} "
            f"times; see {self.log} and run the same command again."
        )

    def _launch(self, port: int, certificate: Path | None) -> Server | None:
        """Start the server on a port; none if that was taken, or the server was killed."""
        program = server_command(self.folder, port, certificate)
        # SecantusDB now and then hangs in its shutdown on SIGTERM; synced commits survive SIGKILL.
        ending = signal.SIGTERM if is_mongod(program) else signal.SIGKILL
        script = [sys.executable, "-I", parent_process.__file__]
        with open_own(self.log, "wb") as log:
            # A session of its own: Ctrl-C in the terminal must reach the campaign first.
            self._process = subprocess.Popen(
                [*script, str(os.getpid()), str(int(ending)), *program],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
                env=program_environment(),
            )
        created = psutil.Process(self._process.pid).create_time()
        self._server = Server(pid=self._process.pid, created=created, port=port)
        write_atomically(self.record, json.dumps(asdict(self._server)), mode=0o600)
        uri = self._uri(self._server, certificate)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if (code := self._process.poll()) is not None:
                self._explain_exit(code)
                return None
            if answers(uri, seconds=0.5) and self._process.poll() is None:
                return self._server
            time.sleep(0.05)
        raise CampaignError(
            f"The database did not answer within {START_SECONDS:.0f} s; see {self.log} and "
            "run the same command again."
        )

    def _explain_exit(self, code: int) -> None:
        """Raise the sentence that fits the log of a server that ended at once by itself."""
        self._end(None)
        text = self.log.read_text(errors="replace")
        if code < 0 or "Address already in use" in text:
            return
        raise CampaignError(
            f"The database in {self.folder} cannot be opened, {reason_of(text)} ({self.log})."
        )


def _read_secret(path: Path) -> str | None:
    """Return the text of a file that was written here; none if there is none."""
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError):
        raise CampaignError(f"{path} cannot be read: restore it from a copy.") from None
