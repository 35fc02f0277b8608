"""Checkpoints that survive being killed at any moment."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nnp.storage.arrays import decode_array, encode_array
from nnp.storage.files import write_atomically


def write_checkpoint(path: Path, fingerprint: str, state: dict[str, Any]) -> None:
    """Write a nested dictionary of arrays and plain values, replacing the file in one step."""
    document = {"fingerprint": fingerprint, "state": _encode(state)}
    write_atomically(path, zlib.compress(json.dumps(document).encode(), 1))


def read_checkpoint(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Read it back; None if there is none, it is broken, or it belongs to another run."""
    try:
        document = json.loads(zlib.decompress(path.read_bytes()))
        if document["fingerprint"] != fingerprint:
            return None
        state: dict[str, Any] = _decode(document["state"])
    except (FileNotFoundError, zlib.error, KeyError, RecursionError, TypeError, ValueError):
        return None
    return state


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": encode_array(value)}
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encode(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return decode_array(value["array"])
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value
