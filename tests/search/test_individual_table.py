from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from search.state.individual import Individual
from search.state.individual_table import PAGE, IndividualTable


def _individual(id_: int, **changes: Any) -> Individual:
    values = {
        "generation": id_ // 10,
        "operator": ("random", "heredity")[id_ % 2],
        "parents": (id_ - 1, id_ - 2)[: id_ % 3] if id_ > 2 else (),
        "formula_units": 2,
        "energy": -1.0 - id_ / 7,
        "fitness": -1.0 - id_ / 9,
        "volume": 10.0,
        "status": "converged",
    }
    return Individual(id=id_, **(values | changes))


def _table(n: int) -> IndividualTable:
    table = IndividualTable()
    for i in range(n):
        table.append(_individual(i))
    return table


@pytest.mark.parametrize("n", [0, 1, PAGE, 2 * PAGE + 3])
def test_round_trip(n: int) -> None:
    table = _table(n)
    again = IndividualTable.unpack(json.loads(json.dumps(table.pack())))
    assert len(again) == n
    assert list(again) == list(table) == [_individual(i) for i in range(n)]
    again.append(_individual(n))
    assert again[n] == _individual(n)
    np.testing.assert_array_equal(again.energies[:n], table.energies)


def test_changes_reach_pages_that_were_packed_before() -> None:
    table = _table(2 * PAGE)
    table.pack()
    table.update(_individual(5, status="duplicate of 1999", space_group=62))
    again = IndividualTable.unpack(table.pack())
    assert again[5].status == "duplicate of 1999"
    assert again[5].space_group == 62
    assert again[4].space_group is None


def test_full_pages_are_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from search.state import individual_table

    table = _table(3 * PAGE + 1)
    table.pack()
    packed = []
    monkeypatch.setattr(individual_table, "encode_array", lambda array: packed.append(len(array)))
    table.append(_individual(3 * PAGE + 1))
    table.pack()
    assert set(packed) == {2}


def test_energies_without_value_and_undefined() -> None:
    table = _table(1)
    table.append(_individual(1, energy=float("nan"), status="aborted: job failed"))
    assert np.isnan(IndividualTable.unpack(table.pack())[1].energy)


def test_mistakes_are_told() -> None:
    table = _table(2)
    with pytest.raises(ValueError, match="not the next one"):
        table.append(_individual(5))
    with pytest.raises(IndexError, match="no individual 2"):
        table[2]
