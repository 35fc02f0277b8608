"""
Folders and files that are the user's own, and out of which nothing is written.

A campaign's folder may come from somebody else, or be open to others. Who can write to it decides
what runs there in the user's name; and a symbolic link in it would lead what is written, emptied or
deleted to any file of the user's.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from launch.errors import CampaignError
from launch.shell import command_line

#: Nobody else may write to a folder that is made here, whatever the umask.
FOLDER_MODE = 0o755


def require_own(folder: Path) -> None:
    """
    Refuse a folder of another user, and one that others may write to.

    Parameters
    ----------
    folder : Path
        One that is not there is nobody's.

    Raises
    ------
    CampaignError
        With what to do.
    """
    try:
        found = folder.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise CampaignError(f"{folder} cannot be read ({error.strerror}).") from error
    if found.st_uid != os.geteuid():
        raise CampaignError(
            f"The folder {folder} belongs to {_user(found.st_uid)}, who could have programs run "
            "in your name: use a folder of your own."
        )
    if found.st_mode & 0o002 or (found.st_mode & 0o020 and not _is_private(found.st_gid)):
        raise CampaignError(
            f"Others may write to the folder {folder}, and could have programs run in your name: "
            f"look for files that are not yours and enter: {command_line('chmod', 'go-w', folder)}"
        )


def try_writing(folder: Path) -> None:
    """
    Make a file in a folder, and remove it; many may try at once.

    Parameters
    ----------
    folder : Path
        One that is there.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    with TemporaryFile(dir=folder):
        pass


def require_no_links(folder: Path, *patterns: str) -> None:
    """
    Refuse symbolic links where files are written.

    Parameters
    ----------
    folder : Path
        It may be a link itself: the user has named it.
    *patterns : str
        What is written in it, as names or as patterns of names; of folders all that is in them.

    Raises
    ------
    CampaignError
        With the name of the link.
    """
    present = folder.iterdir() if folder.is_dir() else ()
    written = (path for path in present if any(fnmatchcase(path.name, p) for p in patterns))
    for link in (link for path in written for link in _links(path)):
        raise CampaignError(
            f"{link} is a symbolic link, and nothing is written through links: remove it and run "
            "the same command again."
        )


def open_own(path: Path | str, mode: str) -> IO[Any]:
    """
    Open a file for its owner only, unless it is a symbolic link.

    Parameters
    ----------
    path : Path or str
    mode : str
        As of :func:`open`.

    Raises
    ------
    OSError
        If it cannot be opened, or is a link.
    """
    return open(
        path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, mode=0o600)
    )


class OwnLog(logging.FileHandler):
    """A log that :func:`open_own` opens: what goes wrong may quote a password."""

    def _open(self) -> Any:
        return open_own(self.baseFilename, self.mode)


def file_name(*parts: object) -> str:
    """
    Join words from documents to a name that leads to no other folder.

    Examples
    --------
    >>> file_name("01", "Cu", "P6_3/mmc")
    '01_Cu_P6_3mmc'
    """
    return re.sub(r"^\.+|[^\w.+()-]", "", "_".join(map(str, parts)))


def _links(path: Path) -> Iterator[Path]:
    """Yield the symbolic links among a path and all that is below it."""
    if path.is_symlink():
        yield path
    elif path.is_dir():
        for entry in path.iterdir():
            yield from _links(entry)


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _is_private(group: int) -> bool:
    """Whether a group is the user's alone: many systems have one for each, of the same name."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user and set(found.gr_mem) <= {user}
