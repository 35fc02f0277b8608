"""Which Fireworks are tried again, and how often: one policy for here and for clusters."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mongomock
import pytest

from launch.database.retries import LIMITS, Allowance, count_ends, count_errors, is_granted

LAUNCH = Path(__file__).parents[2] / "launch"
OWN, AWAY, LATE = "ValueError: no", "pymongo.errors.AutoReconnect: gone", "TimeOverError: rest"


def launchpad(*launches: dict[str, Any]) -> SimpleNamespace:
    """Return what stands for a launchpad with the launches of Firework 1."""
    pad = SimpleNamespace(launches=mongomock.MongoClient().db.launches)
    for launch in launches:
        pad.launches.insert_one({"fw_id": 1, "state": "FIZZLED", **launch})
    return pad


def raised(trace: str, time: str = "2026-01-02") -> dict[str, Any]:
    """Return a launch whose job raised an error."""
    return {"time_start": time, "action": {"stored_data": {"_exception": {"_stacktrace": trace}}}}


def lost(kind: str) -> dict[str, Any]:
    """Return a launch whose process ended without a word."""
    return {"action": {"stored_data": {"_lost": True, "_kind": kind}}}


def test_errors_are_counted_by_whose_they_are() -> None:
    pad = launchpad(raised(OWN), raised(AWAY), raised(AWAY), raised(LATE), lost("node"))
    assert count_errors(pad, 1) == Counter(errors=1, database=2, time=1)
    assert count_ends(pad, 1, "node") == 1
    assert count_errors(pad, 2) == Counter()


def test_what_was_before_this_run_does_not_count() -> None:
    pad = launchpad(raised(OWN, "2026-01-01"), raised(OWN, "2026-01-03"))
    assert count_errors(pad, 1, since="2026-01-02")["errors"] == 1


@pytest.mark.parametrize(
    ("errors", "again"),
    [
        ({}, True),
        ({"errors": 1}, True),
        ({"errors": 2}, False),
        ({"errors": 1, "database": 5, "time": 50}, True),
        ({"database": 6}, False),
        ({"time": 51}, False),
    ],
)
def test_an_allowance_is_for_each_kind(errors: dict[str, int], again: bool) -> None:
    assert Allowance().covers(Counter(errors)) is again


def test_time_limits_are_granted_more_often_than_crashes() -> None:
    assert is_granted("time", 50)
    assert not is_granted("time", 51)
    assert is_granted("crash", LIMITS["crash"])
    assert not is_granted("crash", LIMITS["crash"] + 1)


def test_nobody_else_has_a_policy() -> None:
    """How often something is tried again is written down in one module."""
    policy = re.compile(r"^\s*(MAX_)?(LIMITS|RETRIES|LOSSES|\w+_RETRIES|ATTEMPTS)\b.*=", re.M)
    found = [path.name for path in LAUNCH.rglob("*.py") if policy.search(path.read_text())]
    assert found == ["retries.py"]
