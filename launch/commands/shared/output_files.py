"""Files that commands write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launch.errors import CampaignError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    from io import BytesIO

    from nnp.storage.files import write_atomically

    image = BytesIO()
    figure.savefig(image, dpi=150, bbox_inches="tight", format="png")
    write_atomically(path, image.getvalue())
