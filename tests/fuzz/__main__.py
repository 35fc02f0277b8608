"""
Try nonsense of all kinds and print what was not taken as it should be.

Examples
--------
::

    python -m tests.fuzz --commands 1000 --files 500 --seed 1 [--workers 2] [--keep FOLDER]
    python -m tests.fuzz --only "command 17" --seed 1
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.case import FAULTS, Case, Outcome, judge
from tests.fuzz.commands import command_case
from tests.fuzz.files import file_case
from tests.fuzz.parent import try_all


class Record:
    """
    Counts outcomes and prints those that are wrong.

    Parameters
    ----------
    keep : Path or None
        Folder for the files of those.
    loud : bool
        Print all of them.
    """

    def __init__(self, keep: Path | None = None, loud: bool = False) -> None:
        self.keep, self.loud = keep, loud
        self.counts: Counter[tuple[str, str]] = Counter()
        self.faulty: list[tuple[str, Case, Outcome]] = []
        self.slowest = 0.0

    def __call__(self, case: Case, outcome: Outcome) -> None:
        """Take in one outcome."""
        kind = case.name.split()[0]
        fault = judge(case, outcome)
        result = fault or ("accepted" if outcome.code == 0 or outcome.reached else "refused")
        self.counts[kind, result] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        if fault is not None:
            self.faulty.append((fault, case, outcome))
        if fault is not None or self.loud:
            self._print(result, case, outcome)

    def _print(self, result: str, case: Case, outcome: Outcome) -> None:
        print(f"\n{case.name}: {result} ({case.why}; {case.wanted}; {outcome.seconds:.1f} s)")
        print(f"  {case.command}")
        for text in (outcome.trace or outcome.error or outcome.output, outcome.error):
            lines = text.strip().splitlines()
            print("".join(f"  | {line[:300]}\n" for line in lines[-6:]), end="")
        sys.stdout.flush()
        if self.keep is not None:
            for name, data in case.files.items():
                path = self.keep / case.name.replace(" ", "-") / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def table(self) -> str:
        """Tabulate what came of commands and files."""
        results = ("accepted", "refused", *FAULTS)
        lines = [f"{'':<18}{'commands':>10}{'files':>10}"]
        lines += [
            f"{result:<18}" + "".join(f"{self.counts[k, result]:>10}" for k in ("command", "file"))
            for result in results
        ]
        return "\n".join(lines)


def main() -> int:
    """Run from the command line; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--commands", type=int, default=100)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files of what went wrong")
    parser.add_argument("--only", help="one case by its name, such as 'file 17'")
    options = parser.parse_args()
    record = Record(options.keep, loud=options.only is not None)
    if options.only:
        kind, number = options.only.split()
        made = {"command": command_case, "file": file_case}[kind]
        cases = [made(options.seed, int(number))]
    else:
        cases = [command_case(options.seed, n) for n in range(options.commands)]
        cases += [file_case(options.seed, n) for n in range(options.files)]
    started = time.monotonic()
    try_all(cases, record, options.workers)
    print(f"\n{record.table()}")
    print(
        f"seed {options.seed}; {time.monotonic() - started:.0f} s, slowest {record.slowest:.1f} s"
    )
    return 1 if record.faulty else 0


if __name__ == "__main__":
    sys.exit(main())
