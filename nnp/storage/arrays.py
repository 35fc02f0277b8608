"""Arrays in JSON documents: compressed bytes, never lists of numbers."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def encode_array(array: NDArray[Any], level: int = 6) -> dict[str, Any]:
    """
    Pack an array into a small JSON-safe dictionary.

    Parameters
    ----------
    array : ndarray
        Any array of numbers or of strings; strings are stored as UTF-8 lines.
    level : int
        Of compression: from 1, fast, to 9, small.

    Returns
    -------
    dict
        ``dtype``, ``shape`` and ``data``, zlib-compressed bytes in base64.

    Examples
    --------
    >>> decode_array(encode_array(np.arange(3.0)))
    array([0., 1., 2.])
    """
    array = np.asarray(array)
    if array.dtype.kind == "U":
        dtype, raw = "str", "\n".join(array.ravel().tolist()).encode()
    else:
        # Little endian whatever the machine, so that documents travel.
        array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        dtype, raw = array.dtype.str, array.tobytes()
    data = base64.b64encode(zlib.compress(raw, level)).decode("ascii")
    return {"dtype": dtype, "shape": list(array.shape), "data": data}


def decode_array(document: dict[str, Any]) -> NDArray[Any]:
    """Unpack what :func:`encode_array` packed; the result is writable."""
    try:
        raw = zlib.decompress(base64.b64decode(document["data"]))
    except zlib.error as error:
        raise ValueError("an array of the document is damaged") from error
    shape = tuple(document["shape"])
    if document["dtype"] == "str":
        lines = raw.decode().split("\n") if np.prod(shape) else []
        return np.array(lines, dtype=str).reshape(shape)
    stored = np.frombuffer(raw, dtype=np.dtype(document["dtype"])).reshape(shape)
    return stored.astype(stored.dtype.newbyteorder("="))
