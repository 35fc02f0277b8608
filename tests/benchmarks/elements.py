"""
Whether the simple crystals of an element lead the engine to its ground state, and at what cost.

    python -m tests.benchmarks.elements Si Mg Cu Al --engine chgnet --seed 0

Makes and relaxes the crystals of each element as a campaign of a system does at its ends, with the
default numbers, and prints the lowest beside ASE's reference state of the element
(``ase.build.bulk``) relaxed by the same engine. Nothing is known to the crystals but the element.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase.build import bulk

from search.create.simple_crystals import simple_crystals
from search.relax.limits import RelaxationLimits
from search.symmetry import find_space_group
from workflows.engines.ase.relax import relax_atoms
from workflows.engines.registry import find_engine
from workflows.stages.simple_crystals import SimpleCrystalsMaker

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator


class Tried(NamedTuple):
    """Energy (eV/atom), space group and evaluations of a crystal that the engine relaxed."""

    energy: float
    space_group: str
    evaluations: int


def relaxed(atoms: Atoms, calculator: Calculator, limits: RelaxationLimits) -> Tried:
    """Relax in place."""
    atoms.calc = calculator
    steps, _ = relax_atoms(atoms, limits)
    energy = atoms.get_potential_energy(force_consistent=True) / len(atoms)
    return Tried(energy, find_space_group(atoms).symbol, steps + 1)


def main() -> None:
    """Print a line for each element."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("elements", nargs="+")
    parser.add_argument("--engine", default="chgnet")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    calculator = find_engine(chosen.engine).crystal_calculator()
    if calculator is None:
        parser.error(f"{chosen.engine} relaxes crystals in jobs of their own only")
    maker = SimpleCrystalsMaker()
    for element in chosen.elements:
        known = relaxed(bulk(element), calculator, RelaxationLimits(0.01, 1.0, 300))
        made = simple_crystals(
            maker.contents(element), maker.crystals, np.random.default_rng(chosen.seed)
        )
        few = RelaxationLimits(max_steps=maker.crystal_steps)
        tried = [relaxed(atoms, calculator, few) for atoms in made]
        lowest = min(tried)
        above = 1000 * (lowest.energy - known.energy)
        print(
            f"{element}: {lowest.space_group}, {above:+.1f} meV/atom "
            f"against {known.space_group}; {len(tried)} crystals, "
            f"{sum(one.evaluations for one in tried)} evaluations",
            flush=True,
        )


if __name__ == "__main__":
    main()
