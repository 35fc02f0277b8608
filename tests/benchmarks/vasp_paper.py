"""The paper's protocol by the VASP engine, on the stand-in, from ``lpad add`` to the ranking."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.vasp_paper_check import Campaign, findings
from tests.fake_vasp.install import install
from tests.integration.launchpad import LaunchpadFolder
from workflows.documents.prediction import PredictionDocument
from workflows.documents.search import SearchDocument

NAME = "paper"

#: Nothing of the physics: only how often a run is looked at, and no time kept for a batch system.
SUPERVISION = {"polling": 0.2, "monitor": 5, "buffer": 0}


def run(formula: str, folder: Path, options: list[str]) -> None:
    """
    Run the campaign, or resume it; at its end check and print every number.

    Parameters
    ----------
    formula : str
        Composition.
    folder : Path
        Of everything; absolute.
    options : list of str
        Further ones of ``devitrify workflow``.
    """
    os.environ.update(install(folder / "vasp").environment)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the times are kept
    with LaunchpadFolder(folder) as launchpad:
        if {firework["state"] for firework in launchpad.fireworks()} != {"COMPLETED"}:
            with timed(folder / "times.json"):
                prepare(launchpad, formula, options)
                launch(launchpad)
        report(launchpad)


def prepare(launchpad: LaunchpadFolder, formula: str, options: list[str]) -> None:
    """Add the workflow, or free what an earlier run held and retry what failed."""
    if launchpad.fireworks():
        launchpad.type("lpad", "detect_lostruns", "--time", "1", "--rerun")
        launchpad.rerun_failed()
        return
    file = launchpad.folder / "wf.json"
    settings = [f"--set=vasp.supervision.{name}={value}" for name, value in SUPERVISION.items()]
    subprocess.run(
        [sys.executable, "-m", "launch.cli", "workflow", formula, "--protocol", "paper",
         "--engine", "vasp", "--campaign", NAME, "-o", str(file), *settings, *options],
        check=True, env=launchpad.environment,
    )  # fmt: skip
    launchpad.reset()
    launchpad.type("lpad", "add", str(file))


def launch(launchpad: LaunchpadFolder) -> None:
    """Run what is ready until nothing is."""
    log = launchpad.folder / "rlaunch.log"
    with launchpad.started("rlaunch", "rapidfire", "--nlaunches", "0", log=log) as process:
        process.wait()


def report(launchpad: LaunchpadFolder) -> None:
    """Print what ran and what it cost, and every number of the protocol beside what was found."""
    campaign = Campaign(launchpad, NAME)
    states = Counter(firework["state"] for firework in campaign.fireworks)
    print(f"Fireworks: {dict(states)}")
    if set(states) != {"COMPLETED"}:
        sys.exit("not finished: the same command goes on")
    print("| stage | Fireworks | ps | wall s |\n|---|---|---|---|")
    stages = dict.fromkeys(str(f["spec"]["stage"]) for f in campaign.fireworks)
    for stage in stages:
        number = sum(firework["spec"]["stage"] == stage for firework in campaign.fireworks)
        length = sum(segment.duration for segment in campaign.segments.get(stage, [])) / 1000
        print(f"| {stage} | {number} | {length:.1f} | {campaign.wall_seconds(stage):.0f} |")
    times = json.loads((launchpad.folder / "times.json").read_text())
    print(f"\n{times['wall']:.0f} s of wall time and {times['cpu']:.0f} s of CPU time in all")
    search = campaign.results.newest(SearchDocument)
    ranking = campaign.results.newest(PredictionDocument)
    assert search is not None
    assert ranking is not None
    print(
        f"{search.n_structures} structures searched in {search.cpu_seconds:.0f} CPU s; "
        f"{len(ranking.candidates)} distinct candidates, {len(ranking.failures)} failed\n"
    )
    wrong = 0
    print("| stage | | paper | found |\n|---|---|---|---|")
    for finding in findings(campaign):
        mark = "" if finding.right else " **wrong**"
        wrong += not finding.right
        print(f"| {finding.stage} | {finding.what} | {finding.expected} | {finding.found}{mark} |")
    if wrong:
        sys.exit(f"{wrong} numbers are not those of the protocol")


@contextmanager
def timed(path: Path) -> Iterator[None]:
    """Add the wall and CPU time of the processes started meanwhile to those of earlier runs."""
    wall, before = time.time(), _cpu()
    try:
        yield
    finally:
        old = json.loads(path.read_text()) if path.exists() else {"wall": 0.0, "cpu": 0.0}
        new = {"wall": old["wall"] + time.time() - wall, "cpu": old["cpu"] + _cpu() - before}
        path.write_text(json.dumps(new))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
