"""When a command is killed and what of it: drawn from the seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

import numpy as np

#: Longest time to a kill, as part of what the command takes unkilled: what is resumed is shorter.
LONGEST = 0.6
#: Part of the kills that may come before the command has printed anything.
EARLY = 0.2
#: Commands that are killed, each with its share of the kills.
SHARES = {"run": 0.4, "search": 0.3, "train": 0.3}


@dataclass(frozen=True)
class Draw:
    """
    What was drawn for one kill.

    Attributes
    ----------
    number : int
        In its trial.
    early : bool
        Whether the time counts from the start of the command, not from the first that it prints.
    fraction : float
        Of the time that the command takes unkilled, from there on or from the kill before.
    target : str
        What is killed.
    look : bool
        Whether the database is looked at before the command is resumed.
    """

    number: int
    early: bool
    fraction: float
    target: str
    look: bool


def draws(seed: int, command: str, trial: int, targets: Mapping[str, float]) -> Iterator[Draw]:
    """
    Draw the kills of a trial.

    Parameters
    ----------
    seed : int
        Of all trials.
    command : str
        One of :data:`SHARES`.
    trial : int
        Number of the trial.
    targets : mapping of str to float
        What can be killed, and how likely that is.
    """
    generator = np.random.default_rng([seed, list(SHARES).index(command), trial])
    names, weights = list(targets), list(targets.values())
    for number in count():
        yield Draw(
            number,
            bool(generator.uniform() < EARLY),
            float(generator.uniform(0.0, LONGEST)),
            names[generator.choice(len(names), p=weights)],
            bool(generator.uniform() < 0.5),
        )


def quotas(kills: int) -> dict[str, int]:
    """Divide kills among the commands; what is left over goes to the first."""
    divided = {command: int(kills * share + 1e-9) for command, share in SHARES.items()}
    divided["run"] += kills - sum(divided.values())
    return divided
