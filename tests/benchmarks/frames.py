"""
Melt-quench-anneal frames that the chain makes with CHGNet, kept for the training benchmarks.

    python -m tests.benchmarks.frames LiAlCl4 Mg2SiO4 -o FOLDER

runs ``devitrify run FORMULA --set until=sample`` with the settings below (ten minutes for LiAlCl4
and half an hour for Mg2SiO4 on two cores; the same command resumes) and packs the frames into
``tests/benchmarks/data/FORMULA.npz``: energies in double, all else in single precision, which is
1e-6 Å and 1e-7 of a force.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np

from nnp.frames import Frames

DATA = Path(__file__).with_name("data")

#: What is longer than in the quick protocol, so that there are 1500 frames of 48 atoms or more.
SETTINGS: dict[str, dict[str, float]] = {
    "LiAlCl4": {
        "pack.n_atoms": 48,
        "liquid.duration": 5.2,
        "quench.rate": 200,
        "anneal.duration": 4.0,
    },
    "Mg2SiO4": {
        "pack.n_atoms": 49,
        "melting_temperature.highest": 4000,
        "liquid.duration": 4.0,
        "quench.rate": 600,
        "anneal.duration": 4.0,
    },
}


def load(formula: str) -> Frames:
    """Read the kept frames of a material."""
    with np.load(DATA / f"{formula}.npz") as arrays:
        return Frames(**{name: arrays[name] for name in arrays.files})


def pack(frames: Frames, formula: str) -> Path:
    """Keep frames of a material."""
    single = ("positions", "forces", "cells", "stresses", "temperatures", "times")
    arrays = {}
    for item in fields(frames):
        array = getattr(frames, item.name)
        arrays[item.name] = array.astype(np.float32) if item.name in single else array
    DATA.mkdir(exist_ok=True)
    path = DATA / f"{formula}.npz"
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return path


def generate(formula: str, folder: Path, workers: int) -> Path:
    """Run the chain up to its frames, or resume it, and keep them."""
    settings = [f"--set={path}={value}" for path, value in SETTINGS[formula].items()]
    subprocess.run(
        [sys.executable, "-m", "launch.cli", "run", formula, "--folder", str(folder / formula),
         "--workers", str(workers), "--set=until=sample", *settings],
        check=True,
    )  # fmt: skip
    return pack(Frames.read(folder / formula / "frames.extxyz"), formula)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("formulas", nargs="+", choices=SETTINGS)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for formula in arguments.formulas:
        path = generate(formula, arguments.output, arguments.workers)
        print(f"{path}: {load(formula)}")


if __name__ == "__main__":
    main()
