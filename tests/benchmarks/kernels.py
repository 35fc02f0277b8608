"""How long an evaluation takes, beside plain vectorised PyTorch on one core.

Run ``python -m tests.benchmarks.kernels``. Times are CPU times, minima over repeats, in
microseconds for each atom, for energy, forces and stress; forsterite at 3.2 g/cm³, rattled.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from ase import Atoms
from ase.spacegroup import crystal

from nnp.descriptors import SymmetryFunctions
from nnp.potential import Potential
from tests.nnp.samples import random_potential
from tests.nnp.torch_oracle import TorchPotential, neighbors

#: Limits in µs/atom that 112 atoms must keep: (angular cutoff in Å, precision).
TARGETS: dict[object, float] = {
    (4.5, "float64"): 18.0,
    (4.5, "float32"): 12.0,
    (6.0, "float64"): 50.0,
}


def forsterite(repeats: tuple[int, int, int]) -> Atoms:
    """Mg2SiO4 with 28 atoms a cell, rattled by 0.1 Å."""
    atoms = crystal(
        ["Mg", "Mg", "Si", "O", "O", "O"],
        basis=[
            (0.0, 0.0, 0.0),
            (0.27739, 0.25, 0.99169),
            (0.09403, 0.25, 0.42645),
            (0.09156, 0.25, 0.76580),
            (0.44704, 0.25, 0.22164),
            (0.16310, 0.03304, 0.27751),
        ],
        spacegroup=62,
        cellpar=[10.207, 5.980, 4.756, 90, 90, 90],
    ).repeat(repeats)
    atoms.rattle(0.1, seed=0)
    return Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)


def fastest(
    function: Callable[[], object], repeats: int, clock: Callable[[], float] = time.process_time
) -> float:
    """Shortest time of a call in seconds."""
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def kernel_time(
    potential: Potential, atoms: Atoms, precision: str, threads: int, repeats: int
) -> tuple[float, float]:
    """Time of a call in s: with a kept list, and with a new one."""
    evaluator = potential.evaluator(atoms.numbers, [len(atoms)], threads, precision)
    cell = atoms.cell.array[None]

    def call() -> None:
        evaluator.compute(cell, atoms.positions)

    def call_with_list() -> None:
        for slab in evaluator.slabs:
            slab.reference.valid[:] = False
        call()

    call()
    clock = time.perf_counter if threads > 1 else time.process_time
    return fastest(call, repeats, clock), fastest(call_with_list, repeats, clock)


def torch_time(potential: Potential, atoms: Atoms, repeats: int) -> float:
    """Time of a call in s, without the neighbour list; the energies must agree."""
    reference = TorchPotential(potential)
    pairs = neighbors(atoms, potential.cutoff)
    energy = reference.compute(atoms, pairs)[0]
    np.testing.assert_allclose(energy, potential.compute([atoms]).energies[0], rtol=1e-11)
    return fastest(lambda: reference.compute(atoms, pairs), repeats)


def measure(potential: Potential, atoms: Atoms, angular: float, repeats: int) -> None:
    """Print one system: both precisions, one and two threads."""
    n = len(atoms)
    by_torch = torch_time(potential, atoms, 3 if n > 112 else 8) / n * 1e6
    for precision in ("float64", "float32"):
        for threads in (1, 2):
            times = kernel_time(potential, atoms, precision, threads, repeats)
            kept, new = (t / n * 1e6 for t in times)
            target = TARGETS.get((angular, precision)) if (n, threads) == (112, 1) else None
            verdict = ""
            if target is not None:
                verdict = f"{target:g} {'met' if kept <= target else 'MISSED'}"
            print(
                f"G4 {angular} Å {n:8d}   {precision}  {threads:7d}  {kept:9.2f}  {new:8.2f}"
                f"  {by_torch:6.0f}  {by_torch / kept:5.1f}  {verdict}",
                flush=True,
            )


def main() -> None:
    """Print a table and whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    sizes = {28: (1, 1, 1), 112: (1, 2, 2), 1008: (3, 3, 4)}
    print("us/atom      atoms  precision  threads  kept list  new list   torch  ratio  target")
    for angular in (4.5, 6.0):
        functions = SymmetryFunctions.standard(("Mg", "Si", "O"), 6.0, angular)
        potential = random_potential(functions)
        for n, shape in sizes.items():
            count = max(3, repeats * 112 // n if n > 112 else repeats)
            measure(potential, forsterite(shape), angular, count)


if __name__ == "__main__":
    main()
