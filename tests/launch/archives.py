"""Archives of campaigns for the tests: those of earlier versions, and others made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launch.transfer.archive import ArchiveReader, to_line, write_archive

CAMPAIGNS = Path(__file__).parents[1] / "integration" / "campaigns"
#: Killed when its training began; by version of campaigns.
UNFINISHED = CAMPAIGNS / "version-3.zip"
COMPLETE = {1: CAMPAIGNS / "version-1.zip", 2: CAMPAIGNS / "version-2.zip"}
Change = Callable[[list[dict[str, Any]]], object]


def rebuilt(
    path: Path, changes: Mapping[str, Change], source: Path = UNFINISHED, **entry: object
) -> Path:
    """
    Write an archive with other documents and right checksums, as whoever means harm would.

    Parameters
    ----------
    path : Path
        Of the new archive.
    changes : mapping of str to callable
        By the name of a file: changes the list of its documents. Of blobs by ``blobs/first``.
    source : Path
        The archive that it is made of.
    **entry : object
        Of the campaign in the manifest.
    """
    with ArchiveReader(source) as old, write_archive(path) as new:
        first = next(name for name in old.manifest.files if "/blobs/" in name)
        for name in old.manifest.files:
            short = "blobs/first" if name == first else name.rpartition("/")[2]
            content = old.read(name)
            if short in changes:
                lines = content.decode().splitlines() if name != first else [content.decode()]
                whole = short.endswith(".json")
                documents = [json.loads(content)] if whole else [json.loads(x) for x in lines]
                changes[short](documents)
                content = b"".join(map(to_line, documents))
                content = content.rstrip(b"\n") if name == first else content
            new.add(name, [content])
        campaigns = [one.model_copy(update=entry) for one in old.manifest.campaigns]
        new.finish(campaigns)
    return path
