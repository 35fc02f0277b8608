"""One trial: a command is started, killed and started again until it is complete."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.kills.commands import Command
from tests.kills.plan import Draw
from tests.kills.program import Program, kill, survivors

#: Seconds after which a command that nobody kills counts as hanging.
PATIENCE = 300.0
#: Seconds in which what a command has started must end with it.
GRACE = 15.0
#: Workers and servers that are killed under one main process: more than it replaces.
PARTS = 2


@dataclass(frozen=True)
class Kill:
    """
    One kill.

    Attributes
    ----------
    number : int
        In its trial.
    seconds : float
        After the start of the command, the first that it printed, or the kill before.
    early : bool
        It counts from the start.
    target : str
        What was drawn: ``main``, ``worker``, ``database``, ``island`` or ``all``.
    killed : str
        What was killed: the main process where the target was not there.
    at : str
        The last line that had been printed.
    """

    number: int
    seconds: float
    early: bool
    target: str
    killed: str
    at: str


@dataclass
class Outcome:
    """
    What came of a trial.

    Attributes
    ----------
    kills : list of Kill
    starts : int
        How often the command was started.
    faults : list of str
        What was wrong; each begins with its kind and a colon.
    seconds : float
        It took.
    left : list of str
        Names of temporary files that kills have left.
    """

    kills: list[Kill] = field(default_factory=list)
    starts: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """Read what :meth:`save` wrote."""
        document = json.loads(path.read_text())
        return cls(**{**document, "kills": [Kill(**entry) for entry in document["kills"]]})


@dataclass(frozen=True)
class Reference:
    """
    The same command without kills.

    Attributes
    ----------
    result : Any
        What it gave.
    begins : float
        Seconds to the first that it printed.
    seconds : float
        It took.
    """

    result: Any
    begins: float
    seconds: float

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Read what :meth:`save` wrote."""
        return cls(**json.loads(path.read_text()))


def run_unkilled(command: Command) -> Reference:
    """
    Run a command to its end.

    Raises
    ------
    RuntimeError
        If it does not end well.
    """
    command.folder.mkdir(parents=True)
    started = time.monotonic()
    program = Program(command.arguments, command.folder, _mark(), command.folder / "printed-0.txt")
    program.wait_for_print(PATIENCE)
    begins = time.monotonic() - started
    code = program.wait(PATIENCE)
    if code != 0:
        program.kill_all()
        raise RuntimeError(f"{command.folder}: exit code {code}: {program.text[-2000:]}")
    return Reference(command.result(), begins, time.monotonic() - started)


class Trial:
    """
    A command that is killed.

    Parameters
    ----------
    command : Command
        In a folder that is not there yet.
    reference : Reference
        What it must come to.
    draws : iterator of Draw
        The kills.
    most : int
        Kills after which it is left to end.
    tell : callable
        Is told each kill.
    """

    def __init__(
        self,
        command: Command,
        reference: Reference,
        draws: Iterator[Draw],
        most: int,
        tell: Callable[[Kill], None],
    ) -> None:
        self.command, self.reference, self.draws = command, reference, draws
        self.most, self.tell = most, tell
        self.outcome = Outcome()
        self.mark = _mark()
        self.programs: list[Program] = []

    def to_end(self) -> Outcome:
        """Start, kill and resume until it is complete; then judge it."""
        self.command.folder.mkdir(parents=True)
        started = time.monotonic()
        while not self._one_start():
            pass
        self.outcome.seconds = time.monotonic() - started
        return self.outcome

    def _one_start(self) -> bool:
        """Start the command, and kill it or let it end; whether the trial is over."""
        path = self.command.folder / f"printed-{len(self.programs)}.txt"
        program = Program(self.command.arguments, self.command.folder, self.mark, path)
        self.programs.append(program)
        self.outcome.starts += 1
        parts = 0
        while len(self.outcome.kills) < self.most:
            draw = next(self.draws)
            seconds = self._wait(program, draw)
            if program.wait(seconds) is not None:
                break
            killed = self._kill(program, draw.target if parts < PARTS else "main")
            self._note(program, draw, seconds, killed)
            parts += killed in ("worker", "database")
            if killed == "island":
                self._require_refusal(program)
            if killed in ("main", "all", "island"):
                self._look(draw.look)
                return False
        return self._ends(program)

    def _wait(self, program: Program, draw: Draw) -> float:
        """Wait for what the time of a kill counts from; the seconds from there on."""
        whole, begins = self.reference.seconds, self.reference.begins
        if draw.early:
            return draw.fraction * whole
        program.wait_for_print(PATIENCE)
        return draw.fraction * (whole - begins)

    def _note(self, program: Program, draw: Draw, seconds: float, killed: str) -> None:
        lines = program.text.strip().splitlines() or [""]
        number = len(self.outcome.kills)
        at = " ".join(lines[-1].split())[:60]
        done = Kill(number, round(seconds, 3), draw.early, draw.target, killed, at)
        self.outcome.kills.append(done)
        self.tell(done)

    def _kill(self, program: Program, target: str) -> str:
        """Kill a part of the program, or the main process; what it was."""
        if target == "all":
            program.kill_all()
            return "all"
        parts = program.find(target) if target != "main" else []
        if not parts:
            program.kill()
            return "main"
        kill(parts[-1:])
        return target

    def _require_refusal(self, program: Program) -> None:
        """A search that has lost an island says so and ends."""
        code = program.wait(PATIENCE)
        if code != 1 or "same command goes on" not in program.text:
            self._fault(f"early end: a killed island gave exit code {code}: {program.text[-500:]}")

    def _look(self, look: bool) -> None:
        """What has been started is gone, and what has been done is there."""
        for line in survivors(self.mark, GRACE):
            self._fault(f"survivor: {line}")
        for fault in self.command.after_kill(self._printed(), look):
            self._fault(fault)

    def _ends(self, program: Program) -> bool:
        """Let the command end by itself; the trial is over."""
        code = program.wait(PATIENCE)
        if code is None:
            program.kill_all()
            self._fault(f"hang: {program.text[-500:]}")
        elif code != 0:
            self._fault(f"early end: exit code {code}: {program.text[-800:]}")
        else:
            self._judge()
        for line in survivors(self.mark, GRACE):
            self._fault(f"survivor: {line}")
        return True

    def _judge(self) -> None:
        """Say what is wrong with a trial that is complete."""
        killed = Counter(kill.killed for kill in self.outcome.kills)
        for fault in self.command.at_end(self._printed(), killed):
            self._fault(fault)
        if self.command.result() != self.reference.result:
            self._fault("other result: it is not that of the unkilled command")
        hidden = (p for p in self.command.folder.rglob(".*") if p.is_file() and p.name != ".lock")
        self.outcome.left = sorted(str(p.relative_to(self.command.folder)) for p in hidden)

    def _printed(self) -> list[str]:
        return [program.text for program in self.programs]

    def _fault(self, text: str) -> None:
        self.outcome.faults.append(text)


def _mark() -> str:
    return uuid.uuid4().hex
