"""
Kill commands at random moments, resume them, and print what was lost or done twice.

Trials that are complete are not made again when the same command is given for the same folder.

Examples
--------
::

    python -m tests.kills --kills 200 --seed 1 [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.kills.commands import COMMANDS
from tests.kills.plan import draws, quotas
from tests.kills.trial import Kill, Outcome, Reference, Trial, run_unkilled

#: Seeds of the commands themselves, taken by turns; each needs a run without kills.
VARIANTS = 2
#: Kills in one trial.
MOST = 12
#: Kinds of faults, in the order of the table.
FAULTS = ("unfinished", "early end", "hang", "lost", "computed twice", "other result", "survivor",
          "left")  # fmt: skip


class Campaigns:
    """
    All trials.

    Parameters
    ----------
    folder : Path
        For the trials; those that are complete in it are kept.
    seed : int
        Of the kills.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.inputs = folder / "inputs"
        self.told: set[Path] = set()

    def prepare(self) -> None:
        """Make what the commands read, and compile what is not compiled yet."""
        done = self.inputs / "done"
        if done.exists():
            return
        shutil.rmtree(self.inputs, ignore_errors=True)
        self.inputs.mkdir(parents=True)
        for name, made, kept in (
            ("run", "copper/frames.extxyz", "frames.extxyz"),
            ("train", "copper.nnp", "copper.nnp"),
        ):
            command = COMMANDS[name](self.inputs / name, self.inputs, 0)
            run_unkilled(command)
            shutil.copy(command.folder / made, self.inputs / kept)
        run_unkilled(COMMANDS["search"](self.inputs / "search", self.inputs, 0))
        done.touch()

    def reference(self, name: str, variant: int) -> Reference:
        """Run a command without kills, once."""
        folder = self.folder / f"{name}-unkilled-{variant}"
        saved = folder / "reference.json"
        if not saved.exists():
            shutil.rmtree(folder, ignore_errors=True)
            run_unkilled(COMMANDS[name](folder, self.inputs, variant)).save(saved)
        found = Reference.load(saved)
        if folder not in self.told:
            self.told.add(folder)
            print(f"{name}, seed {variant}: {found.seconds:.1f} s without kills", flush=True)
        return found

    def trial(self, name: str, number: int, most: int) -> Outcome:
        """Make a trial, or read what came of it."""
        folder = self.folder / f"{name}-{number}"
        saved = folder / "outcome.json"
        if saved.exists():
            return Outcome.load(saved)
        shutil.rmtree(folder, ignore_errors=True)
        variant = number % VARIANTS
        command = COMMANDS[name](folder, self.inputs, variant)

        def tell(kill: Kill) -> None:
            other = "" if kill.killed == kill.target else f" (was to be: {kill.target})"
            since = "the start" if kill.early else "its first line"
            print(
                f"{name} {number}, kill {kill.number}: {kill.killed}{other} {kill.seconds:.2f} s "
                f"after {since} or the last kill, at: {kill.at}",
                flush=True,
            )

        plan = draws(self.seed, name, number, command.targets)
        outcome = Trial(command, self.reference(name, variant), plan, most, tell).to_end()
        outcome.save(saved)
        return outcome

    def kill(self, kills: int) -> dict[str, list[Outcome]]:
        """Make trials, of the commands by turns, until each was killed often enough."""
        quota = quotas(kills)
        outcomes: dict[str, list[Outcome]] = {name: [] for name in quota}
        left = dict(quota)
        while any(count > 0 for count in left.values()):
            name = max(quota, key=lambda n: left[n] / max(1, quota[n]))
            number = len(outcomes[name])
            outcome = self.trial(name, number, min(left[name], MOST))
            outcomes[name].append(outcome)
            left[name] -= len(outcome.kills)
            print(
                f"{name} {number}: {len(outcome.kills)} kills, {outcome.starts} starts, "
                f"{outcome.seconds:.0f} s: {'; '.join(outcome.faults) or 'as without kills'}",
                flush=True,
            )
        return outcomes


def table(outcomes: dict[str, list[Outcome]]) -> str:
    """Tabulate what came of each command."""
    columns = [*outcomes.items(), ("all", [o for found in outcomes.values() for o in found])]
    rows: list[tuple[str, list[int]]] = [("trials", [len(found) for _, found in columns])]
    killed = [Counter(k.killed for o in found for k in o.kills) for _, found in columns]
    rows.append(("kills", [counter.total() for counter in killed]))
    silent = [sum(not k.at for o in found for k in o.kills) for _, found in columns]
    rows.append(("  before any line", silent))
    for target in sorted(set().union(*killed)):
        rows.append((f"  {target}", [counter[target] for counter in killed]))
    kinds = [Counter(f.split(":")[0] for o in found for f in o.faults) for _, found in columns]
    rows += [(kind, [counter[kind] for counter in kinds]) for kind in FAULTS]
    rows.append(("temporary files", [sum(len(o.left) for o in found) for _, found in columns]))
    heading = f"{'':<18}" + "".join(f"{name:>10}" for name, _ in columns)
    lines = (f"{name:<18}" + "".join(f"{value:>10}" for value in row) for name, row in rows)
    return "\n".join([heading, *lines])


def run_all(folder: Path, seed: int, kills: int) -> dict[str, list[Outcome]]:
    """Make all trials."""
    campaigns = Campaigns(folder, seed)
    campaigns.prepare()
    return campaigns.kill(kills)


def main() -> int:
    """Run from the command line; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="for the trials; the same one resumes")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        outcomes = run_all(folder, options.seed, options.kills)
    print(f"\n{table(outcomes)}")
    print(f"seed {options.seed}; {time.monotonic() - started:.0f} s")
    return 1 if any(outcome.faults for found in outcomes.values() for outcome in found) else 0


if __name__ == "__main__":
    sys.exit(main())
