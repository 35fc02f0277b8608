"""
What engines are worth, and what they cost, with dispersion and without.

    python -m tests.benchmarks.engines derivatives -o FOLDER [--engines chgnet sevennet ...]
    python -m tests.benchmarks.engines volumes -o FOLDER
    python -m tests.benchmarks.engines polymorphs -o FOLDER
    python -m tests.benchmarks.engines costs -o FOLDER

``derivatives``  largest difference of forces and stress from finite differences of the energy;
``volumes``      crystals relaxed by each engine against their experimental volumes;
``polymorphs``   energies at equal geometries, those of the reference structures, not relaxed;
                 with ``--engines gpaw`` too, which takes half an hour;
``costs``        CPU seconds of an evaluation of 28 atoms and memory, each in a process of its own.

Each result is kept in the folder; asked again, only what is missing is computed. ``volumes`` and
``polymorphs`` and ``costs`` read structures in the folder that DEVITRIFY_REFERENCE names.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.spacegroup import crystal
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from nnp.units import KBAR
from search.relax.limits import RelaxationLimits
from tests.benchmarks.training import Kept
from tests.workflows.energy_curves import COMPONENTS, derivative, moved, sheared_salt, strained
from workflows.conversion import to_atoms, to_structure
from workflows.engines.ase.relax import relax_atoms
from workflows.engines.ase.static import free_energy
from workflows.engines.gpaw.settings import CrystalSettings, GpawSettings
from workflows.engines.names import base_name
from workflows.engines.registry import find_engine

ENGINES = ("chgnet", "sevennet-0", "sevennet-mf-0", "sevennet-mf-0-r2scan", "sevennet")
DISPERSIONS = ("", "+d3bj", "+d3zero")
#: What nobody has fitted parameters for.
NEVER_FITTED = (("sevennet-mf-0-r2scan", "+d3zero"),)
#: Where relaxations of known crystals end.
LIMITS = RelaxationLimits(max_force=0.01, max_stress=0.5, max_steps=500)
#: Reach (Å) and number of points of finite differences: CHGNet's energies are the roughest, and
#: have kinks where a bond reaches its cutoff. Of strains the reach is a part.
CURVE, CURVE_OF_CHGNET, STRAIN_CURVE = (0.03, 11), (0.01, 121), (0.01, 11)
#: Lattice parameters a and c of graphite in Å.
GRAPHITE = (2.461, 6.708)


@dataclass(frozen=True)
class Sample:
    """
    A crystal whose volume has been measured.

    Attributes
    ----------
    name : str
    atoms : Atoms
        As it was published, at room temperature.
    source : str
        Of its lattice.
    """

    name: str
    atoms: Atoms
    source: str


def reference(name: str) -> Path:
    """
    Path of a reference structure.

    Raises
    ------
    SystemExit
        If there is no folder of them.
    """
    folder = os.environ.get("DEVITRIFY_REFERENCE")
    if folder is None:
        raise SystemExit("DEVITRIFY_REFERENCE names no folder; see docs/benchmarks.md")
    return Path(folder) / "structures" / f"{name}.vasp"


def samples() -> list[Sample]:
    """Ionic crystals, a molecular one of tetrahedra, and two layered ones."""
    a, c = GRAPHITE
    graphite = crystal(
        ["C", "C"], [(0, 0, 0.25), (1 / 3, 2 / 3, 0.25)], spacegroup=194,
        cellpar=[a, a, c, 90, 90, 120],
    )  # fmt: skip
    sulfide = crystal(
        ["Mo", "S"], [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.621)], spacegroup=194,
        cellpar=[3.1604, 3.1604, 12.295, 90, 90, 120],
    )  # fmt: skip
    return [
        Sample("NaCl", bulk("NaCl", "rocksalt", a=5.6402), "Wyckoff, Crystal Structures (1963)"),
        Sample("MgO", bulk("MgO", "rocksalt", a=4.2112), "Wyckoff, Crystal Structures (1963)"),
        Sample("graphite", graphite, "Trucano and Chen, Nature 258, 136 (1975)"),
        Sample("MoS2", sulfide, "Bronsema et al., Z. anorg. allg. Chem. 540, 15 (1986)"),
        Sample("LiAlCl4 P2_1/c", read(reference("LiAlCl4_P21c")), "COD 1004036"),
        Sample(
            "Mg2SiO4 forsterite", read(reference("Mg2SiO4_forsterite_Pnma")), "reference structure"
        ),
    ]


#: Reference structures whose energies are compared, the one that counts as zero first. Those of
#: LiAlCl4 were relaxed by CHGNet: PBE is far from their measured volumes.
POLYMORPHS = {
    "Mg2SiO4": (
        "Mg2SiO4_forsterite_Pnma",
        "Mg2SiO4_wadsleyite_Imma",
        "Mg2SiO4_ringwoodite_Fd-3m",
    ),
    "LiAlCl4": ("relaxed_chgnet_LiAlCl4_P21c", "relaxed_chgnet_LiAlCl4_Pmn21"),
}
#: GPAW's cutoffs in eV for them, and 1/Å between k-points.
GPAW_LEVELS = {"Mg2SiO4": (600.0, 0.6), "LiAlCl4": (300.0, 0.7)}


def differences(engine: str) -> dict[str, Any]:
    """Largest differences of forces (eV/Å) and stress (kbar) from finite differences."""
    atoms = sheared_salt()
    atoms.calc = find_engine(engine).crystal_calculator()
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
    curve = CURVE_OF_CHGNET if base_name(engine) == "chgnet" else CURVE
    by_force = [
        forces[i, k] + derivative(moved(atoms, i, k), *curve) for i in range(2) for k in range(3)
    ]
    by_stress = [
        stress[a, b] - derivative(strained(atoms, a, b), *STRAIN_CURVE) / atoms.get_volume()
        for a, b in COMPONENTS
    ]
    return {
        "force": float(np.abs(by_force).max()),
        "stress": float(np.abs(by_stress).max() * KBAR),
        "largest_force": float(np.abs(forces).max()),
        "largest_stress": float(np.abs(stress).max() * KBAR),
    }


def relaxed(engine: str, sample: Sample) -> dict[str, Any]:
    """Volume (Å³/atom) and energy (eV/atom) of a crystal relaxed by an engine."""
    atoms = sample.atoms.copy()
    atoms.calc = find_engine(engine).crystal_calculator()
    steps, converged = relax_atoms(atoms, LIMITS)
    return {
        "volume": atoms.get_volume() / len(atoms),
        "energy": free_energy(atoms) / len(atoms),
        "steps": steps,
        "converged": converged,
    }


def primitive(atoms: Atoms) -> Atoms:
    """Primitive cell of a crystal, as it is if it is one."""
    found = SpacegroupAnalyzer(to_structure(atoms), symprec=0.001).find_primitive()
    return atoms if len(found) == len(atoms) else to_atoms(found)


def single_point(engine: str, name: str, formula: str) -> dict[str, Any]:
    """Energy (eV/atom) of a reference structure as it is."""
    atoms = read(reference(name))
    chosen = find_engine(engine)
    if base_name(engine) == "gpaw":
        cutoff, spacing = GPAW_LEVELS[formula]
        crystal_settings = CrystalSettings(k_spacing=spacing)
        settings = GpawSettings(cutoff=cutoff, log=False, crystal=crystal_settings)
        atoms = primitive(atoms)
        atoms.calc = replace(chosen, settings=settings).level("compared crystal").build()
    else:
        atoms.calc = chosen.crystal_calculator()
    started = time.process_time()
    energy = atoms.get_potential_energy()
    return {"energy": float(energy) / len(atoms), "cpu": time.process_time() - started}


def cost(engine: str) -> dict[str, Any]:
    """CPU seconds of energy, forces and stress of 28 atoms, and memory (GB), of this process."""
    atoms = read(reference("Mg2SiO4_forsterite_Pnma"))
    started = time.process_time()
    atoms.calc = find_engine(engine).crystal_calculator()
    atoms.get_stress()
    loading, seconds = time.process_time() - started, []
    for step in range(5):
        atoms.rattle(0.01, seed=step)
        started = time.process_time()
        atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        seconds.append(time.process_time() - started)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"seconds": min(seconds), "loading": loading, "memory": memory}


def in_a_process(engine: str) -> dict[str, Any]:
    """Measure the cost in a process that has loaded nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(cost, engine).result()


