"""A few kills in every run; the rest is for ``python -m tests.kills``."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.kills.__main__ import run_all, table
from tests.kills.commands import COMMANDS, GENERATIONS, Search, Train
from tests.kills.launchpad import Ledger
from tests.kills.plan import LONGEST, draws, quotas
from tests.kills.program import MARK, marked, survivors
from tests.kills.trial import Kill, Outcome

DONE = Ledger(
    {1: "pack", 2: "melt"},
    {1: "COMPLETED", 2: "COMPLETED"},
    {1: {1: "COMPLETED"}, 2: {2: "FIZZLED", 3: "COMPLETED"}},
    Counter({("a", 1): 1, ("b", 1): 1}),
)


def test_kills_are_drawn_again_by_their_seed() -> None:
    for name, kind in COMMANDS.items():
        first, again, other = (
            list(itertools.islice(draws(seed, name, 3, kind.targets), 50)) for seed in (1, 1, 2)
        )
        assert first == again != other
        assert {draw.target for draw in first} == set(kind.targets)
        assert all(0 <= draw.fraction < LONGEST for draw in first)


@pytest.mark.parametrize("kills", [1, 8, 200])
def test_all_kills_are_dealt_out(kills: int) -> None:
    assert sum(quotas(kills).values()) == kills
    assert quotas(200) == {"run": 80, "search": 60, "train": 60}


@pytest.mark.parametrize(
    ("ledger", "fault"),
    [
        (DONE, None),
        (replace(DONE, states={1: "COMPLETED", 2: "RUNNING"}), "unfinished"),
        (replace(DONE, outputs=Counter({("a", 1): 1})), "unfinished"),
        (replace(DONE, outputs=Counter({("a", 1): 1, ("b", 1): 2})), "computed twice"),
        (replace(DONE, launches={**DONE.launches, 1: dict.fromkeys((1, 4), "COMPLETED")}),
         "computed twice"),
    ],
)  # fmt: skip
def test_a_complete_campaign_has_each_job_once(ledger: Ledger, fault: str | None) -> None:
    assert DONE.repeated == 1
    assert {text.split(":")[0] for text in ledger.faults()} == ({fault} if fault else set())


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        (DONE, None),
        (replace(DONE, states={1: "COMPLETED", 2: "READY"}), "lost"),
        (replace(DONE, outputs=Counter({("a", 1): 1})), "lost"),
        (replace(DONE, launches={**DONE.launches, 1: {1: "COMPLETED", 4: "RUNNING"}}),
         "computed twice"),
    ],
)  # fmt: skip
def test_what_was_done_stays_done(after: Ledger, fault: str | None) -> None:
    assert {text.split(":")[0] for text in after.faults_since(DONE)} == (
        {fault} if fault else set()
    )


def test_generations_that_were_reported_are_saved_and_done_once(tmp_path: Path) -> None:
    search = Search(tmp_path, tmp_path, 0)
    (tmp_path / "found").mkdir()
    for island in (1, 2):
        (tmp_path / "found" / f"island_{island}.json").write_text(
            f'{{"generation": {GENERATIONS}}}'
        )
    line = "island {}  generation {:4d}       8/400 structures  best none yet\n"
    printed = [
        line.format(1, GENERATIONS - 1) + line.format(2, GENERATIONS),
        line.format(1, GENERATIONS),
    ]
    assert search.after_kill(printed, look=True) == []
    assert search.at_end(printed, Counter()) == []
    (fault,) = search.at_end([*printed, line.format(2, GENERATIONS)], Counter())
    assert fault.startswith(f"computed twice: generation {GENERATIONS} of island 2")
    (tmp_path / "found" / "island_2.json").write_text(f'{{"generation": {GENERATIONS - 1}}}')
    (fault,) = search.after_kill(printed, look=True)
    assert fault.startswith(f"lost: generation {GENERATIONS} of island 2")


def test_a_checkpoint_of_a_training_must_not_go() -> None:
    train = Train(Path("nowhere"), Path("nowhere"), 0)
    assert train.after_kill([], look=True) == []
    train.epochs = 5
    assert train.after_kill([], look=True) == ["lost: the checkpoint is gone"]


def test_a_training_that_was_killed_after_its_end_begins_anew(tmp_path: Path) -> None:
    train = Train(tmp_path, tmp_path, 0)
    train.epochs = 5
    (tmp_path / "copper.nnp").write_text("a potential")
    assert train.after_kill([], look=True) == []
    checkpoint = {"state": {"history": [1, 2]}}
    (tmp_path / "copper.nnp.checkpoint").write_bytes(zlib.compress(json.dumps(checkpoint).encode()))
    assert train.after_kill([], look=True) == []
    train.epochs = 5
    (fault,) = train.after_kill([], look=True)
    assert fault.startswith("lost: 2 epochs")


def test_survivors_are_found_and_ended() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, MARK: "mine"}
    )
    try:
        assert [found.pid for found in marked("mine")] == [process.pid]
        assert marked("another") == []
        (line,) = survivors("mine", 0.0)
        assert "time.sleep(600)" in line
        assert process.wait(10) < 0
        assert psutil.Process().is_running()
    finally:
        process.kill()
        process.wait()


def test_the_table_counts_kills_and_faults() -> None:
    kills = [Kill(0, 1.0, False, "all", "all", "line"), Kill(1, 2.0, True, "worker", "main", "")]
    lines = table({"run": [Outcome(kills, 3, ["lost: a job"])], "train": [Outcome()]}).splitlines()
    cells = {line[:18].strip(): line[18:].split() for line in lines}
    assert cells["kills"] == ["2", "0", "2"]
    assert cells["before any line"] == ["1", "0", "1"]
    assert cells["main"] == ["1", "0", "1"]
    assert cells["lost"] == ["1", "0", "1"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_that_are_killed_end_as_others(tmp_path: Path) -> None:
    outcomes = run_all(tmp_path, seed=3, kills=8)
    assert sum(len(outcome.kills) for found in outcomes.values() for outcome in found) == 8
    assert not [fault for found in outcomes.values() for o in found for fault in o.faults]
