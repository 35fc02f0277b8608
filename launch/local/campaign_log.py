"""The log of a campaign's runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launch.own_files import FOLDER_MODE, OwnLog


class _CampaignLog(OwnLog):
    """A log that a full disk does not turn into a traceback on the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Lose the record: what ends the campaign is reported by an exception."""


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """
    Write what this package logs to a file, and not to the terminal.

    Parameters
    ----------
    path : Path
        The file; what is in it stays.
    """
    path.parent.mkdir(exist_ok=True, mode=FOLDER_MODE)
    handler = _CampaignLog(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    package = logging.getLogger("launch")
    package.addHandler(handler)
    try:
        yield
    finally:
        package.removeHandler(handler)
        handler.close()
