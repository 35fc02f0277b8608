"""
All structures of a search, as columns: a few dozen bytes each, however long the search runs.

Geometries stay with the archive, for the structures that are kept. Columns are stored in pages; a
page that is full and unchanged is not packed again, so that saving costs the same after a thousand
generations as after ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nnp.storage.arrays import decode_array, encode_array
from search.state.individual import DUPLICATE, Individual

PAGE = 1024
"""Structures in a page."""
COLUMNS = {
    "generation": np.int32,
    "operator": np.int16,
    "parents": np.int32,
    "formula_units": np.int16,
    "energy": np.float64,
    "fitness": np.float64,
    "volume": np.float64,
    "status": np.int16,
    "duplicate_of": np.int32,
    "space_group": np.int16,
    "uncertainty": np.float64,
    "of_prototype": np.int8,
}
LATER = {"uncertainty": np.nan, "of_prototype": 0}
"""Columns that earlier states do not have, and what stands in for them."""
NOBODY = -1


class IndividualTable:
    """
    Individuals by id, without their structures.

    Examples
    --------
    >>> table = IndividualTable()
    >>> table.append(individual)
    >>> table[individual.id].energy
    """

    def __init__(self) -> None:
        self._length = 0
        self._columns = {name: _column(name, PAGE) for name in COLUMNS}
        self._words: dict[str, int] = {}
        self._packed: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Individual]:
        return (self[i] for i in range(self._length))

    def __getitem__(self, id_: int) -> Individual:
        if not 0 <= id_ < self._length:
            raise IndexError(f"there is no individual {id_}")
        row = {name: column[id_] for name, column in self._columns.items()}
        words = list(self._words)
        status = words[row["status"]]
        return Individual(
            id=id_,
            generation=int(row["generation"]),
            operator=words[row["operator"]],
            parents=tuple(int(p) for p in row["parents"] if p != NOBODY),
            formula_units=int(row["formula_units"]),
            energy=float(row["energy"]),
            fitness=float(row["fitness"]),
            volume=float(row["volume"]),
            status=f"{DUPLICATE} of {row['duplicate_of']}" if status == DUPLICATE else status,
            space_group=int(row["space_group"]) or None,
            uncertainty=None if np.isnan(row["uncertainty"]) else float(row["uncertainty"]),
            of_prototype=bool(row["of_prototype"]),
        )

    @property
    def energies(self) -> np.ndarray:
        """Energies (n,) in eV/atom, NaN where there is none."""
        return self._columns["energy"][: self._length].copy()

    def columns(self) -> dict[str, np.ndarray]:
        """All columns (n,), the parents (n, 2), by their names."""
        return {name: column[: self._length] for name, column in self._columns.items()}

    def with_rows(
        self,
        length: int,
        words: Sequence[str],
        rows: np.ndarray,
        columns: Mapping[str, np.ndarray],
    ) -> IndividualTable:
        """
        Return a table of some length in which rows are other ones.

        Parameters
        ----------
        length : int
            Of the table that is returned.
        words : sequence of str
            Its words; those of this table come first.
        rows : ndarray of int, (m,)
            Numbers of the rows.
        columns : mapping of str to ndarray
            Their values, by column.
        """
        table = IndividualTable()
        table._words = {word: code for code, word in enumerate(words)}
        table._length = length
        kept = min(length, self._length)
        for name in COLUMNS:
            column = _column(name, PAGE * max(-(-length // PAGE), 1))
            column[:kept] = self._columns[name][:kept]
            column[rows] = columns[name]
            table._columns[name] = column
        return table

    def append(self, individual: Individual) -> None:
        """Take in the next individual, whose id is the number of those before it."""
        if individual.id != self._length:
            raise ValueError(f"individual {individual.id} is not the next one, {self._length}")
        if self._length == len(self._columns["energy"]):
            for name, column in self._columns.items():
                self._columns[name] = np.concatenate([column, _column(name, len(column))])
        self._length += 1
        self.update(individual)

    def update(self, individual: Individual) -> None:
        """Write down what has changed about an individual."""
        status, _, better = individual.status.partition(f"{DUPLICATE} of ")
        values = {
            "generation": individual.generation,
            "operator": self._code(individual.operator),
            "parents": (*individual.parents, NOBODY, NOBODY)[:2],
            "formula_units": individual.formula_units,
            "energy": individual.energy,
            "fitness": individual.fitness,
            "volume": individual.volume,
            "status": self._code(status or DUPLICATE),
            "duplicate_of": int(better) if better else NOBODY,
            "space_group": individual.space_group or 0,
            "uncertainty": np.nan if individual.uncertainty is None else individual.uncertainty,
            "of_prototype": individual.of_prototype,
        }
        for name, value in values.items():
            self._columns[name][individual.id] = value
        self._packed.pop(individual.id // PAGE, None)

    def _code(self, word: str) -> int:
        return self._words.setdefault(word, len(self._words))

    def pack(self) -> dict[str, Any]:
        """Turn all into pages of compressed arrays."""
        pages = range(-(-self._length // PAGE))
        for page in pages:
            if page not in self._packed:
                rows = slice(page * PAGE, min((page + 1) * PAGE, self._length))
                self._packed[page] = {
                    name: encode_array(column[rows]) for name, column in self._columns.items()
                }
        return {
            "length": self._length,
            "words": list(self._words),
            "pages": [self._packed[page] for page in pages],
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> IndividualTable:
        """Undo `pack`."""
        table = cls()
        table._words = {word: code for code, word in enumerate(packed["words"])}
        pages = packed["pages"]
        table._length = int(packed["length"])
        for name in COLUMNS:
            parts = [_unpack_column(name, page) for page in pages]
            spare = _column(name, PAGE * max(len(pages), 1) - table._length)
            table._columns[name] = np.concatenate([*parts, spare])
        table._packed = dict(enumerate(pages))
        return table


def _unpack_column(name: str, page: Mapping[str, Any]) -> np.ndarray:
    if name in page or name not in LATER:
        return decode_array(page[name])
    return np.full(len(decode_array(page["energy"])), LATER[name])


def _column(name: str, rows: int) -> np.ndarray:
    return np.zeros((rows, 2) if name == "parents" else rows, dtype=COLUMNS[name])
