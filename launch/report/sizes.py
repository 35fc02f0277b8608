"""How many bytes campaigns take, and of what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from launch.database.leftovers import folder_size

if TYPE_CHECKING:
    from pymongo.database import Database
    from rich.table import Table

UNITS = ("B", "kB", "MB", "GB", "TB")
#: Collections by what they hold, for people; others are named as they are.
CONTENTS = {
    "fireworks": "Fireworks",
    "launches": "launches",
    "workflows": "workflows",
    "outputs": "output documents",
    "outputs_blobs.chunks": "frames, potentials, states",
    "archived_fireworks": "Fireworks left out by corrections",
    "tallies": "tallies",
    "rankings": "rankings without structures",
}


class Size(BaseModel):
    """Bytes of one thing."""

    what: str
    number: int | None = Field(None, description="documents; none of a folder")
    size: int = Field(description="bytes")


def database_sizes(database: Database) -> list[Size]:
    """Documents and bytes of all collections, the largest first."""
    sizes = []
    for name in database.list_collection_names():
        figures = database.command("collStats", name)
        if figures["count"]:
            what = CONTENTS.get(name, name)
            sizes.append(Size(what=what, number=figures["count"], size=int(figures["size"])))
    return sorted(sizes, key=lambda one: -one.size)


def folder_sizes(folder: Path) -> list[Size]:
    """Bytes of what is in a campaign's folder, the largest first."""
    sizes = [
        Size(what=f"{path.name}/" if path.is_dir() else path.name,
             size=folder_size(path) if path.is_dir() else path.lstat().st_size)
        for path in folder.iterdir() if not path.is_symlink()
    ]  # fmt: skip
    return sorted(sizes, key=lambda one: -one.size)


def in_words(size: float) -> str:
    """
    Return a number of bytes as people say it.

    Examples
    --------
    >>> in_words(2_300_000)
    '2.3 MB'
    """
    for unit in UNITS[:-1]:
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} {UNITS[-1]}"


def size_table(title: str, sizes: list[Size]) -> Table:
    """Tabulate sizes with their sum."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("documents", justify="right")
    table.add_column("size", justify="right")
    for one in sizes:
        number = "" if one.number is None else str(one.number)
        table.add_row(one.what, number, in_words(one.size))
    table.add_row("in all", "", in_words(sum(one.size for one in sizes)))
    return table
