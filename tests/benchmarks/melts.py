"""
Forces on melts by several engines, against density functional theory or against each other.

    python -m tests.benchmarks.melts -o FOLDER [--engines chgnet sevennet gpaw ...]
    python -m tests.benchmarks.melts -o FOLDER --derivatives    # against finite differences

A melt of each compound is packed at random, run for 2 ps by the rough pair potential and for 100 fs
by CHGNet at 3000 K, so that no atoms are too close for any engine. Each engine then gives its
forces for the last configuration. Printed are root mean squares of their components, and mean
absolute differences of these from those of the engines before. Each result is kept in the folder.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.md.bussi import Bussi
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import FIRE
from pymatgen.core import Composition

from tests.benchmarks.training import Kept
from tests.workflows.energy_curves import derivative, moved
from workflows.documents.plane_waves import PlaneWaves
from workflows.engines.gpaw.settings import GpawSettings
from workflows.engines.names import base_name
from workflows.engines.registry import find_engine
from workflows.stages.packing import estimate_volume, pack_atoms

#: Formula units of each compound: cells that density functional theory can pay for.
COMPOUNDS = {"LiAlCl4": 4, "Mg2SiO4": 4}
#: GPAW's cutoffs for their forces, eV.
CUTOFFS = {"LiAlCl4": 300.0, "Mg2SiO4": 450.0}
TEMPERATURE, TIME_STEP = 3000.0, 1.0 * units.fs
#: Components of forces that are compared with finite differences; reach (Å) and number of points.
COMPONENTS, CURVE = 8, (0.03, 11)
ENGINES = ("chgnet", "sevennet-0", "sevennet-mf-0", "sevennet")


def melt(formula: str) -> dict[str, Any]:
    """Make a melt; its cell, symbols and positions."""
    composition = COMPOUNDS[formula] * Composition(formula)
    amounts = {element.symbol: int(n) for element, n in composition.items()}
    edge = (1.15 * composition.num_atoms * estimate_volume(composition)) ** (1 / 3)
    symbols = [symbol for symbol, n in amounts.items() for _ in range(n)]
    atoms = Atoms(symbols, pack_atoms(amounts, edge, 2.0, seed=1), cell=[edge] * 3, pbc=True)
    for engine, steps in (("pair", 2000), ("chgnet", 100)):
        atoms.calc = find_engine(engine).build()
        if engine == "pair":  # some atoms are packed too close
            FIRE(atoms, logfile=None).run(fmax=1.0, steps=200)
            MaxwellBoltzmannDistribution(
                atoms, temperature_K=TEMPERATURE, rng=np.random.default_rng(1)
            )
        Bussi(
            atoms, TIME_STEP, temperature_K=TEMPERATURE, taut=50 * units.fs,
            rng=np.random.RandomState(1),
        ).run(steps)  # fmt: skip
    return {
        "cell": atoms.cell.array.tolist(),
        "symbols": symbols,
        "positions": atoms.get_positions(wrap=True).tolist(),
    }


def forces(engine: str, formula: str, atoms: Atoms, mesh: int) -> dict[str, Any]:
    """Forces (eV/Å) by an engine, and its CPU seconds."""
    chosen = find_engine(engine)
    if base_name(engine) == "gpaw":
        settings = GpawSettings(cutoff=CUTOFFS[formula], log=False)
        waves = PlaneWaves(CUTOFFS[formula], (mesh, mesh, mesh))
        level = replace(chosen, settings=settings).level("melt")  # type: ignore[attr-defined]
        atoms.calc = replace(level, plane_waves=waves).build()
    else:
        atoms.calc = chosen.build()
    started = time.process_time()
    found = atoms.get_forces()
    return {"forces": found.tolist(), "cpu": time.process_time() - started}


def differences(engine: str, atoms: Atoms) -> dict[str, Any]:
    """Forces against finite differences of the energy, eV/Å, of some atoms along some axes."""
    atoms.calc = find_engine(engine).build()
    found = atoms.get_forces().copy()
    random = np.random.default_rng(0)
    off = []
    for _ in range(COMPONENTS):
        i, k = int(random.integers(len(atoms))), int(random.integers(3))
        off.append(float(abs(found[i, k] + derivative(moved(atoms, i, k), *CURVE))))
    return {"off": off}


def main() -> None:
    """Run from the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--compounds", nargs="+", default=list(COMPOUNDS), choices=COMPOUNDS)
    parser.add_argument("--mesh", type=int, default=2, help="k-points of GPAW along each edge")
    parser.add_argument("--derivatives", action="store_true", help="are forces derivatives?")
    options = parser.parse_args()
    kept = Kept(options.output)
    for formula in options.compounds:
        made = kept(f"melt {formula}", partial(melt, formula))
        atoms = Atoms(made["symbols"], made["positions"], cell=made["cell"], pbc=True)
        if options.derivatives:
            for engine in options.engines:
                name = f"derivatives {formula} {engine}".replace("/", "_")
                off = kept(name, partial(differences, engine, atoms.copy()))["off"]
                print(f"{formula} {engine:22s} off by {np.median(off):.1e} to {max(off):.1e} eV/Å")
            continue
        found = {}
        for engine in options.engines:
            compute = partial(forces, engine, formula, atoms.copy(), options.mesh)
            result = kept(f"forces {formula} {engine}".replace("/", "_"), compute)
            found[engine] = np.array(result["forces"])
            size = np.sqrt(np.mean(found[engine] ** 2))
            print(
                f"{formula} ({len(atoms)} atoms) {engine:22s} root mean square of components "
                f"{size:.2f} eV/Å, {result['cpu']:.1f} CPU s; mean absolute difference from "
                + ", ".join(
                    f"{other} {np.abs(found[engine] - its).mean():.3f}"
                    for other, its in found.items()
                    if other != engine
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
