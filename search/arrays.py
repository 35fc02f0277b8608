"""Arrays as compressed text, so that the state of a search stays small wherever it is stored."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 1
"""Of compression: coordinates hardly compress, so that more effort is lost on them."""


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """Turn an array into a dictionary of its type, shape and compressed bytes."""
    contiguous = np.ascontiguousarray(array)
    return {
        "dtype": contiguous.dtype.str,
        "shape": list(contiguous.shape),
        "data": base64.b64encode(zlib.compress(contiguous.tobytes(), LEVEL)).decode("ascii"),
    }


def unpack(packed: dict[str, Any]) -> NDArray[Any]:
    """Inverse of `pack`; the array is a writable copy."""
    raw = zlib.decompress(base64.b64decode(packed["data"]))
    return np.frombuffer(raw, dtype=packed["dtype"]).reshape(packed["shape"]).copy()
