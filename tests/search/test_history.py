import json

import numpy as np
import pytest

from search.state.archive import Individual
from search.state.individuals import PAGE, History


def _individual(id_: int, **changes) -> Individual:
    values = {
        "generation": id_ // 10,
        "operator": ("random", "heredity")[id_ % 2],
        "parents": (id_ - 1, id_ - 2)[: id_ % 3] if id_ > 2 else (),
        "formula_units": 2,
        "energy": -1.0 - id_ / 7,
        "volume": 10.0,
        "status": "converged",
    }
    return Individual(id=id_, **(values | changes))


def _history(n: int) -> History:
    history = History()
    for i in range(n):
        history.append(_individual(i))
    return history


@pytest.mark.parametrize("n", [0, 1, PAGE, 2 * PAGE + 3])
def test_round_trip(n):
    history = _history(n)
    again = History.unpack(json.loads(json.dumps(history.pack())))
    assert len(again) == n
    assert list(again) == list(history) == [_individual(i) for i in range(n)]
    again.append(_individual(n))
    assert again[n] == _individual(n)
    np.testing.assert_array_equal(again.energies[:n], history.energies)


def test_changes_reach_pages_that_were_packed_before():
    history = _history(2 * PAGE)
    history.pack()
    history.update(_individual(5, status="duplicate of 1999", space_group=62))
    again = History.unpack(history.pack())
    assert again[5].status == "duplicate of 1999"
    assert again[5].space_group == 62
    assert again[4].space_group is None


def test_full_pages_are_packed_once(monkeypatch):
    import search.state.individuals

    history = _history(3 * PAGE + 1)
    history.pack()
    packed = []
    monkeypatch.setattr(search.state.individuals, "pack", lambda array: packed.append(len(array)))
    history.append(_individual(3 * PAGE + 1))
    history.pack()
    assert set(packed) == {2}


def test_energies_without_value_and_undefined():
    history = _history(1)
    history.append(_individual(1, energy=float("nan"), status="aborted: job failed"))
    assert np.isnan(History.unpack(history.pack())[1].energy)


def test_mistakes_are_told():
    history = _history(2)
    with pytest.raises(ValueError, match="not the next one"):
        history.append(_individual(5))
    with pytest.raises(IndexError, match="no individual 2"):
        history[2]
