"""
The lowest energies that campaigns reach, beside known phases relaxed by the same engine.

    python -m tests.benchmarks.prediction LiAlCl4 --seeds 0 1 2 \
        --known KNOWN/LiAlCl4_*.vasp -- --set search.evolution.generations=60

Runs ``devitrify run`` once for every seed, in folders that a second call resumes, and prints for
each the lowest engine energy, its space group, whether it is one of the known phases, structures
relaxed and wall time. What stands behind ``--`` goes to ``devitrify run``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from ase.io import read
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from workflows.chains.protocols import find_protocol
from workflows.conversion import to_atoms, to_structure
from workflows.engines.ase.relax import relax_atoms
from workflows.engines.registry import find_engine

Known = dict[str, tuple[Structure, float]]


def relax_known(
    paths: list[Path], engine: str, max_steps: int
) -> dict[str, tuple[Structure, float]]:
    """Known phases, relaxed to the thresholds of the quick protocol: structure and eV/atom."""
    stage = find_protocol("quick").candidates
    stage = replace(stage, limits=replace(stage.limits, max_steps=max_steps))
    known = {}
    for path in paths:
        atoms = to_atoms(to_structure(read(path)).get_primitive_structure())
        atoms.calc = find_engine(engine).build()
        steps, converged = relax_atoms(atoms, stage.limits)
        energy = atoms.get_potential_energy() / len(atoms)
        known[path.stem] = (to_structure(atoms), energy)
        print(f"{path.stem}: {energy:.4f} eV/atom, {atoms.get_volume() / len(atoms):.2f} Å³/atom"
              f" ({steps} steps{'' if converged else ', not converged'})", flush=True)  # fmt: skip
    return known


def run(formula: str, seed: int, folder: Path, options: list[str]) -> float:
    """Run or resume one campaign and return the seconds that took."""
    started = time.monotonic()
    command = [sys.executable, "-m", "launch.cli", "run", formula, "--seed", str(seed)]
    subprocess.run([*command, "--folder", str(folder), *options], check=True)
    return time.monotonic() - started


def describe(folder: Path, known: Known) -> str:
    """One line on what a campaign found."""
    summary = json.loads((folder / "summary.json").read_text())
    best = summary["candidates"][0]
    structure = Structure.from_file(next((folder / "structures").glob("01_*.cif")))
    matcher = StructureMatcher(ltol=0.3, stol=0.4, angle_tol=8)
    same = [name for name, (phase, _) in known.items() if matcher.fit(structure, phase)]
    lowest = min((energy for _, energy in known.values()), default=float("nan"))
    errors = summary["validation_rmse"]
    return (
        f"{best['energy']:.4f} eV/atom, {1000 * (best['energy'] - lowest):+.1f} meV/atom against "
        f"the lowest known phase; {best['space_group']}, Z = {best['formula_units']}, "
        f"{'the structure of ' + ', '.join(same) if same else 'none of the known phases'}; "
        f"T_m {summary['melting_temperature_K']:.0f} K; validation "
        f"{errors['energy_meV_atom']:.1f} meV/atom {errors['force_eV_A']:.2f} eV/Å; "
        f"{summary['structures_relaxed']} structures relaxed"
    )


def main() -> None:
    """Run the benchmark."""
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    parser.add_argument("formula")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--known", type=Path, nargs="*", default=[])
    parser.add_argument("--engine", default="chgnet")
    parser.add_argument("--folder", type=Path, default=Path("campaigns"))
    parser.add_argument("--known-steps", type=int, default=1000)
    chosen = parser.parse_args(arguments[:split])
    known = relax_known(chosen.known, chosen.engine, chosen.known_steps)
    lines = []
    for seed in chosen.seeds:
        folder = chosen.folder / f"{chosen.formula}-{seed}"
        options = ["--engine", chosen.engine, *arguments[split + 1 :]]
        seconds = run(chosen.formula, seed, folder, options)
        lines.append(f"seed {seed}: {describe(folder, known)}; {seconds:.0f} s in this call")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
