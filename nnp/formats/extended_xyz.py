"""
Extended XYZ as other programs write it, which is more than ASE takes.

Stresses and virials may be of six numbers, of nine or in JSON; ``Lattice``, ``Properties`` and
``pbc`` may be in any case. What would be read in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnp.formats.compressed import open_bytes, text_lines

if TYPE_CHECKING:
    from ase import Atoms

#: What ASE takes as nine numbers only, and of a matrix that is not symmetric one half.
_TENSORS = re.compile(r"(?<!\S)(stress|virial)(?=\s*=)")
#: Set before these names, so that ASE reads whatever numbers there are.
_MARK = "as_written_"
_GEOMETRY = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_GEOMETRY_KEYS = re.compile(rf"(?<!\S)({'|'.join(_GEOMETRY)})(?=\s*=)", re.IGNORECASE)
_KEYS = re.compile(r"(?<!\S)([A-Za-z_][\w.-]*)\s*=")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\{[^{}]*\}|\[[^\[\]]*\]")


class ExtendedXyzError(ValueError):
    """A file is broken, or says one thing twice; the message says where."""


def looks_like_extended_xyz(lines: Sequence[str]) -> bool:
    """Whether a file begins with a number of atoms and a line of keys."""
    second = lines[1] if len(lines) > 1 else ""
    found = {key.lower() for key in _KEYS.findall(second)}
    return lines[0].strip().isdigit() and bool(found & {"lattice", "properties"})


def read_extended_xyz(path: Path) -> list[Atoms]:
    """
    Read all frames.

    Parameters
    ----------
    path : Path
        Plain or compressed.

    Returns
    -------
    list of Atoms
        Stresses and virials are symmetric; whatever else is said is where ASE puts it.

    Raises
    ------
    ExtendedXyzError
        If a frame announces atoms that are not there, says something twice, or has a stress or
        virial that is none.
    Exception
        Whatever ASE's reader raises of a malformed file.
    """
    from ase.io import read

    _check_atom_counts(path)
    with TextIOWrapper(open_bytes(path), encoding="utf-8") as source:
        options: dict[str, Any] = {"properties_parser": _Headers(path)}
        found = read(source, index=":", format="extxyz", **options)
    return found if isinstance(found, list) else [found]


class _Headers:
    """Reader of the second lines of frames, which counts them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frame = -1

    def __call__(self, line: str) -> dict[str, Any]:
        """What a line says, by name."""
        from ase.io.extxyz import key_val_str_to_dict

        self.frame += 1
        line = _GEOMETRY_KEYS.sub(lambda match: _GEOMETRY[match[1].lower()], line)
        keys = _KEYS.findall(_QUOTED.sub("0", line))
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ExtendedXyzError(f"frame {self.frame} of {self.path} says {twice} twice")
        values = key_val_str_to_dict(_TENSORS.sub(rf"{_MARK}\1", line))
        for name in ("stress", "virial"):
            if _MARK + name in values:
                values[name] = self._matrix(name, values.pop(_MARK + name))
        return values

    def _matrix(self, name: str, value: Any) -> NDArray[np.float64]:
        try:
            return symmetric_matrix(value)
        except (TypeError, ValueError) as error:
            reason = "words" if isinstance(value, str) else str(error)
            raise ExtendedXyzError(
                f"frame {self.frame} of {self.path} has a {name} of {reason}"
            ) from None


def _check_atom_counts(path: Path) -> None:
    """Refuse a file that announces more atoms than it has, before room is made for them."""
    lines = [line.rstrip() for line in text_lines(path)]
    position, frame = 0, 0
    while position < len(lines) and lines[position].strip():
        try:
            n_atoms = int(lines[position])
        except ValueError:
            raise ExtendedXyzError(
                f"line {position + 1} of {path} should be the number of atoms of frame {frame}"
            ) from None
        position += n_atoms + 2
        if n_atoms < 1 or position > len(lines):
            raise ExtendedXyzError(
                f"frame {frame} of {path} announces {n_atoms} atoms, which are not there"
            )
        frame += 1


def symmetric_matrix(values: Any) -> NDArray[np.float64]:
    """
    Make a matrix of nine numbers, or of six in Voigt's order xx, yy, zz, yz, xz, xy.

    Parameters
    ----------
    values : array_like
        Stress or virial.

    Returns
    -------
    ndarray
        Shape (3, 3).

    Raises
    ------
    ValueError
        If there are other than six or nine numbers, or the nine are not symmetric.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.size == 6:
        xx, yy, zz, yz, xz, xy = numbers.ravel()
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if numbers.size != 9:
        raise ValueError(f"{numbers.size} numbers, not 6 or 9")
    full = numbers.reshape(3, 3)
    if not np.allclose(full, full.T, rtol=0.0, atol=1e-3 * max(1e-3, float(np.abs(full).max()))):
        raise ValueError("a matrix that is not symmetric")
    return 0.5 * (full + full.T)
