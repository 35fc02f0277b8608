"""Ways to spoil a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

NUMBER = re.compile(rb"(?<![\w.])-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w.])")
#: Put in place of a number.
WILD = (b"nan", b"inf", b"-inf", b"1e300", b"-1e300", b"***", b"1e-320", b"", b"-1", b"0",
        b"9" * 30, b"1000000000", b"true", b"0x1f", b"1,5", b"-99999.0", b"NaN", b"[]", b"null",
        b"1e999", b"!!python/object:os.system {}")  # fmt: skip
#: In the middle of a file.
GARBAGE = (b"\x00" * 8, b"\xff\xfe\xfa", b"\n\n\n", b"&a [*a]", b"<!ENTITY x 'y'>", b"{" * 3000,
           b"[" * 100_000, b"'\"", b"\r", b"\t\t", b"nan nan nan nan\n", b"1 2 3\n", b"]]>", b"%s",
           "☃".encode(), b"A" * 200_000, b"-" * 50)  # fmt: skip


def truncate(data: bytes, rng: Random) -> bytes:
    """Leave the end out."""
    return data[: rng.randrange(len(data))]


def behead(data: bytes, rng: Random) -> bytes:
    """Leave the beginning out."""
    return data[rng.randrange(1, len(data)) :]


def flip(data: bytes, rng: Random) -> bytes:
    """Change some bytes."""
    raw = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 20])):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


def insert(data: bytes, rng: Random) -> bytes:
    """Put garbage in."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(GARBAGE) + data[at:]


def number(data: bytes, rng: Random) -> bytes:
    """Put nonsense in place of a number."""
    found = list(NUMBER.finditer(data))
    if not found:
        return insert(data, rng)
    for match in sorted(rng.sample(found, min(len(found), rng.choice([1, 1, 1, 3]))),
                        key=lambda match: -match.start()):  # fmt: skip
        data = data[: match.start()] + rng.choice(WILD) + data[match.end() :]
    return data


def _lines(change: Callable[[list[bytes], Random], None]) -> Callable[[bytes, Random], bytes]:
    def changed(data: bytes, rng: Random) -> bytes:
        lines = data.splitlines(keepends=True)
        change(lines, rng)
        return b"".join(lines)

    return changed


def _drop(lines: list[bytes], rng: Random) -> None:
    del lines[rng.randrange(len(lines))]


def _double(lines: list[bytes], rng: Random) -> None:
    at = rng.randrange(len(lines))
    lines.insert(at, lines[at])


def _swap(lines: list[bytes], rng: Random) -> None:
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one]


def recode(data: bytes, rng: Random) -> bytes:
    """Write the text another way."""
    text = data.decode("latin-1")
    return rng.choice([
        text.encode("utf-16"), b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"),
        data.upper(), data * 2, b"", b"\n", data.replace(b" ", b""), b"\x1f\x8b" + data,
    ])  # fmt: skip


#: By the names in reports.
MUTATIONS: dict[str, Callable[[bytes, Random], bytes]] = {
    "truncated": truncate, "beheaded": behead, "bytes changed": flip, "garbage inside": insert,
    "a number replaced": number, "a number replaced again": number, "a line lost": _lines(_drop),
    "a line twice": _lines(_double), "lines swapped": _lines(_swap), "recoded": recode,
}  # fmt: skip
