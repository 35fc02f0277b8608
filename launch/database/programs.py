"""The programs that can be a campaign's database server, and what they say when they end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.errors import CampaignError
from nnp.storage.files import write_atomically

SECANTUS = "secantusd-py"
MONGOD = "mongod"
CACHE_SIZE = "256M"


def server_command(folder: Path, port: int, certificate: Path | None = None) -> list[str]:
    """
    Return a server's command line; a folder stays with the server that made it.

    Parameters
    ----------
    folder : Path
        Of the database.
    port : int
        On 127.0.0.1.
    certificate : Path or None
        For a server whose users have no passwords yet: only who can read this file, of a key and
        its certificate, is a client. None: users have passwords.

    Raises
    ------
    CampaignError
        If there is no such program.
    """
    secantus_data = folder.resolve() / "secantusdb"
    mongod_data = folder.resolve() / "mongod"
    mongod = shutil.which(MONGOD)
    if mongod and not secantus_data.exists():
        mongod_data.mkdir(exist_ok=True)
        options = ["--dbpath", str(mongod_data), "--bind_ip", "127.0.0.1", "--nounixsocket"]
        return [mongod, "--port", str(port), *options, *_mongod_access(certificate)]
    if mongod_data.exists():
        raise CampaignError(
            f"The database in {folder} was made by mongod, which is not on the PATH; "
            "add it, or start the campaign in a new folder."
        )
    beside = shutil.which(SECANTUS, path=str(Path(sys.executable).parent))
    secantus = beside or shutil.which(SECANTUS)
    if secantus is None:
        raise CampaignError(
            "No database server found: install secantusdb (pip install secantusdb==0.7.0b3) "
            "or mongod, or give a MongoDB with --db URI."
        )
    options = ["--host", "127.0.0.1", "--storage-path", str(secantus_data), "--standalone"]
    # Without --config it looks for settings where it is started and in the home folder.
    settings = folder.resolve() / "settings.toml"
    write_atomically(settings, "", mode=0o600)
    options += ["--config", str(settings)]
    # Without --sync-on-commit a kill loses the last acknowledged writes.
    options += ["--cache-size", CACHE_SIZE, "--sync-on-commit"]
    return [secantus, "--port", str(port), *options, *_secantus_access(certificate)]


def _mongod_access(certificate: Path | None) -> list[str]:
    if certificate is None:
        return ["--auth"]
    file = str(certificate)
    return ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", file, "--tlsCAFile", file]


def _secantus_access(certificate: Path | None) -> list[str]:
    if certificate is None:
        return ["--auth"]
    file = str(certificate)
    files = ["--tls-cert-file", file, "--tls-key-file", file, "--tls-ca-file", file]
    return [*files, "--tls-require-client-cert"]


def is_mongod(command: Sequence[str]) -> bool:
    """Whether a command line is that of MongoDB's own server."""
    return Path(command[0]).name == MONGOD


def reason_of(text: str) -> str:
    """Say why a server ended at once, by its log, and what to do."""
    if "No space left" in text:
        return "the disk is full: free some space and run the same command again"
    if "busy" in text or "already being managed" in text:
        return "another database server uses it: end that one first"
    if "corrupt" in text or "WiredTigerError" in text:
        return (
            "its files are damaged: restore the folder from a copy, or move it away and run "
            "the campaign again"
        )
    last_line = (text.strip().splitlines() or ["no message"])[-1]
    return f"the server ended with '{last_line}'"
