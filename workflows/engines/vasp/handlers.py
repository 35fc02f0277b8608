"""
What watches a run of VASP: custodian handlers that leave the physics of a run alone.

Custodian's own handlers mend a run by starting it over with other settings. That suits a static
run; molecular dynamics would lose its steps, and some remedies (a smaller time step, another
smearing) would change what is sampled without a word. So the handlers of dynamics only end a run
that goes wrong, and whoever started it continues from the last good step.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from custodian.custodian import ErrorHandler
from custodian.vasp.handlers import (
    FrozenJobErrorHandler,
    MeshSymmetryErrorHandler,
    StdErrHandler,
    VaspErrorHandler,
)

from workflows.engines.vasp.errors import HANGS, NOT_FINITE, POSITIVE, UNCONVERGED
from workflows.engines.vasp.settings import Supervision

#: A finished ionic step in OSZICAR, and a step of the electronic loop.
IONIC = re.compile(r"^\s*\d+ (?:T=.*?)?F=\s*(\S+)")
ELECTRONIC = re.compile(r"^[A-Z]{3}:\s*(\d+)")


class Ending(ErrorHandler):
    """Ends a run when another handler sees something wrong, and corrects nothing."""

    is_monitor = True

    def __init__(self, inner: ErrorHandler, error: str) -> None:
        self.inner = inner
        self.error = error

    def check(self, directory: str = "./") -> bool:
        """Whether the other handler sees an error."""
        return bool(self.inner.check(directory=directory))

    def correct(self, directory: str = "./") -> dict[str, Any]:  # noqa: ARG002
        """Name the error."""
        return {"errors": [self.error], "actions": None}


class AstrayDynamics(ErrorHandler):
    """
    Ends dynamics whose electrons have gone astray for several steps in a row.

    Parameters
    ----------
    max_electronic_steps : int
        NELM: a loop as long as that did not converge.
    in_a_row : int
        Steps that end the run.
    positive_in_a_row : int
        Steps with energies above zero that end it.
    """

    is_monitor = True

    def __init__(self, max_electronic_steps: int, in_a_row: int, positive_in_a_row: int) -> None:
        self.max_electronic_steps = max_electronic_steps
        self.in_a_row = in_a_row
        self.positive_in_a_row = positive_in_a_row
        self.error = ""

    def check(self, directory: str = "./") -> bool:
        """Whether the last steps all lack convergence, or an energy that can be."""
        steps = ionic_steps(Path(directory) / "OSZICAR")
        last, more = steps[-self.in_a_row :], steps[-self.positive_in_a_row :]
        self.error = ""
        if len(more) == self.positive_in_a_row and all(step.energy > 0 for step in more):
            self.error = POSITIVE
        elif len(last) == self.in_a_row:
            if all(math.isnan(step.energy) for step in last):
                self.error = NOT_FINITE
            elif min(step.loop for step in last) >= self.max_electronic_steps:
                self.error = UNCONVERGED
        return bool(self.error)

    def correct(self, directory: str = "./") -> dict[str, Any]:  # noqa: ARG002
        """Name the error."""
        return {"errors": [self.error], "actions": None}


class Deadline(ErrorHandler):
    """
    Asks VASP to stop after the current ionic step when the time of the job runs out.

    That is no error, so nothing is ever reported to custodian; ``stopped`` tells.

    Parameters
    ----------
    end : float or None
        Seconds since the epoch at which the job must be over; none: never.
    buffer : float
        s that are kept for what comes after VASP; three steps are kept besides.
    """

    is_monitor = True

    def __init__(self, end: float | None, buffer: float) -> None:
        self.end = end
        self.buffer = buffer
        self.started = time.time()
        self.stopped = False

    def check(self, directory: str = "./") -> bool:
        """Write STOPCAR if it is time; never an error."""
        if self.end is None or self.stopped:
            return False
        steps = len(ionic_steps(Path(directory) / "OSZICAR"))
        now = time.time()
        step = (now - self.started) / steps if steps else 0.0
        if self.end - now < self.buffer + 3 * step:
            (Path(directory) / "STOPCAR").write_text("LSTOP = .TRUE.\n")
            self.stopped = True
        return False

    def correct(self, directory: str = "./") -> dict[str, Any]:  # noqa: ARG002
        """Never called: nothing is an error."""
        return {"errors": [], "actions": None}


@dataclass(frozen=True)
class IonicStep:
    """
    What OSZICAR says of an ionic step.

    Attributes
    ----------
    loop : int
        Steps of the electronic loop.
    energy : float
        Free energy in eV; NaN if it is no number.
    """

    loop: int
    energy: float


def ionic_steps(path: Path) -> list[IonicStep]:
    """
    Read all finished ionic steps.

    Parameters
    ----------
    path : Path
        OSZICAR; none is no steps.
    """
    steps: list[IonicStep] = []
    last = 0
    if not path.exists():
        return steps
    with path.open(errors="replace") as file:
        for line in file:
            if found := ELECTRONIC.match(line):
                last = int(found.group(1))
            elif found := IONIC.match(line):
                steps.append(IonicStep(last, _number(found.group(1))))
    return steps


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # Fortran's asterisks
        return math.nan


def dynamics_handlers(
    supervision: Supervision, max_electronic_steps: int, positive_in_a_row: int
) -> list[ErrorHandler]:
    """Handlers of molecular dynamics: they end a run that hangs or goes astray."""
    return [
        Ending(FrozenJobErrorHandler(timeout=supervision.hang_timeout), HANGS),
        AstrayDynamics(max_electronic_steps, supervision.unconverged_in_a_row, positive_in_a_row),
    ]


def crystal_handlers(supervision: Supervision) -> list[ErrorHandler]:
    """
    Handlers of relaxations and static runs of crystals.

    Custodian's knowledge of VASP's errors is used, but for the handlers that change the smearing
    or the k-points, which would make energies incomparable.
    """
    return [
        VaspErrorHandler(),
        MeshSymmetryErrorHandler(),
        StdErrHandler(),
        Ending(FrozenJobErrorHandler(timeout=supervision.hang_timeout), HANGS),
    ]
