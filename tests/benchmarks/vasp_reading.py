"""
Time and memory of reading a segment of dynamics.

Each file is read in a process of its own, whose peak memory is reported beside that of a process
that has only imported the reader.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.workflows.vasp.xml import random_steps, write_vasprun


def read_file(path: Path, repeats: int) -> tuple[float, int]:
    """Read a file some times: the least CPU time in s, and the number of steps."""
    from workflows.engines.vasp.vasprun import read_steps

    times, n_steps = [], 0
    for _ in range(repeats):
        started = time.process_time()
        n_steps = len(read_steps(path, 100, 1e-5))
        times.append(time.process_time() - started)
    return min(times), n_steps


def peak_memory() -> float:
    """Largest resident memory of this process so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(path: str, repeats: int) -> None:
    """Measure one file and print the figures; this is what runs in a process of its own."""
    import workflows.engines.vasp.vasprun  # noqa: F401

    before = peak_memory()
    seconds, n_steps = read_file(Path(path), repeats)
    print(n_steps, seconds, before, peak_memory())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the measurement."""
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--atoms", type=int, default=98)
    parser.add_argument("--repeats", type=int, default=5)


def table(arguments: argparse.Namespace) -> None:
    """Write files of all lengths, read each, and print a table."""
    print("steps  atoms  file MB  CPU s  ms a step  memory MB  before MB")
    with tempfile.TemporaryDirectory() as folder:
        for n_steps in arguments.steps:
            path = Path(folder) / f"{n_steps}.xml"
            write_vasprun(path, random_steps(n_steps, arguments.atoms))
            command = [sys.executable, "-m", "tests.benchmarks.vasp_reading", str(path),
                       str(arguments.repeats)]  # fmt: skip
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found, seconds, before, peak = (float(part) for part in printed.split())
            assert found == n_steps
            print(
                f"{n_steps:5d}  {arguments.atoms:5d}  {path.stat().st_size / 1e6:7.1f}  "
                f"{seconds:5.2f}  {seconds / n_steps * 1000:9.2f}  {peak:9.0f}  {before:9.0f}"
            )


if __name__ == "__main__":
    child(sys.argv[1], int(sys.argv[2]))
