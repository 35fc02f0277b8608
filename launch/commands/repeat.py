"""Commands that go on until they are told to end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import typer

from launch.errors import CampaignError


def repeat(action: Callable[[], None], interval: float) -> None:
    """
    Do something again and again until SIGINT or SIGTERM.

    What goes wrong once is said, and tried again: a controller or a database that restarts comes
    back.

    Parameters
    ----------
    action
        What to do.
    interval
        Seconds between two times.

    Raises
    ------
    typer.Exit
        At the end; its code is that of shells for the signal.
    """
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
            except CampaignError as error:
                typer.echo(str(error), err=True)
            time.sleep(interval)
    except KeyboardInterrupt:
        pass
    raise typer.Exit(128 + told[0])
