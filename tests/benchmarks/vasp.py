"""
The VASP engine on the stand-in of ``tests/fake_vasp``.

    python -m tests.benchmarks.vasp faults [FAULT ...]
    python -m tests.benchmarks.vasp paper -o FOLDER [FORMULA] [--z Z] [--set PATH=VALUE]
    python -m tests.benchmarks.vasp reading

``faults``   injects every fault, or those named, once and for good, into segments of dynamics that
             FireWorks and custodian run, takes the faults away, runs again what failed, and prints
             what was lost;
``paper``    runs the whole protocol of the paper through ``lpad add`` and ``rlaunch rapidfire``,
             checks that every stage had the paper's numbers, and prints them and what it took; the
             same command resumes;
``reading``  measures time and memory of reading segments of dynamics.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks import vasp_faults, vasp_paper, vasp_reading


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    figures = parser.add_subparsers(dest="figure", required=True)
    faults = figures.add_parser("faults")
    faults.add_argument("names", nargs="*", metavar="FAULT")
    paper = figures.add_parser("paper")
    paper.add_argument("formula", nargs="?", default="LiAlCl4")
    paper.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    paper.add_argument("--z", default="2")
    paper.add_argument("--set", action="append", default=[], dest="settings")
    reading = figures.add_parser("reading")
    vasp_reading.add_arguments(reading)
    arguments = parser.parse_args()
    if arguments.figure == "faults":
        vasp_faults.table(arguments.names)
    elif arguments.figure == "paper":
        options = ["--z", arguments.z, *(f"--set={setting}" for setting in arguments.settings)]
        vasp_paper.run(arguments.formula, arguments.output.resolve(), options)
    else:
        vasp_reading.table(arguments)


if __name__ == "__main__":
    main()
