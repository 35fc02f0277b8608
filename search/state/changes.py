"""
What has changed between two states of a search, and the later state from the earlier one.

A state grows with every structure, and most of it stays as it was: rows of individuals that were
told of long ago, geometries of members of the archive. States are the documents that
:meth:`search.state.evolution.Evolution.as_dict` makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from monty.json import MSONable
from numpy.typing import NDArray

from nnp.storage.arrays import decode_array, encode_array
from search.state.individual_table import IndividualTable

State = dict[str, Any]


class StateChanges(MSONable):
    """
    The difference of two states of a search.

    Parameters
    ----------
    names : list of str
        Fields of the later state, in their order.
    changed : dict of str to dict
        What has become of those that changed.
    """

    def __init__(self, names: Sequence[str], changed: Mapping[str, dict[str, Any]]) -> None:
        self.names = list(names)
        self.changed = dict(changed)

    def as_dict(self) -> dict[str, Any]:
        """Return it, ready for JSON."""
        kind = type(self)
        return {
            "@module": kind.__module__,
            "@class": kind.__name__,
            "names": self.names,
            "changed": self.changed,
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Self:
        """Undo `as_dict`."""
        return cls(d["names"], d["changed"])

    @classmethod
    def between(cls, before: State, after: State) -> Self:
        """
        Compare two states of one search.

        Parameters
        ----------
        before, after : dict
            States; the later one may be of any number of generations later.
        """
        changed = {
            name: _difference(name, before.get(name), value)
            for name, value in after.items()
            if name not in before or before[name] != value
        }
        return cls(list(after), changed)

    def applied_to(self, before: State) -> State:
        """
        Return the later state.

        Parameters
        ----------
        before : dict
            The earlier one, as it was compared; it stays as it is.
        """
        return {
            name: _later(name, before.get(name), self.changed[name])
            if name in self.changed
            else before[name]
            for name in self.names
        }


def _difference(name: str, before: Any, after: Any) -> dict[str, Any]:
    if before is not None:
        if name == "individuals" and before["words"] == after["words"][: len(before["words"])]:
            return _changed_rows(before, after)
        if name == "lineages":
            return _changed_lineages(before, after)
        if name == "unknown":
            return {"members": _changed_members(after, [before])}
        if isinstance(before, list) and before == after[: len(before)]:
            return {"appended": after[len(before) :]}
    return {"whole": after}


def _later(name: str, before: Any, change: Mapping[str, Any]) -> Any:
    if "whole" in change:
        return change["whole"]
    if "appended" in change:
        return [*before, *change["appended"]]
    if name == "individuals":
        return _with_rows(before, change)
    if name == "lineages":
        return _later_lineages(before, change)
    return _with_members(change["members"], [before])


def _changed_rows(before: State, after: State) -> dict[str, Any]:
    """Rows of the table of individuals that are new or other ones."""
    old, new = IndividualTable.unpack(before).columns(), IndividualTable.unpack(after).columns()
    common = min(int(before["length"]), int(after["length"]))
    differs = np.zeros(common, dtype=bool)
    for name, column in new.items():
        was, now = _bytes_of_rows(old[name][:common]), _bytes_of_rows(column[:common])
        differs |= (was != now).any(axis=1)
    rows = np.concatenate([np.flatnonzero(differs), np.arange(common, int(after["length"]))])
    return {
        "length": after["length"],
        "words": after["words"],
        "rows": encode_array(rows.astype(np.int64)),
        "columns": {name: encode_array(column[rows]) for name, column in new.items()},
    }


def _with_rows(before: State, change: Mapping[str, Any]) -> State:
    rows = decode_array(change["rows"])
    columns = {name: decode_array(packed) for name, packed in change["columns"].items()}
    table = IndividualTable.unpack(before)
    return table.with_rows(int(change["length"]), change["words"], rows, columns).pack()


def _bytes_of_rows(column: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes of each row: numbers that are none are equal if their bytes are."""
    whole = np.ascontiguousarray(column)
    return whole.view(np.uint8).reshape(len(whole), -1) if len(whole) else np.zeros((0, 1), "u1")


def _changed_lineages(before: State, after: State) -> dict[str, Any]:
    earlier = [before["archive"], *([before["present"]] if before["present"] else [])]
    present = after["present"]
    return {
        "others": {k: v for k, v in after.items() if k not in ("archive", "present")},
        "archive": _changed_members(after["archive"], earlier),
        # members of the lineage are in the archive as well, most of them
        "present": present and _changed_members(present, [*earlier, after["archive"]]),
    }


def _later_lineages(before: State, change: Mapping[str, Any]) -> State:
    earlier = [before["archive"], *([before["present"]] if before["present"] else [])]
    archive = _with_members(change["archive"], earlier)
    present = change["present"] and _with_members(change["present"], [*earlier, archive])
    return {"archive": archive, "present": present, **change["others"]}


class _Member(NamedTuple):
    """Arrays of one structure: numbers, cell, positions and atomic energies."""

    numbers: NDArray[Any]
    cell: NDArray[Any]
    positions: NDArray[Any]
    atomic_energies: NDArray[Any]

    def same_as(self, other: _Member) -> bool:
        return all(a.tobytes() == b.tobytes() for a, b in zip(self, other, strict=True))


def _members(packed: State) -> dict[int, _Member]:
    """Members of a packed archive by their ids, in its order."""
    ids, counts = decode_array(packed["ids"]), decode_array(packed["counts"])
    if not len(ids):
        return {}
    ends = np.cumsum(counts)[:-1]
    parts = [np.split(decode_array(packed[n]), ends) for n in
             ("numbers", "positions", "atomic_energies")]  # fmt: skip
    cells = decode_array(packed["cells"])
    return {
        int(id_): _Member(numbers, cell, positions, atomic)
        for id_, cell, numbers, positions, atomic in zip(ids, cells, *parts, strict=True)
    }


def _pool(packs: Sequence[State]) -> dict[int, _Member]:
    """Members of several packed archives; the first that has one gives it."""
    found: dict[int, _Member] = {}
    for packed in packs:
        found = {**_members(packed), **found}
    return found


def _changed_members(after: State, earlier: Sequence[State]) -> dict[str, Any]:
    members, known = _members(after), _pool(earlier)
    if not members:
        return {"whole": after}
    new = {i: m for i, m in members.items() if i not in known or not m.same_as(known[i])}
    return {"ids": after["ids"], "new": _pack(new) if new else None}


def _with_members(change: Mapping[str, Any], earlier: Sequence[State]) -> State:
    if "whole" in change:
        whole: State = change["whole"]
        return whole
    known = _pool(earlier) | (_members(change["new"]) if change["new"] else {})
    return _pack({int(i): known[int(i)] for i in decode_array(change["ids"])})


def _pack(members: Mapping[int, _Member]) -> State:
    """Arrays of members as :func:`search.state.archive.pack_members` has them."""
    parts = list(members.values())
    return {
        "ids": encode_array(np.array(list(members), dtype=np.int64)),
        "counts": encode_array(np.array([len(m.numbers) for m in parts], dtype=np.int32)),
        "numbers": encode_array(np.concatenate([m.numbers for m in parts])),
        "cells": encode_array(np.array([m.cell for m in parts]).reshape(-1, 3, 3)),
        "positions": encode_array(np.concatenate([m.positions for m in parts])),
        "atomic_energies": encode_array(np.concatenate([m.atomic_energies for m in parts])),
    }
