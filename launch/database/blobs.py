"""What documents refer to that is kept beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def blobs_in(value: Any) -> Iterator[str]:
    """Yield the ids of the blobs that a document refers to."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("blob_uuid"), str):
                yield part["blob_uuid"]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
