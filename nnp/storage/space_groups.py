"""Symmetry operations of crystals: as files list them, or of the space group that they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Settings in spglib's table of space groups.
_HALL_NUMBERS = range(1, 531)
#: ICSD's letters for the two origins.
_ORIGINS = {"s": "1", "z": "2"}
#: How far a rotation may distort a cell, as a part of it.
_METRIC_TOLERANCE = 0.02


class SpaceGroupError(ValueError):
    """Operations that make no space group, or a symbol that does not say which ones it means."""


class Operations(NamedTuple):
    """
    Rotations and translations of fractional coordinates.

    Attributes
    ----------
    rotations : (n, 3, 3) int array
    translations : (n, 3) array
    """

    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]

    def keep(self, cell: NDArray[np.float64]) -> bool:
        """Whether they leave the lengths and angles of a cell (rows, Å) as they are."""
        metric = cell @ cell.T
        lengths = np.sqrt(np.diag(metric))
        rotated = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        return bool(
            (np.abs(rotated - metric) < _METRIC_TOLERANCE * np.outer(lengths, lengths)).all()
        )

    def n_rotations(self) -> int:
        """Order of the point group."""
        return len(np.unique(self.rotations, axis=0))


def listed_operations(texts: Sequence[str]) -> Operations:
    """
    Read operations as CIF writes them, for instance ``-x+1/2, y, z``.

    Raises
    ------
    SpaceGroupError
        If one cannot be read, or they are no group: some are missing then.
    """
    from pymatgen.core.operations import SymmOp

    rotations, translations = [], []
    for text in texts:
        try:
            operation = SymmOp.from_xyz_str(text)
        except (ValueError, ZeroDivisionError, IndexError, TypeError):
            raise SpaceGroupError(f"has an operation that cannot be read, {text!r}") from None
        rotations.append(operation.rotation_matrix)
        translations.append(operation.translation_vector)
    whole = np.rint(rotations).astype(np.int64)
    found = Operations(whole, _in_parts(np.array(translations)))
    if not np.allclose(rotations, whole) or not _is_group(found):
        raise SpaceGroupError("lists operations that are no group: some are missing or wrong")
    return found


def _in_parts(translations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Translations in [0, 1), rounded numbers such as 0.3333 made exact."""
    exact = np.rint(24 * translations) / 24
    near = np.abs(exact - translations) < 2e-3
    parts: NDArray[np.float64] = np.where(near, exact, translations) % 1.0
    return parts


def _is_group(operations: Operations) -> bool:
    """Whether every product of two operations is among them."""

    def words(rotations: NDArray[np.int64], translations: NDArray[np.float64]) -> set[bytes]:
        parts = np.rint(24 * translations).astype(np.int64) % 24
        rows = np.concatenate([rotations.reshape(len(rotations), 9), parts], axis=1)
        return {row.tobytes() for row in rows}

    rotations, translations = operations
    if len(rotations) > 192 or not (np.abs(np.rint(np.linalg.det(rotations))) == 1).all():
        return False
    products = np.einsum("aij,bjk->abik", rotations, rotations).reshape(-1, 3, 3)
    shifts = np.einsum("aij,bj->abi", rotations, translations) + translations[:, None]
    return words(products, shifts.reshape(-1, 3)) <= words(rotations, translations)


class _Setting(NamedTuple):
    hall_number: int
    group: int
    choice: str
    hall_symbol: str
    symbols: frozenset[str]


