"""
How long it takes to add a list of campaigns to a launchpad on the embedded server.

    python -m tests.benchmarks.adding --campaigns 1000

Binary compounds of metals, by the ``quick`` protocol and CHGNet. ``devitrify workflow --list`` adds
them, then is given again: all are there. CPU times are those of the command and of the server.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from ase.data import chemical_symbols

from launch.cluster.configuration import Configuration
from launch.cluster.files import ClusterDescription, write_files
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes

DATABASE = "adding"
#: From potassium, rubidium, caesium and hafnium on.
NUMBERS = (*range(19, 32), *range(37, 51), *range(55, 58), *range(72, 80))


def compounds(number: int) -> list[str]:
    """Lines of a list: pairs of metals with more and more formula units."""
    pairs = itertools.combinations([chemical_symbols[number] for number in NUMBERS], 2)
    lines = (f"{a}{b} --z {z}" for z, (a, b) in itertools.product((1, 2, 3, 4), list(pairs)))
    return list(itertools.islice(lines, number))


def cpu_seconds(server: psutil.Process) -> tuple[float, float]:
    """CPU time (s) of the commands that have ended, and of the server."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime, sum(server.cpu_times()[:2])


def server_of(database: EmbeddedDatabase) -> psutil.Process:
    """Return the process of a server that runs."""
    running = database.running()
    assert running is not None
    return psutil.Process(running.pid)


def main() -> None:
    """Add a list twice, and say what each took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--campaigns", type=int, default=1000)
    lines = compounds(parser.parse_args().campaigns)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed, config = folder / "formulas.txt", folder / "config"
        listed.write_text("\n".join(lines) + "\n")
        with EmbeddedDatabase(folder / "database") as database:
            create_indexes(database.uri, DATABASE)
            description = ClusterDescription("local", database.uri, database=DATABASE)
            write_files(config, description.files(config))
            command = [sys.executable, "-m", "launch.cli", "workflow", "--list", listed, "--add",
                       "--engine", "chgnet", "--launchpad", config]  # fmt: skip
            server = server_of(database)
            for what in ("added", "given again"):
                begun, before = time.perf_counter(), cpu_seconds(server)
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                wall, after = time.perf_counter() - begun, cpu_seconds(server)
                client, own = (b - a for a, b in zip(before, after, strict=True))
                print(f"{what}: {wall:.0f} s; CPU of the command {client:.0f} s, server {own:.0f}")
            with Configuration(config).connected() as pad:
                fireworks = pad.fireworks.count_documents({})
                print(f"{pad.workflows.count_documents({})} campaigns, {fireworks} Fireworks")


if __name__ == "__main__":
    main()
