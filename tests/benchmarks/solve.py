"""
How often the search finds what is known, and how fast.

    python -m tests.benchmarks.solve FILE_OR_FOLDER... --seeds 0 -o OUT
    python -m tests.benchmarks.solve FILE_OR_FOLDER... -o OUT --table-only
    python -m tests.benchmarks.solve FILE_OR_FOLDER... -o OUT --mode no-rounds
    python -m tests.benchmarks.solve FILE_OR_FOLDER... -o OUT --mode random
    python -m tests.benchmarks.solve FILE... -o OUT --engine emt -- --set improve.rounds=1

For each known structure, a VASP or CIF file, it runs ``devitrify run FORMULA --z Z --seed SEED`` at
the default protocol in OUT/NAME-SEED, one after the other, where Z is the number of formula units
in the primitive cell. What stands behind ``--`` goes to ``devitrify run``. A second call resumes;
finished campaigns are not run again, and one that fails does not keep the others from running.
Known phases of one formula and one Z share a campaign: what is there of one of them, or else the
first one's.

The table (OUT/solve.md and OUT/solve.json) judges each campaign by the known phase, relaxed by the
same engine (kept in OUT/known); see `tests.benchmarks.solve_judgement` for how. Other modes, whose
folders and tables have the mode in their names:

- ``no-rounds``: the campaign without rounds of learning;
- ``random``: as many random crystals as the default campaign has relaxed, on its last potential,
  and as many of the best relaxed by the engine as the campaign has relaxed. The times are those of
  this search alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from nnp.formats.files import load_potential
from nnp.storage.files import write_atomically
from tests.benchmarks.campaigns import (
    DEVITRIFY,
    Times,
    current_commit,
    is_finished,
    log_of,
    run_timed,
)
from tests.benchmarks.phases import (
    STRICT,
    Phase,
    PhaseError,
    read_phases,
    relax_known,
    space_group,
)
from tests.benchmarks.solve_found import found_by
from tests.benchmarks.solve_judgement import judge
from tests.benchmarks.solve_random import has_searched, search_randomly
from tests.benchmarks.solve_table import Row, summarise, summary_in_words, table
from tests.benchmarks.training import Kept

DEFAULT, NO_ROUNDS, RANDOM = "default", "no-rounds", "random"
#: What a calculator or a search raises that cannot go on.
FAILURES = (ArithmeticError, OSError, RuntimeError, ValueError)


class Task(NamedTuple):
    """A known phase, a seed, and the names of all phases of its formula and Z."""

    phase: Phase
    seed: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Benchmark:
    """
    The campaigns of a folder.

    Parameters
    ----------
    out : Path
        The folder.
    engine : str
        Reference engine.
    mode : str
        ``default``, ``no-rounds`` or ``random``.
    options : tuple of str
        Of ``devitrify run``.
    """

    out: Path
    engine: str = "chgnet"
    mode: str = DEFAULT
    options: tuple[str, ...] = ()

    def folder(self, task: Task) -> Path:
        """Folder of a task."""
        suffix = "" if self.mode == DEFAULT else f"-{self.mode}"
        folders = [self.out / f"{name}-{task.seed}{suffix}" for name in task.names]
        return next((folder for folder in folders if folder.exists()), folders[0])

    def run(self, task: Task) -> None:
        """
        Run or resume a campaign, if it is not finished.

        Parameters
        ----------
        task : Task
        """
        folder, phase = self.folder(task), task.phase
        if self.mode == RANDOM or is_finished(folder):
            return
        command = [*DEVITRIFY, "run", phase.formula, "--z", str(phase.z), "--seed", str(task.seed)]
        command += ["--folder", str(folder), "--engine", self.engine, *self.options]
        if self.mode == NO_ROUNDS:
            command += ["--set", "improve.rounds=0"]
        run_timed(command, folder)

    def row(self, task: Task, *, begin: bool) -> Row | None:
        """
        Judge what there is of a task.

        Parameters
        ----------
        task : Task
        begin : bool
            Whether a random search may begin.

        Returns
        -------
        Row or None
            None if it has not been begun or has not ended.
        """
        campaign, folder = replace(self, mode=DEFAULT).folder(task), self.folder(task)
        if self.mode == RANDOM:
            if not is_finished(campaign) or not (begin or has_searched(folder)):
                return None
        elif not is_finished(folder):
            times = Times.of(folder)
            failed = Row(task.phase, task.seed, times, failure=_last_line(folder))
            return failed if times.status else None
        try:
            known = relax_known(task.phase, self.engine, Kept(self.out / "known"))
            if self.mode == RANDOM:
                before = found_by(campaign)
                found, times = search_randomly(
                    task.phase, task.seed, campaign, before, folder, self.engine
                )
                potential = load_potential(campaign / "potential.nnp")
            else:
                found, times = found_by(folder), Times.of(folder)
                potential = load_potential(folder / "potential.nnp")
            verdict = judge(known, found, potential)
        except FAILURES as error:
            return Row(task.phase, task.seed, Times.of(folder), failure=str(error))
        return Row(task.phase, task.seed, times, known, found, verdict)

    def report(self, rows: Sequence[Row], left: int) -> str:
        """
        Write the table and what it comes to, and return it.

        Parameters
        ----------
        rows : sequence of Row
        left : int
            Campaigns that have not ended.
        """
        suffix = "" if self.mode == DEFAULT else f"-{self.mode}"
        summary = summarise(rows)
        commits = list(dict.fromkeys(commit for row in rows for commit in row.times.commits))
        text = (
            f"Engine {self.engine}, mode {self.mode}; run by commit {', '.join(commits) or '?'}, "
            f"judged by {current_commit()}; {left} not finished and left out.\n\n"
            f"{table(rows)}\n\n{summary_in_words(summary)}\n"
        )
        document = {
            "engine": self.engine, "mode": self.mode, "options": list(self.options),
            "commits": commits, "not_finished": left, "summary": summary,
            "rows": [row.figures() for row in rows],
        }  # fmt: skip
        self.out.mkdir(parents=True, exist_ok=True)
        write_atomically(self.out / f"solve{suffix}.md", text)
        write_atomically(self.out / f"solve{suffix}.json", json.dumps(document, indent=1) + "\n")
        return text


def _last_line(folder: Path) -> str:
    """Last line that the command of a folder has printed: of a failed one, the reason."""
    log = log_of(folder)
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")


def tasks(phases: Sequence[Phase], seeds: Sequence[int]) -> Iterator[Task]:
    """
    Yield what is to be done, seed by seed.

    Parameters
    ----------
    phases : sequence of Phase
        Those of one formula and Z share a campaign.
    seeds : sequence of int
    """
    names: dict[tuple[str, int], list[str]] = {}
    for phase in phases:
        names.setdefault((phase.formula, phase.z), []).append(phase.name)
    for seed in seeds:
        for phase in phases:
            yield Task(phase, seed, tuple(names[phase.formula, phase.z]))


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Split the command line into options of the benchmark and of ``devitrify run``."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    parser.add_argument("known", type=Path, nargs="+", metavar="FILE_OR_FOLDER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("solve"))
    parser.add_argument("--engine", default="chgnet")
    parser.add_argument("--mode", choices=(DEFAULT, NO_ROUNDS, RANDOM), default=DEFAULT)
    parser.add_argument(
        "--table-only", action="store_true", help="judge what is there, run nothing"
    )
    return parser.parse_args(arguments[:split]), tuple(arguments[split + 1 :])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    chosen, options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        phases = read_phases(chosen.known)
    except PhaseError as error:
        sys.exit(f"{error}.")
    for phase in phases:
        group = space_group(phase.structure, STRICT)
        if phase.expected_group not in (None, group):
            print(f"{phase.name}: its space group is {group}, whatever its name says", flush=True)
    benchmark = Benchmark(chosen.out, chosen.engine, chosen.mode, options)
    listed = list(tasks(phases, chosen.seeds))
    rows = []
    for number, task in enumerate(listed, start=1):
        if not chosen.table_only:
            print(f"{number} of {len(listed)}: {benchmark.folder(task).name}", flush=True)
            benchmark.run(task)
        row = benchmark.row(task, begin=not chosen.table_only)
        if row is None:
            continue
        rows.append(row)
        if not chosen.table_only:
            print(f"| {' | '.join(row.cells())} |", flush=True)
    print(benchmark.report(rows, len(listed) - len(rows)))


if __name__ == "__main__":
    main()