def show_differences(kept: Kept, engines: list[str]) -> None:
    """Print the table of derivatives."""
    print("engine: off in forces, eV/Å (largest force); in stress, kbar (largest)")
    for engine in engines:
        found = kept(f"derivatives {engine}", partial(differences, engine))
        print(
            f"{engine:28s} {found['force']:.1e} ({found['largest_force']:.2f})  "
            f"{found['stress']:.3f} ({found['largest_stress']:.1f})",
            flush=True,
        )


def show_volumes(kept: Kept, engines: list[str]) -> None:
    """Print the volumes of each engine, and by how many per cent they are off."""
    for sample in samples():
        measured = sample.atoms.get_volume() / len(sample.atoms)
        print(f"{sample.name}, {measured:.2f} Å³/atom ({sample.source})")
        for engine in engines:
            name = f"volume {sample.name.replace('/', '')} {engine}"
            found = kept(name, partial(relaxed, engine, sample))
            print(
                f"  {engine:28s} {found['volume']:6.2f}  "
                f"{100 * (found['volume'] / measured - 1):+6.1f} %  {found['steps']} steps"
                + ("" if found["converged"] else ", not converged"),
                flush=True,
            )


def show_polymorphs(kept: Kept, engines: list[str]) -> None:
    """Print energies in meV/atom above the first of each compound."""
    for formula, names in POLYMORPHS.items():
        print(f"{formula}: {', '.join(names[1:])}, meV/atom above {names[0]}")
        for engine in engines:
            energies = [
                kept(f"energy {name} {engine}", partial(single_point, engine, name, formula))[
                    "energy"
                ]
                for name in names
            ]
            above = [1000 * (energy - energies[0]) for energy in energies[1:]]
            print(f"  {engine:28s} " + "  ".join(f"{value:6.1f}" for value in above), flush=True)


def show_costs(kept: Kept, engines: list[str]) -> None:
    """Print CPU seconds and memory."""
    print("engine: CPU s of 28 atoms, loading and first evaluation, memory")
    for engine in engines:
        found = kept(f"cost {engine}", partial(in_a_process, engine))
        print(
            f"{engine:28s} {found['seconds']:6.3f} s  {found['loading']:5.1f} s  "
            f"{found['memory']:4.1f} GB",
            flush=True,
        )


TABLES = {
    "derivatives": show_differences,
    "volumes": show_volumes,
    "polymorphs": show_polymorphs,
    "costs": show_costs,
}


def main() -> None:
    """Run from the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("table", choices=sorted(TABLES))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--engines",
        nargs="+",
        default=[
            f"{engine}{added}"
            for engine in ENGINES
            for added in DISPERSIONS
            if (engine, added) not in NEVER_FITTED
        ],
        help="with their dispersion: chgnet+d3zero",
    )
    arguments = parser.parse_args()
    TABLES[arguments.table](Kept(arguments.output), arguments.engines)


if __name__ == "__main__":
    main()
