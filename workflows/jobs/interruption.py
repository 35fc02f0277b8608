"""
What this process is doing, for whoever may have to end it.

A cluster ends jobs when their time is over. What then may happen at once depends on what the
process does at that moment, which the code that does it says by one of three contexts:

- :func:`computing`: it may be ended, since a job that is run again goes on from its checkpoint or
  begins anew. Whoever runs Fireworks enters this around each of them, so that it also holds for
  jobs that know nothing of it.
- :func:`external_program`: a program computes that is watched and stopped in time from here, after
  which what it has done is read. It is to be left alone unless everything must end now.
- :func:`storing`: a database is being written, which must come to its end. It also holds wherever
  nothing else is said.

The innermost context counts.

Examples
--------
>>> with computing():
...     frames = integrate()
...     with storing():
...         store.update(frames)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum


class Activity(Enum):
    """What a process is doing."""

    COMPUTING = "computing"
    EXTERNAL_PROGRAM = "external program"
    STORING = "storing"


_entered: list[Activity] = []
"""Contexts of the main thread, the innermost last."""


def may_end(now: bool) -> bool:
    """
    Whether this process may be ended at this moment.

    Parameters
    ----------
    now : bool
        Everything must end now; otherwise there is still time for what ends by itself.
    """
    current = _entered[-1] if _entered else Activity.STORING
    return current is Activity.COMPUTING or (current is Activity.EXTERNAL_PROGRAM and now)


@contextmanager
def _doing(activity: Activity) -> Iterator[None]:
    _entered.append(activity)
    try:
        yield
    finally:
        _entered.pop()


@contextmanager
def computing() -> Iterator[None]:
    """Say that nothing is lost but time if this process ends here."""
    with _doing(Activity.COMPUTING):
        yield


@contextmanager
def external_program() -> Iterator[None]:
    """Say that a program runs which is stopped in time, and its results then read."""
    with _doing(Activity.EXTERNAL_PROGRAM):
        yield


@contextmanager
def storing() -> Iterator[None]:
    """Say that something is being written that must not be cut short."""
    with _doing(Activity.STORING):
        yield
