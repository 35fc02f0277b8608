"""Files that commands write."""

from __future__ import annotations

from pathlib import Path

from launch.errors import CampaignError


def require_writable(path: Path) -> None:
    """Find out before hours of work that the result cannot be written."""
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        raise CampaignError(f"{path} cannot be written: {error.strerror}.") from None
    if not existed:
        path.unlink()
