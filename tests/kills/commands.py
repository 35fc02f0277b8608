"""The commands that are killed: what is typed, and what shows that nothing was lost."""

from __future__ import annotations

import json
import re
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from tests.integration.conftest import SETTINGS, SHORT
from tests.kills.launchpad import Ledger, read_ledger

#: Of each island of a search.
GENERATIONS = 50


class Command(ABC):
    """
    One command of a trial, or of the unkilled reference.

    Parameters
    ----------
    folder : Path
        Of the trial, in which the command is typed.
    inputs : Path
        Folder of the files that commands read.
    seed : int
        Of the command itself.
    """

    name: ClassVar[str]
    #: What can be killed, and how likely that is.
    targets: ClassVar[dict[str, float]]

    def __init__(self, folder: Path, inputs: Path, seed: int) -> None:
        self.folder, self.inputs, self.seed = folder, inputs, seed

    @property
    @abstractmethod
    def arguments(self) -> list[str]:
        """What is typed behind ``devitrify``."""

    @abstractmethod
    def after_kill(self, printed: list[str], look: bool) -> list[str]:
        """
        Take note of what is done, and say what is wrong.

        Parameters
        ----------
        printed : list of str
            What each start of the command has printed.
        look : bool
            Open what has to be opened for it.
        """

    @abstractmethod
    def at_end(self, printed: list[str], kills: Counter[str]) -> list[str]:
        """
        Say what is wrong with a trial that is complete.

        Parameters
        ----------
        printed : list of str
            What each start of the command has printed.
        kills : Counter of str
            Kills by what was killed.
        """

    @abstractmethod
    def result(self) -> Any:
        """What must be the same as without kills, as JSON."""


class Run(Command):
    """``devitrify run``: the whole chain, copper by effective medium theory."""

    name = "run"
    targets: ClassVar = {"main": 0.35, "all": 0.25, "worker": 0.2, "database": 0.2}

    def __init__(self, folder: Path, inputs: Path, seed: int) -> None:
        super().__init__(folder, inputs, seed)
        self.seen: Ledger | None = None

    @property
    def arguments(self) -> list[str]:
        """What is typed behind ``devitrify``."""
        return ["run", "Cu", "--engine", "emt", "--config", str(SETTINGS), "--z", "1", "--seed",
                str(self.seed), *SHORT, "--folder", "copper"]  # fmt: skip

    def after_kill(self, printed: list[str], look: bool) -> list[str]:
        """Compare the jobs that are done with those that were done when they were seen last."""
        if not look or not (self.folder / "copper" / "database" / "password").exists():
            return []
        return self._compare(read_ledger(self.folder / "copper"))

    def at_end(self, printed: list[str], kills: Counter[str]) -> list[str]:
        """Look for jobs that are not done, and for such that were done twice."""
        ledger = read_ledger(self.folder / "copper")
        # a worker loses the job that it runs: each of two, or the one that is killed
        most = kills["worker"] + 2 * (kills.total() - kills["worker"])
        faults = [*self._compare(ledger), *ledger.faults()]
        if ledger.repeated > most:
            faults.append(f"computed twice: {ledger.repeated} launches repeated, {most} were lost")
        return faults

    def _compare(self, ledger: Ledger) -> list[str]:
        faults = [] if self.seen is None else ledger.faults_since(self.seen)
        self.seen = ledger
        return faults

    def result(self) -> Any:
        """The ranking, with all its figures."""
        summary = json.loads((self.folder / "copper" / "summary.json").read_text())
        own = ("job", "uuid")  # ids are drawn anew for each campaign
        return [
            {name: value for name, value in candidate.items() if not name.endswith(own)}
            for candidate in summary["candidates"]
        ]


