"""JSON documents in compressed files that know when they are damaged."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from nnp.storage.files import write_atomically

T = TypeVar("T")

_CHECKSUM = "checksum"
#: Bytes: a small file may stand for one of any size.
LARGEST_DOCUMENT = 2_000_000_000


def write_document(path: Path, document: dict[str, Any]) -> None:
    """
    Write a document with its checksum, replacing the file in one step.

    Parameters
    ----------
    path : Path
        File to write.
    document : dict
        Plain values.

    Raises
    ------
    OSError
        If it cannot be written; what was at `path` is still there then.
    """
    # Keys as they will be read, so that the checksum is that of what is read.
    plain = json.loads(json.dumps(document))
    text = json.dumps({**plain, _CHECKSUM: _checksum(plain)})
    write_atomically(path, zlib.compress(text.encode(), 6))


def read_document(path: Path) -> dict[str, Any]:
    """
    Read what :func:`write_document` wrote; nothing in the file is executed.

    Parameters
    ----------
    path : Path
        File to read. Documents of other programs may lack the checksum.

    Returns
    -------
    dict
        Without the checksum.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is something else, or has been cut or changed.
    """
    raw = path.read_bytes()
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(raw, LARGEST_DOCUMENT)
    except zlib.error as error:
        raise ValueError("it is not a compressed document") from error
    if unpacker.unconsumed_tail:
        raise ValueError(f"it would be larger than {LARGEST_DOCUMENT / 1e9:g} GB")
    if not unpacker.eof:
        raise ValueError("it has been cut: its end is missing")
    if unpacker.unused_data:
        raise ValueError("it has been changed: something follows its end")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not a document") from error
    if not isinstance(document, dict):
        raise ValueError("it is not a document")
    found = document.pop(_CHECKSUM, None)
    if found is not None and found != _checksum(document):
        raise ValueError("it has been changed: its checksum does not fit")
    return document


def decoded(cls: type[T], value: Any) -> T:
    """
    Give an object from its document, or the object if that was done already, as Monty does.

    Parameters
    ----------
    cls : type
        Class with a method ``from_dict``.
    value : object or dict
        An object of the class, or its document.

    Returns
    -------
    object
    """
    found: T = cls.from_dict(value) if isinstance(value, dict) else value  # type: ignore[attr-defined]
    return found


class UnknownClassError(ValueError):
    """
    A document holds an object of a class that is not to be made from documents.

    Parameters
    ----------
    sentence : str
        What is wrong.
    module, name : object
        Of the class or function, as the document gives them; none if it gives none.
    """

    def __init__(self, sentence: str, module: Any = None, name: Any = None) -> None:
        super().__init__(sentence)
        self.module, self.name = module, name


def require_known(document: Any, known: Collection[tuple[str, str]]) -> None:
    """
    Refuse a document from which Monty would make anything but objects of known classes.

    Monty imports whatever module a document names and calls what it finds there: who can write a
    document could have any code run by who reads it.

    Parameters
    ----------
    document : object
        Plain values in dictionaries and lists.
    known : collection of tuple
        Modules and names of classes.

    Raises
    ------
    UnknownClassError
        With the name of the class.
    """
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            if "@module" in value and ("@callable" in value or not _is_in(value, known)):
                name = value.get("@class", value.get("@callable"))
                module = value["@module"]
                raise UnknownClassError(
                    f"a document names {name!r:.80} of {module!r:.80}, which no job stores: it is "
                    "not read",
                    module,
                    name,
                )


def _is_in(document: dict[str, Any], known: Collection[tuple[str, str]]) -> bool:
    found = document["@module"], document.get("@class")
    return all(isinstance(name, str) for name in found) and found in known


def _checksum(document: dict[str, Any]) -> str:
    """SHA-256 of the document in its one canonical form."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
