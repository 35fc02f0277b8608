"""Commands that go on until they are told to end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import typer

from launch.errors import CampaignError, explain

LONGEST_INTERVAL = 86_400  # s


def repeat(action: Callable[[], object], interval: float) -> None:
    """
    Do something again and again until SIGINT or SIGTERM.

    What goes wrong once is said, and tried again: a controller or a database that restarts comes
    back.

    Parameters
    ----------
    action : callable
        What to do.
    interval : float
        Seconds between two times.

    Raises
    ------
    CampaignError
        If the interval is more than a day, or no number.
    typer.Exit
        At the end; its code is that of shells for the signal.
    """
    if not 0 <= interval <= LONGEST_INTERVAL:  # of which nothing is either if it is no number
        raise CampaignError(
            f"--interval takes from 1 to {LONGEST_INTERVAL:,} seconds, not {interval:g}."
        )
    told: list[int] = []

    def end(number: int, _: Any) -> None:
        told.append(number)
        raise KeyboardInterrupt  # which no handler of errors takes for one

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        while not told:  # an interrupt within a destructor is only printed
            try:
                action()
            except Exception as error:
                sentence = explain(error)
                if sentence is None:
                    raise
                typer.echo(sentence, err=True)
            time.sleep(interval)
    except KeyboardInterrupt:
        pass
    raise typer.Exit(128 + (told[0] if told else signal.SIGINT))