def named_operations(
    *, symbol: str, hall: str, number: int | None, choice: str, cell: NDArray[np.float64]
) -> list[Operations]:
    """
    Operations of the space group that a file names; several if its words fit several origins.

    Parameters
    ----------
    symbol : str
        Of Hermann and Mauguin, with or without an origin such as ``:2``; may be empty.
    hall : str
        Hall's symbol; may be empty.
    number : int or None
        In the International Tables.
    choice : str
        Origin or setting; may be empty.
    cell : (3, 3) array
        Lattice vectors as rows, Å, which tell axes apart.

    Raises
    ------
    SpaceGroupError
        If no setting of any space group is meant.
    """
    settings = _settings()
    if hall:
        settings = [s for s in settings if _plain(s.hall_symbol) == _plain(hall)]
        if not settings:
            raise SpaceGroupError(f"names a space group that is not known, {hall}")
    elif symbol:
        settings = _of_symbol(symbol)
        choice = choice or _choice_of(symbol)
    if number is not None:
        settings = [s for s in settings if s.group == number]
    if not (hall or symbol) and settings and 3 <= settings[0].group <= 15:
        settings = settings[:1]  # the usual setting where only the number is told
    if choice and len(settings) > 1:
        told = _ORIGINS.get(choice.lower(), choice.lower())
        settings = [s for s in settings if s.choice.lower() == told] or [
            s for s in settings if s.choice.lower().startswith(told)
        ]
    elif any(not s.choice and _plain(symbol) in s.symbols for s in settings):
        settings = [s for s in settings if not s.choice]
    if not settings:
        raise SpaceGroupError("names its space group in a way that does not fit together")
    fitting = [s for s in settings if _operations(s.hall_number).keep(cell)]
    if not fitting:
        raise SpaceGroupError("names a space group that its cell does not have")
    axes = {s.choice.strip("-")[:1] for s in fitting}
    if len(axes) > 1 and axes <= set("abc"):  # two axes of the same length: b is unique as a rule
        fitting = [s for s in fitting if s.choice.strip("-")[:1] == min(axes, key="bca".index)]
    return _distinct([_operations(s.hall_number) for s in fitting])


def order_of(number: int) -> int:
    """Order of the point group of a space group by its number; 0 if there is no such number."""
    fitting = [s.hall_number for s in _settings() if s.group == number]
    return _operations(fitting[0]).n_rotations() if fitting else 0


def _distinct(found: list[Operations]) -> list[Operations]:
    """Those that differ by more than their order."""

    def key(operations: Operations) -> frozenset[bytes]:
        parts = np.rint(24 * operations.translations).astype(np.int64) % 24
        rows = np.concatenate([operations.rotations.reshape(-1, 9), parts], axis=1)
        return frozenset(row.tobytes() for row in rows)

    return list({key(operations): operations for operations in found}.values())


@lru_cache(maxsize=600)
def _operations(hall_number: int) -> Operations:
    import spglib

    found = spglib.get_symmetry_from_database(hall_number)
    if found is None:
        raise SpaceGroupError(f"setting {hall_number} is not in the table of space groups")
    return Operations(found["rotations"].astype(np.int64), found["translations"])


@lru_cache(maxsize=1)
def _table() -> tuple[_Setting, ...]:
    import spglib

    settings = []
    for hall_number in _HALL_NUMBERS:
        found = spglib.get_spacegroup_type(hall_number)
        if found is None:
            continue
        generic, *special = found.international.split("=")
        names = {_plain(name) for name in special or [generic]}
        if special:  # monoclinic: P 1 21/n 1 is P 21/n for short
            names |= {_plain(re.sub(r"\b1\b", "", name)) for name in special}
        if not special or found.choice.strip("-").startswith("b1"):
            names.add(_plain(generic))
        settings.append(
            _Setting(hall_number, found.number, found.choice, found.hall_symbol, frozenset(names))
        )
    return tuple(settings)


def _settings() -> list[_Setting]:
    return list(_table())


def _plain(symbol: str) -> str:
    """Symbol without spaces, underscores, the case of letters and quotes."""
    return re.sub(r"[\s_'\"()]", "", symbol).lower()


def _choice_of(symbol: str) -> str:
    """Origin or setting at the end of a symbol: ``:2``, ``:H``, ICSD's ``Z``, ``S``, ``R``."""
    if ":" in symbol:
        return symbol.rpartition(":")[2].strip()
    found = re.search(r"\s([SZHR])$", symbol.strip())
    return found[1] if found else ""


def _of_symbol(symbol: str) -> list[_Setting]:
    """Settings that a symbol may mean, also in the ways it was written before."""
    text = symbol.partition(":")[0].strip()
    bare = _plain(re.sub(r"\s[SZHR]$", "", text))
    barred = re.sub(r"(?<=[a-z])3", "-3", bare)  # Fm3m was written for Fm-3m
    for name in dict.fromkeys((bare, barred)):
        if found := [s for s in _settings() if name in s.symbols]:
            return found
    # the double glide plane e was written as one of the two it is
    for s in _settings():
        for known in s.symbols:
            if "e" in known and re.fullmatch(known.replace("e", "[abc]"), bare):
                return [t for t in _settings() if known in t.symbols]
    raise SpaceGroupError(f"names a space group that is not known, {symbol}")
