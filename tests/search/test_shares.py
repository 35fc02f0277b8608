from __future__ import annotations

import pytest

from search.state.shares import OperatorShares

PRIOR = {"random": 2.0, "heredity": 1.0, "rattle": 1.0}


def test_shares_start_at_the_prior_and_sum_to_one() -> None:
    shares = OperatorShares(PRIOR).current()
    assert shares == pytest.approx({"random": 0.5, "heredity": 0.25, "rattle": 0.25})


def test_success_is_rewarded_and_failure_never_fatal() -> None:
    shares = OperatorShares(PRIOR)
    for _ in range(30):
        shares.learn({"random": 10, "heredity": 10, "rattle": 10}, {"heredity": 8, "rattle": 1})
    current = shares.current()
    assert sum(current.values()) == pytest.approx(1.0)
    assert current["heredity"] > 0.5
    assert current["random"] >= 0.3 * 0.5
    assert current["heredity"] > current["rattle"] > 0.3 * 0.25


def test_recent_success_counts_more() -> None:
    shares = OperatorShares(PRIOR)
    for _ in range(10):
        shares.learn({"heredity": 10, "rattle": 10}, {"heredity": 8})
    for _ in range(10):
        shares.learn({"heredity": 10, "rattle": 10}, {"rattle": 8})
    assert shares.current()["rattle"] > shares.current()["heredity"]


def test_adjustment_can_be_turned_off() -> None:
    shares = OperatorShares(PRIOR, adjust=False)
    shares.learn({"heredity": 10}, {"heredity": 10})
    assert shares.current() == pytest.approx(shares.prior)


def test_state_is_kept() -> None:
    shares, again = OperatorShares(PRIOR), OperatorShares(PRIOR)
    shares.learn({"heredity": 10}, {"heredity": 10})
    again.restore(shares.state())
    assert again.current() == shares.current()


def test_no_operator_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        OperatorShares({"random": 0.0})
