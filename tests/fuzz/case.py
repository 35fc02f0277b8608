"""One try: what is typed beside which files, and what should come of it."""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

#: What a right program does: take it, refuse it by a sentence, or one of the two.
Wanted = Literal["accept", "refuse", "either"]


@dataclass(frozen=True)
class Case:
    """
    One command line.

    Parameters
    ----------
    name : str
        Kind and number; with the seed it makes the case again.
    arguments : tuple of str
        What is typed behind ``devitrify``.
    wanted : str
        ``accept``, ``refuse`` or ``either``.
    why : str
        What is wrong or odd about it.
    files : dict of str to bytes
        By their paths within the folder in which it is typed.
    environment : dict of str to str
        Variables that are set.
    """

    name: str
    arguments: tuple[str, ...]
    wanted: Wanted
    why: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """As one would type it."""
        words = (word if len(word) < 200 else f"{word[:200]}..." for word in self.arguments)
        line = shlex.join(["devitrify", *words])
        return line.encode(errors="backslashreplace").decode()

    def to_json(self) -> str:
        """Spell it out in one line."""
        files = {name: base64.b64encode(data).decode() for name, data in self.files.items()}
        return json.dumps({**self.__dict__, "files": files})

    @classmethod
    def from_json(cls, line: str) -> Case:
        """Read what :meth:`to_json` wrote."""
        document = json.loads(line)
        document["arguments"] = tuple(document["arguments"])
        document["files"] = {
            name: base64.b64decode(text) for name, text in document["files"].items()
        }
        return cls(**document)


@dataclass(frozen=True)
class Outcome:
    """
    What came of a case.

    Parameters
    ----------
    code : int or None
        Exit code; none: it did not end, or its process died.
    output, error : str
        What it printed.
    seconds : float
        It took.
    trace : str
        Traceback that it left in its log.
    reached : bool
        It was taken as far as to where jobs would begin.
    end : str
        ``hang`` or ``crash`` if it did not end by itself, else empty.
    """

    code: int | None
    output: str = ""
    error: str = ""
    seconds: float = 0.0
    trace: str = ""
    reached: bool = False
    end: str = ""


#: What is wrong with an outcome, by its name in the table.
FAULTS = ("traceback", "hang", "crash", "nonsense accepted", "sense refused", "no reason given")


def judge(case: Case, outcome: Outcome) -> str | None:
    """
    Say what is wrong with an outcome.

    Returns
    -------
    str or None
        One of :data:`FAULTS`; none if nothing is.
    """
    if outcome.end:
        return outcome.end
    printed = outcome.output + outcome.error
    if outcome.trace or "Traceback" in printed or "a defect of devitrify" in printed:
        return "traceback"
    accepted = outcome.code == 0 or outcome.reached
    if accepted and (case.wanted == "refuse" or _prints_nonsense(outcome.output)):
        return "nonsense accepted"
    if not accepted and case.wanted == "accept":
        return "sense refused"
    if not accepted and not printed.strip():
        return "no reason given"
    return None


def _prints_nonsense(output: str) -> bool:
    """Whether a figure with a unit is none."""
    words = output.lower().replace("=", " ").split()
    numbers = {"nan", "inf", "-inf", "-nan"}
    return any(word in numbers and after in UNITS for word, after in pairwise(words))


UNITS = {"ev", "ev/atom", "mev/atom", "ev/å", "kbar"}
