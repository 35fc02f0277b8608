"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


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
    raw = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)  # of a killed process of the same number
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
