"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO


@contextmanager
def open_atomically(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """
    Open a file whose content takes the place of `path` in one step, once it is complete.

    Parameters
    ----------
    path : Path
        Replaced at the end; its folder is made if it is missing.
    mode : int
        Permissions of a new file, less the umask.

    Yields
    ------
    BinaryIO
        What is written to it goes beside `path` until the end.

    Raises
    ------
    OSError
        If it cannot be written, the disk is full for one; what was at `path` is still there then,
        as it is after any other error within.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)  # of a killed process of the same number
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def open_text_atomically(path: Path) -> Iterator[TextIO]:
    """
    Open a text file in UTF-8 as :func:`open_atomically` does.

    Parameters
    ----------
    path : Path
        Replaced at the end.

    Yields
    ------
    TextIO
        To write to.
    """
    with open_atomically(path) as raw:
        text = TextIOWrapper(raw, encoding="utf-8")
        yield text
        text.flush()
        text.detach()


def write_atomically(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """
    Write a file so that neither a reader nor a crash ever sees half of it.

    Parameters
    ----------
    path : Path
        Replaced in one step; its folder is made if it is missing.
    content : str or bytes
        Text is written as UTF-8.
    mode : int
        Permissions, as far as the umask leaves them: 0o600 for a secret.

    Raises
    ------
    OSError
        If it cannot be written, the disk is full for one; what was at `path` is still there then.
    """
    with open_atomically(path, mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)
