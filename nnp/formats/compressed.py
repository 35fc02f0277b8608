"""Files that may be compressed, as programs leave them to save space."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

#: How the content of a file begins, and what opens it.
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
#: Raised by a compressed file that ends in the middle, or is damaged.
DAMAGES = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
_CHUNK = 1 << 20


def open_bytes(path: Path) -> IO[bytes]:
    """
    Open a file for reading, decompressed if its content says that it is compressed.

    Parameters
    ----------
    path : Path
        Plain, or by gzip, bzip2 or xz, whatever its name.

    Raises
    ------
    OSError
        If there is no such file.
    """
    with path.open("rb") as file:
        start = file.read(6)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            return cast("IO[bytes]", opener(path, "rb"))
    return path.open("rb")


def read_start(path: Path, n_bytes: int) -> bytes:
    """Give the first bytes of a file, decompressed; none of a damaged one."""
    try:
        with open_bytes(path) as file:
            return file.read(n_bytes)
    except DAMAGES:
        return b""


def chunks(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece, decompressed; a damaged one as far as it is whole."""
    with open_bytes(path) as file:
        try:
            while data := file.read(_CHUNK):
                yield data
        except DAMAGES:
            return


def text_lines(path: Path) -> Iterator[str]:
    """Read a file line by line, decompressed; a damaged one as far as it is whole."""
    with open_bytes(path) as file:
        try:
            for line in file:
                yield line.decode("latin-1")
        except DAMAGES:
            return
