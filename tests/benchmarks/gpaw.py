"""
What cutoffs GPAW's data sets need, and what its calculations cost.

    python -m tests.benchmarks.gpaw cutoffs -o FILE [ELEMENT ...]
    python -m tests.benchmarks.gpaw costs STRUCTURE [--cutoff 300] [--kind melt]

``cutoffs``  Pulay stress of each element, close-packed at the volume from which packing starts,
             along a ladder of cutoffs, and from it the table ``CUTOFFS`` of
             ``workflows.engines.gpaw.datasets``; what has been computed is kept in the file, and
             the same command goes on.
``costs``    CPU seconds and memory of a static calculation, and of steps of dynamics after it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read
from pymatgen.core import Composition

from nnp.units import KBAR
from workflows.engines.gpaw.datasets import CUTOFFS, ELEMENTS
from workflows.engines.gpaw.level import GpawLevel
from workflows.engines.gpaw.settings import GpawSettings
from workflows.stages.packing import estimate_volume

LADDER = (300, 350, 400, 450, 500, 550, 600, 700, 800, 900)  # eV
PRESET_LIMIT, RELAXATION_LIMIT = 10.0, 3.0  # kbar


def energies(element: str) -> list[float]:
    """Energies in eV of an element in a close-packed crystal along the ladder."""
    from gpaw import GPAW

    d = (4 * estimate_volume(Composition(element))) ** (1 / 3) / 2
    found = []
    for cutoff in LADDER:
        atoms = Atoms(element, cell=[[0, d, d], [d, 0, d], [d, d, 0]], pbc=True)
        atoms.calc = GPAW(
            mode={"name": "pw", "ecut": cutoff}, xc="PBE", kpts={"size": (2, 2, 2), "gamma": True},
            occupations={"name": "fermi-dirac", "width": 0.2}, convergence={"energy": 1e-5},
            maxiter=150, txt=None, legacy_gpaw=False,
        )  # fmt: skip
        found.append(atoms.get_potential_energy())
    return found


def pulay_stresses(element: str, ladder: list[float]) -> list[float]:
    """Pulay stress in kbar halfway between neighbouring cutoffs."""
    volume = estimate_volume(Composition(element))
    steps = zip(pairwise(LADDER), pairwise(ladder), strict=True)
    return [
        abs(2 / 3 * (low + high) / 2 * (after - before) / (high - low)) / volume * KBAR
        for (low, high), (before, after) in steps
    ]


def safe_cutoff(stresses: list[float], limit: float) -> int:
    """Lowest cutoff in eV from which on the stress stays below a limit in kbar."""
    above = [i for i, stress in enumerate(stresses) if stress >= limit]
    return LADDER[above[-1] + 1] if above else LADDER[0]


def cutoffs(path: Path, elements: list[str]) -> None:
    """Measure elements and print the table."""
    known = json.loads(path.read_text()) if path.exists() else {}
    for element in elements:
        if element not in known:
            known[element] = energies(element)
            path.write_text(json.dumps(known))
        stresses = pulay_stresses(element, known[element])
        pair = [safe_cutoff(stresses, limit) for limit in (PRESET_LIMIT, RELAXATION_LIMIT)]
        print(element, *pair, "kbar:", *(f"{stress:.1f}" for stress in stresses), flush=True)


def costs(path: Path, cutoff: float | None, kind: str, n_steps: int) -> None:
    """Time one calculation, and steps of dynamics at 1500 K after it."""
    atoms = read(path)
    level = GpawLevel(settings=GpawSettings(cutoff=cutoff, log=False), kind=kind)
    print(path.name, len(atoms), "atoms,", level.sampling(atoms))
    generator = np.random.default_rng(0)
    velocities = generator.normal(size=(len(atoms), 3))
    velocities *= np.sqrt(units.kB * 1500 / atoms.get_masses())[:, None]
    atoms.calc = level.build()
    for step in range(n_steps + 1):
        started = time.process_time()
        energy, stress = atoms.get_potential_energy() / len(atoms), atoms.get_stress()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"step {step}: {time.process_time() - started:.1f} CPU s, {memory:.0f} MB, "
            f"{energy:.6f} eV/atom, {-stress[:3].mean() * KBAR:.1f} kbar", flush=True,
        )  # fmt: skip
        atoms.positions += velocities * 2 * units.fs


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    ladder = commands.add_parser("cutoffs")
    ladder.add_argument("elements", nargs="*", default=sorted(CUTOFFS), metavar="ELEMENT")
    ladder.add_argument("-o", "--output", type=Path, required=True)
    cost = commands.add_parser("costs")
    cost.add_argument("structure", type=Path)
    cost.add_argument("--cutoff", type=float)
    cost.add_argument("--kind", default="melt")
    cost.add_argument("--steps", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.command == "cutoffs":
        unknown = sorted(set(arguments.elements) - ELEMENTS)
        if unknown:
            parser.error(f"there is no data set of {', '.join(unknown)}")
        cutoffs(arguments.output, arguments.elements)
    else:
        costs(arguments.structure, arguments.cutoff, arguments.kind, arguments.steps)


if __name__ == "__main__":
    main()
