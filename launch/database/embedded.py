"""
The database of a campaign: an embedded server in its folder, or any MongoDB by URI.

The embedded server is SecantusDB, an independent program that speaks MongoDB's wire protocol;
where a ``mongod`` is on the PATH that is preferred. Either runs as a subprocess on a loopback
port, with its data inside the campaign's folder, so that a campaign uses the same client code
here and on a cluster. This module is the only one that knows which server it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self
from urllib.parse import quote_plus

import psutil

from launch import parent_process
from launch.database.server import (
    Server,
    answers,
    client,
    end_process,
    free_port,
    without_password,
)
from launch.errors import CampaignError
from nnp.storage.files import write_atomically

SECANTUS = "secantusd-py"
MONGOD = "mongod"
START_SECONDS = 60.0
CACHE_SIZE = "256M"
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
            if not answers(self.external_uri, seconds=10.0):
                raise CampaignError(
                    f"No MongoDB answers at {without_password(self.external_uri)}; start it or "
                    "correct the URI given with --db."
                )
            self._remember(self.external_uri)
            return self.external_uri
        self._prepare_folder()
        self.stop()
        if not self._password_file.exists():
            self._set_password()
        return self._uri(self._start_server("--auth"))

    def stop(self) -> None:
        """End the server of this folder, by its process id, if there is one."""
        server = self._server or self._recorded()
        process = server.process() if server else None
        if process is not None:
            end_process(process)
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

    def _prepare_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / ".writable").write_text("")
            (self.folder / ".writable").unlink()
        except OSError as error:
            raise CampaignError(
                f"The database folder {self.folder} cannot be written ({error.strerror}); "
                "give another --folder."
            ) from error

    def _command(self, port: int) -> list[str]:
        """Return the server's command line; a folder stays with the server that made it."""
        secantus_data = self.folder.resolve() / "secantusdb"
        mongod_data = self.folder.resolve() / "mongod"
        mongod = shutil.which(MONGOD)
        if mongod and not secantus_data.exists():
            mongod_data.mkdir(exist_ok=True)
            options = ["--dbpath", str(mongod_data), "--bind_ip", "127.0.0.1", "--nounixsocket"]
            return [mongod, "--port", str(port), *options]
        if mongod_data.exists():
            raise CampaignError(
                f"The database in {self.folder} was made by mongod, which is not on the PATH; "
                "add it, or start the campaign in a new folder."
            )
        secantus = shutil.which(SECANTUS, path=str(Path(sys.executable).parent)) or shutil.which(
            SECANTUS
        )
        if secantus is None:
            raise CampaignError(
                "No database server found: install secantusdb (pip install secantusdb==0.7.0b3) "
                "or mongod, or give a MongoDB with --db URI."
            )
        options = ["--host", "127.0.0.1", "--storage-path", str(secantus_data), "--standalone"]
        # Without --sync-on-commit a kill loses the last acknowledged writes.
        options += ["--cache-size", CACHE_SIZE, "--sync-on-commit"]
        return [secantus, "--port", str(port), *options]

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    def _uri(self, server: Server) -> str:
        """Return the connection string, with the password once the server asks for one."""
        address = f"127.0.0.1:{server.port}/?directConnection=true"
        password = _read_secret(self._password_file)
        if password is None:
            return f"mongodb://{address}"
        return f"mongodb://{USER}:{quote_plus(password)}@{address}&authSource=admin"

    def _set_password(self) -> None:
        """
        Protect a new database: anybody on this machine can reach its port.

        Jobs are code, so whoever writes to the launchpad runs programs as this user.
        """
        password = secrets.token_urlsafe(24)
        server = self._start_server()
        with client(self._uri(server)) as connection:
            known = connection.admin.command("usersInfo", USER)["users"]
            command = "updateUser" if known else "createUser"
            connection.admin.command(command, USER, pwd=password, roles=["root"])
        self.stop()
        # Last, and only for this user: until it is there the next start sets a new password.
        write_atomically(self._password_file, password, mode=0o600)

    def _start_server(self, *options: str) -> Server:
        for _ in range(3):  # another program may take the free port before the server does
            server = self._launch(free_port(), options)
            if server is not None:
                return server
        raise CampaignError(f"No free port for the database on 127.0.0.1; see {self.log}.")

    def _launch(self, port: int, options: Sequence[str]) -> Server | None:
        """Start the server on a port; None if the port was taken meanwhile."""
        server_command = [*self._command(port), *options]
        # SecantusDB now and then hangs in its shutdown on SIGTERM; synced commits survive SIGKILL.
        by_name = {MONGOD: signal.SIGTERM}
        ending = by_name.get(Path(server_command[0]).name, signal.SIGKILL)
        command = [sys.executable, parent_process.__file__, str(os.getpid()), str(int(ending))]
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal must reach the campaign first.
            self._process = subprocess.Popen(
                command + server_command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
            )
        created = psutil.Process(self._process.pid).create_time()
        self._server = Server(pid=self._process.pid, created=created, port=port)
        write_atomically(self.record, json.dumps(asdict(self._server)))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._explain_exit()
                return None
            if answers(self._uri(self._server), seconds=0.5) and self._process.poll() is None:
                return self._server
            time.sleep(0.05)
        self.stop()
        raise CampaignError(
            f"The database did not answer within {START_SECONDS:.0f} s; see {self.log} and "
            "run the same command again."
        )

    def _explain_exit(self) -> None:
        """Raise the sentence that fits the log of a server that ended at once."""
        self._process = self._server = None
        self.record.unlink(missing_ok=True)
        text = self.log.read_text(errors="replace")
        if "Address already in use" in text:
            return
        last_line = (text.strip().splitlines() or ["no message"])[-1]
        if "No space left" in text:
            reason = "the disk is full: free some space and run the same command again"
        elif "busy" in text or "already being managed" in text:
            reason = "another database server uses it: end that one first"
        elif "corrupt" in text or "WiredTigerError" in text:
            reason = (
                "its files are damaged: restore the folder from a copy, or move it away and run "
                "the campaign again"
            )
        else:
            reason = f"the server ended with '{last_line}'"
        raise CampaignError(
            f"The database in {self.folder} cannot be opened, {reason} ({self.log})."
        )


def _read_secret(path: Path) -> str | None:
    """Return the text of a file that was written here; none if there is none."""
    try:
        return path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError):
        raise CampaignError(f"{path} cannot be read: restore it from a copy.") from None
