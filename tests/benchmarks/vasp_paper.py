"""The paper's protocol by the VASP engine, on the stand-in, from ``lpad add`` to the ranking."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fake_vasp.install import install
from tests.integration.launchpad import LaunchpadFolder

#: Nothing of the physics: only how often a run is looked at, and no time kept for a batch system.
SUPERVISION = {"polling": 0.2, "monitor": 5, "buffer": 0}


def run(formula: str, folder: Path, options: list[str]) -> None:
    """
    Run the campaign, or resume it.

    Parameters
    ----------
    formula
        Composition.
    folder
        Of everything; absolute.
    options
        Further ones of ``devitrify workflow``.
    """
    os.environ.update(install(folder / "vasp").environment)
    with LaunchpadFolder(folder) as launchpad, timed(folder / "times.json"):
        if launchpad.fireworks():
            launchpad.type("lpad", "detect_lostruns", "--time", "1", "--rerun")
            launchpad.type("lpad", "rerun_fws", "-s", "FIZZLED")
        else:
            settings = [f"--set=vasp.supervision.{k}={v}" for k, v in SUPERVISION.items()]
            subprocess.run(
                [sys.executable, "-m", "launch.cli", "workflow", formula, "--protocol", "paper",
                 "--engine", "vasp", "--campaign", "paper", "-o", str(folder / "wf.json"),
                 *settings, *options],
                check=True, env=launchpad.environment,
            )  # fmt: skip
            launchpad.reset()
            print(launchpad.type("lpad", "add", str(folder / "wf.json")).strip())
        log = folder / "rlaunch.log"
        with launchpad.started("rlaunch", "rapidfire", "--nlaunches", "0", log=log) as process:
            process.wait()


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
