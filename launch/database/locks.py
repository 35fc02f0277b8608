"""Locks on files, which end with their process, however that ends."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO, Any

from launch.own_files import open_own

LOOK_SECONDS = 0.05


class FileLock:
    """
    A lock that one holds alone, or that several share.

    Parameters
    ----------
    path : Path
        A file that is made for the purpose and stays, empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[Any] | None = None

    @property
    def held(self) -> bool:
        """Whether it is held through this object."""
        return self._file is not None

    def acquire(self, patience: float = 0.0, shared: bool = False) -> bool:
        """
        Take the lock; say whether that went well.

        Parameters
        ----------
        patience : float
            How long to wait for other holders, in seconds.
        shared : bool
            Whether others may share it.
        """
        deadline = time.monotonic() + patience
        file = open_own(self.path, "a")
        while True:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.close()
                    return False
                time.sleep(LOOK_SECONDS)
            else:
                self._file = file
                return True

    def release(self) -> None:
        """Give the lock up, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None