class Search(Command):
    """``devitrify search``: two islands on a potential, in one process or in two."""

    name = "search"
    targets: ClassVar = {"main": 0.6, "island": 0.2, "all": 0.2}
    _LINE = re.compile(r"^island (\d+)  generation +(\d+) ", re.MULTILINE)

    def __init__(self, folder: Path, inputs: Path, seed: int) -> None:
        super().__init__(folder, inputs, seed)
        self.workers = 1 + seed % 2

    @property
    def arguments(self) -> list[str]:
        """What is typed behind ``devitrify``."""
        return ["search", str(self.inputs / "copper.nnp"), "Cu", "--z", "1,2,4",
                "-n", str(2 * 8 * GENERATIONS), "--population", "8", "--islands", "2",
                "--workers", str(self.workers),
                "--seed", str(self.seed), "-o", "found"]  # fmt: skip

    def _saved(self) -> Counter[int]:
        """Generations that the files of the islands hold."""
        states = sorted((self.folder / "found").glob("island_*.json"))
        return Counter(
            {n: json.loads(p.read_text())["generation"] for n, p in enumerate(states, start=1)}
        )

    def after_kill(self, printed: list[str], look: bool) -> list[str]:
        """No generation that was reported is missing in the files."""
        saved = self._saved()
        reported = self._reported(printed)
        return [
            f"lost: generation {generation} of island {island} was reported, {saved[island]} saved"
            for island, generation in reported
            if generation > saved[island]
        ]

    def at_end(self, printed: list[str], kills: Counter[str]) -> list[str]:
        """Every generation was done, and reported once at most."""
        faults = [
            f"computed twice: generation {generation} of island {island}, {times} times"
            for (island, generation), times in Counter(self._reported(printed)).items()
            if times > 1
        ]
        if missing := [n for n, done in self._saved().items() if done != GENERATIONS]:
            faults.append(f"unfinished: islands {missing}")
        return faults

    def _reported(self, printed: list[str]) -> list[tuple[int, int]]:
        """Island and generation of each line, of all starts."""
        found = (match for text in printed for match in self._LINE.findall(text))
        return [(int(island), int(generation)) for island, generation in found]

    def result(self) -> Any:
        """The table of the best, with all its figures."""
        return json.loads((self.folder / "found" / "summary.json").read_text())["best"]


class Train(Command):
    """``devitrify train``: an ensemble of two on the frames of a campaign."""

    name = "train"
    targets: ClassVar = {"main": 1.0}

    def __init__(self, folder: Path, inputs: Path, seed: int) -> None:
        super().__init__(folder, inputs, seed)
        self.epochs = 0

    @property
    def arguments(self) -> list[str]:
        """What is typed behind ``devitrify``."""
        options = ("members=2", "optimizer=lbfgs", "max_epochs=120", "stop=converged",
                   "checkpoint_interval=0.1")  # fmt: skip
        return ["train", str(self.inputs / "frames.extxyz"), "-o", "copper.nnp", "--threads", "1",
                "--seed", str(self.seed), *(w for o in options for w in ("--set", o))]  # fmt: skip

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "copper.nnp.checkpoint"

    def after_kill(self, printed: list[str], look: bool) -> list[str]:
        """The epochs that the checkpoint holds never become fewer."""
        if not self._checkpoint.exists():
            if not (self.folder / "copper.nnp").exists():
                return ["lost: the checkpoint is gone"] if self.epochs else []
            # it had done all it does: the next start is another training
            self.epochs = 0
            return []
        state = json.loads(zlib.decompress(self._checkpoint.read_bytes()))["state"]
        before, self.epochs = self.epochs, len(state["history"])
        if self.epochs < before:
            return [f"lost: {self.epochs} epochs in the checkpoint, {before} before"]
        return []

    def at_end(self, printed: list[str], kills: Counter[str]) -> list[str]:
        """The checkpoint is gone."""
        return ["left: the checkpoint"] if self._checkpoint.exists() else []

    def result(self) -> Any:
        """The whole potential, by its digest."""
        return sha256((self.folder / "copper.nnp").read_bytes()).hexdigest()


COMMANDS: dict[str, type[Command]] = {kind.name: kind for kind in (Run, Search, Train)}
