"""A potential judged by crystals that it has not been trained on: the real command."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from ase.io import write

from tests.integration.conftest import DEVITRIFY, RUN, SHORT, environment
from tests.integration.kills import fireworks, wait_for

Command = Callable[..., "subprocess.CompletedProcess[str]"]

JUDGE = [
    *("judge", "copper", "--known", "fcc.vasp", "--known", "bcc.vasp", "--generations", "1"),
    *("--set", "judge.search.evolution.population=4"),
]


def launched(folder: Path) -> dict[int, int]:
    """How often each Firework was launched."""
    return {work["fw_id"]: len(work["launches"]) for work in fireworks(folder)}


@pytest.mark.slow
def test_the_potential_of_copper_is_judged(devitrify: Command, tmp_path: Path) -> None:
    """Killed in the middle and resumed; asked again; asked for more."""
    folder = tmp_path / "copper"
    write(tmp_path / "fcc.vasp", bulk("Cu", "fcc", a=3.6))
    write(tmp_path / "bcc.vasp", bulk("Cu", "bcc", a=2.85))
    write(tmp_path / "gold.vasp", bulk("Au", "fcc", a=4.08))

    # nothing to judge yet, and nothing to judge by
    none = devitrify(*JUDGE)
    assert none.returncode == 1
    assert "neither the folder of a campaign" in none.stderr or "no configuration" in none.stderr
    trained = devitrify("run", "Cu", *RUN, *SHORT, "--set", "until=train", "--folder", "copper")
    assert trained.returncode == 0, trained.stderr
    campaign_jobs = launched(folder)
    gold = devitrify(*JUDGE, "--known", "gold.vasp")
    assert gold.returncode == 1
    assert "another composition" in gold.stderr
    nothing = devitrify("judge", "copper", "--random", "0", "--generations", "0")
    assert nothing.returncode == 1
    assert "Nothing to judge by" in nothing.stderr

    _kill(tmp_path, folder, [*JUDGE, "--random", "2"], "generation 1 structure")
    done = devitrify(*JUDGE, "--random", "2")
    assert done.returncode == 0, done.stderr
    assert "Spearman" in done.stdout
    assert "The lowest known phase, fcc," in done.stdout
    works = fireworks(folder)
    assert all(work["state"] == "COMPLETED" for work in works)
    names = Counter(work["name"] for work in works)
    assert names["compare"] == names["collect"] == 1
    assert names["generation 1 structure 1"] == 1
    assert {n: launched(folder)[n] for n in campaign_jobs} == campaign_jobs

    found: dict[str, Any] = json.loads((folder / "judge.json").read_text())
    with (folder / "judge.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [point["label"] for point in found["points"]]
    energies = {point["label"]: point["reference_energy"] for point in found["points"]}
    assert energies["fcc"] == pytest.approx(-0.0070, abs=2e-3)
    assert energies["bcc"] > energies["fcc"]
    plots = {path.stem for path in (folder / "plots").glob("*.png")}
    assert {"judge", "judge_coverage"} <= plots

    # asked again, nothing runs again
    before = launched(folder)
    again = devitrify(*JUDGE, "--random", "2")
    assert again.returncode == 0
    assert launched(folder) == before
    assert "Spearman" in again.stdout

    # a file for a cluster has the same job
    file = devitrify(*JUDGE, "--random", "2", "--output", "judge.json")
    assert file.returncode == 0, file.stderr
    tasks = json.loads((tmp_path / "judge.json").read_text())["fws"][0]["spec"]["_tasks"]
    assert tasks[0]["job"]["name"] == "judge"

    shown = devitrify("results", "copper", "--stage", "judge", "--format", "json")
    assert json.loads(shown.stdout)[0]["judge.structures"] == len(found["points"])
    # the campaign itself goes on
    resumed = devitrify("run", "Cu", *RUN, *SHORT, "--set", "until=train", "--folder", "copper")
    assert resumed.returncode == 0, resumed.stderr


def _kill(parent: Path, folder: Path, command: list[str], moment: str) -> None:
    """Kill a command when a job begins."""
    process = subprocess.Popen(
        [*DEVITRIFY, *command], cwd=parent, env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(folder, f"Starting job - {moment}", process, 200)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
