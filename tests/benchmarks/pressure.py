"""
The search under pressure against random relaxations: MgAl2O4, 28 atoms, 100 GPa, pair potential.

    python -m tests.benchmarks.pressure random -n 5000 -o FOLDER   # relaxes random crystals
    python -m tests.benchmarks.pressure search -n 1000 -o FOLDER   # devitrify search
    python -m tests.benchmarks.pressure compare -o FOLDER

The potential is `tests.search.pair_energy.oxide`, Buckingham with screened charges. Random crystals
have symmetry, as those of the search have, and half to all of the volume that covalent radii give.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from search.create.random_crystals import RandomSymmetric, typical_volume
from search.geometry import DistanceLimits
from search.relax.limits import RelaxationLimits
from search.relax.pressure import GPA
from search.relax.relaxer import Relaxer
from tests.search.pair_energy import oxide

COUNTS = {"Mg": 4, "Al": 8, "O": 16}
PRESSURE = 100.0
"""GPa."""
VOLUMES = (0.5, 1.0)
BATCH = 64


def random_enthalpies(number: int, seed: int = 0) -> list[float]:
    """
    Enthalpies (eV/atom) of random crystals, relaxed; those that failed are left out.

    Parameters
    ----------
    number : int
        Relaxations.
    seed : int
        Of the crystals.
    """
    limits = DistanceLimits.from_radii(sorted(COUNTS))
    generator, volume = RandomSymmetric(limits), typical_volume(COUNTS)
    tight = RelaxationLimits(
        max_force=0.01, max_stress=1.0, max_steps=1000, pressure=PRESSURE * GPA
    )
    relaxer = Relaxer(tight, energy_window=None, tight_window=None)
    rng = np.random.default_rng(seed)
    found: list[float] = []
    for start in range(0, number, BATCH):
        crystals = [
            generator.generate(COUNTS, volume * rng.uniform(*VOLUMES), rng)
            for _ in range(min(BATCH, number - start))
        ]
        relaxed = relaxer.relax(crystals, oxide(), distances=limits)
        found += [r.energy / len(r.atoms) for r in relaxed if r.usable]
    return found


def search_command(structures: int, folder: Path, seed: int = 0) -> list[str]:
    """Command line of the search."""
    return [
        *(sys.executable, "-m", "launch.cli", "search"),
        *("tests.search.pair_energy:oxide_calculator", "MgAl2O4", "--z", "4"),
        *("--pressure", f"{PRESSURE:g}", "-n", str(structures), "--seed", str(seed)),
        *("-w", "1", "-o", str(folder)),
    ]


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["random", "search", "compare"])
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.o.mkdir(parents=True, exist_ok=True)
    record = arguments.o / "random.json"
    if arguments.what == "random":
        started = time.process_time()
        enthalpies = random_enthalpies(arguments.n, arguments.seed)
        seconds = time.process_time() - started
        record.write_text(json.dumps({"n": arguments.n, "enthalpies": sorted(enthalpies)}))
        print(f"{len(enthalpies)} of {arguments.n} relaxed, {seconds:.0f} CPU s")
        print(f"lowest enthalpy {min(enthalpies):.5f} eV/atom")
    elif arguments.what == "search":
        command = search_command(arguments.n, arguments.o / "search", arguments.seed)
        subprocess.run(command, check=True)
    else:
        chance = np.array(json.loads(record.read_text())["enthalpies"])
        summary = json.loads((arguments.o / "search" / "summary.json").read_text())
        best = summary["best"][0]
        print(f"random: {chance.min():.5f} eV/atom of {len(chance)}")
        print(
            f"search: {best['enthalpy']:.5f} eV/atom, space group {best['space_group']}, of "
            f"{summary['structures']}"
        )
        print(f"difference {1000 * (best['enthalpy'] - chance.min()):+.3f} meV/atom")


if __name__ == "__main__":
    main()
