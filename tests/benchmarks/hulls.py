"""
The hull of a search against that of all superstructures of fcc, bcc and hcp with up to 8 atoms.

    python -m tests.benchmarks.hulls enumerate Cu-Au           # relaxes all, about five minutes
    python -m tests.benchmarks.hulls search Cu-Au -n 1000 --seeds 1 2 3

The systems are a Lennard-Jones mixture, as Ar-Kr, and alloys of ASE's effective medium theory:
Cu-Au and Al-Ni. What was enumerated is in `tests/benchmarks/data/hulls.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from search.composition_parsing import parse_space
from search.composition_space import CompositionSpace, formula_of
from search.options import EvolutionOptions
from search.relax.energy import AseEnergy, BatchEnergy
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from search.state.evolution import Evolution
from search.state.hull import Hull, HullPoint
from tests.benchmarks.superstructures import superstructures
from tests.search.pair_energy import lennard_jones_mixture

if TYPE_CHECKING:
    from ase import Atoms

DATA = Path(__file__).parent / "data" / "hulls.json"
LARGEST = 8
"""Atoms in a cell, unless told otherwise."""
TIGHT = RelaxationLimits(max_force=0.002, max_stress=0.2, max_steps=2000)


def effective_medium() -> BatchEnergy:
    """ASE's effective medium theory."""
    from ase.calculators.emt import EMT

    return AseEnergy(EMT())


class System(NamedTuple):
    """
    A binary system.

    Attributes
    ----------
    energy : callable
        Makes the potential.
    nearest : float
        Å between neighbours, about, to begin with.
    """

    energy: Callable[[], BatchEnergy]
    nearest: float


SYSTEMS = {
    "Ar-Kr": System(lennard_jones_mixture, 3.4),
    "Cu-Au": System(effective_medium, 2.7),
    "Al-Ni": System(effective_medium, 2.65),
}


def lattices(nearest: float) -> dict[str, Atoms]:
    """Primitive cells of the three lattices, with a distance between neighbours in Å."""
    from ase.build import bulk

    return {
        "fcc": bulk("X", "fcc", a=nearest * 2**0.5),
        "bcc": bulk("X", "bcc", a=nearest * 2 / 3**0.5),
        "hcp": bulk("X", "hcp", a=nearest, c=nearest * (8 / 3) ** 0.5),
    }


def enumerated(name: str, largest: int) -> dict[str, Any]:
    """
    Relax all superstructures; the lowest energy of each composition, and what it is of.

    Parameters
    ----------
    name : str
        Of the system.
    largest : int
        Atoms of a cell at the most.
    """
    system, space = SYSTEMS[name], parse_space(name, atoms_max=largest)
    energy, lowest, number = system.energy(), {}, 0
    relaxer = Relaxer(TIGHT, max_expansion=20.0, tight_window=None)
    for lattice, parent in lattices(system.nearest).items():
        found = list(superstructures(parent, space.elements, largest))
        number += len(found)
        for atoms, relaxed in zip(found, relaxer.relax(found, energy), strict=True):
            if not relaxed.usable:
                print(f"{lattice} {atoms.get_chemical_formula()}: {relaxed.status}", flush=True)
                continue
            counts = {s: n for s in space.elements if (n := list(atoms.symbols).count(s))}
            formula, per_atom = formula_of(counts), relaxed.energy / len(atoms)
            if formula not in lowest or per_atom < lowest[formula]["energy"]:
                lowest[formula] = {"energy": per_atom, "lattice": lattice, "atoms": len(atoms)}
    return {"atoms_max": largest, "structures": number, "lowest": lowest}


def space_of(name: str) -> CompositionSpace:
    """The system, in the cells that were enumerated."""
    return parse_space(name, atoms_max=json.loads(DATA.read_text())[name]["atoms_max"])


def reference(name: str) -> dict[str, float]:
    """Lowest energy (eV/atom) of each composition that was enumerated, by formula."""
    lowest = json.loads(DATA.read_text())[name]["lowest"]
    return {formula: one["energy"] for formula, one in lowest.items()}


def hull_of(space: CompositionSpace, energies: dict[str, float]) -> Hull:
    """Hull of the energies (eV/atom) of compositions by formula."""
    counts = {formula_of(one): one for one in space.compositions()}
    points = [HullPoint(counts[formula], energy) for formula, energy in energies.items()]
    return Hull(space.blocks, points)


def found_by(evolution: Evolution) -> dict[str, float]:
    """Lowest energy (eV/atom) of each composition that a search has found, by formula."""
    found: dict[str, float] = {}
    for member in evolution.archive.members:
        symbols = list(member.structure.symbols)
        formula = formula_of({s: n for s in evolution.elements if (n := symbols.count(s))})
        found[formula] = min(found.get(formula, np.inf), member.energy)
    return found


def searched(name: str, structures: int, seed: int) -> Evolution:
    """Search a system, to the tight limits."""
    options = EvolutionOptions(generations=1000, max_structures=structures)
    relaxer = replace(Relaxer(), tight_force=0.005, tight_stress=0.5)
    evolution = Evolution(space_of(name), options, seed)
    return run_generations(evolution, relaxer, SYSTEMS[name].energy(), 1000, n_best=20)


def differences(name: str, evolution: Evolution) -> dict[str, float]:
    """Hull of a search above that of enumeration (eV/atom), by composition."""
    space = space_of(name)
    mine, theirs = hull_of(space, found_by(evolution)), hull_of(space, reference(name))
    return {
        formula_of(counts): mine.energy(counts) - theirs.energy(counts)
        for counts in space.compositions()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a part of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("part", choices=["enumerate", "search"])
    parser.add_argument("system", choices=list(SYSTEMS))
    parser.add_argument("--atoms-max", type=int, default=LARGEST)
    parser.add_argument("-n", "--structures", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    given = parser.parse_args(arguments)
    if given.part == "enumerate":
        stored = json.loads(DATA.read_text()) if DATA.exists() else {}
        stored[given.system] = enumerated(given.system, given.atoms_max)
        DATA.write_text(json.dumps(dict(sorted(stored.items())), indent=1) + "\n")
        hull = hull_of(space_of(given.system), reference(given.system))
        for i, formation in enumerate(hull.formation_energies()):
            on_it = "on the hull" if i in hull.vertices else ""
            print(f"{formula_of(hull.points[i].counts):12s} {1000 * formation:9.2f}  {on_it}")
        return
    for seed in given.seeds:
        started = time.process_time()
        evolution = searched(given.system, given.structures, seed)
        apart = differences(given.system, evolution)
        worst = max(apart, key=lambda formula: abs(apart[formula]))
        print(
            f"{given.system} seed {seed}: {evolution.structures} structures, "
            f"{time.process_time() - started:.0f} s; hull differs by up to "
            f"{1000 * apart[worst]:+.2f} meV/atom, at {worst}",
            flush=True,
        )


if __name__ == "__main__":
    main()
