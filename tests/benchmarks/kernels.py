"""
How long an evaluation takes, beside plain vectorised PyTorch and beside the floor.

Run ``python -m tests.benchmarks.kernels``. Times are CPU times, minima over repeats, in
microseconds for each atom, for energy, forces and stress; forsterite at 3.2 g/cm³, rattled. The
floor is the arithmetic of :func:`operations` at the speed of a large matrix product, which is what
a core can do at best.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal
from threadpoolctl import threadpool_limits

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

HEADING = "us/atom      atoms  precision  kept list  new list  floor  times   torch  ratio  target"


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
    potential: Potential, atoms: Atoms, precision: str, repeats: int
) -> tuple[float, float]:
    """Time of a call in s: with a kept list, and with a new one."""
    evaluator = potential.evaluator(atoms.numbers, [len(atoms)], 1, precision)
    cell = atoms.cell.array[None]

    def call() -> None:
        evaluator.compute(cell, atoms.positions)

    def call_with_list() -> None:
        for share in evaluator.shares:
            share.reference.valid[:] = False
        call()

    call()
    return fastest(call, repeats), fastest(call_with_list, repeats)


def environment(atoms: Atoms, functions: SymmetryFunctions) -> tuple[float, float, float]:
    """Neighbours within both cutoffs and triplets with r_jk within the angular one, by atom."""
    near = len(neighbor_list("i", atoms, functions.radial_cutoff))
    i, vectors = neighbor_list("iD", atoms, functions.angular_cutoff)
    triplets = 0
    for atom in range(len(atoms)):
        own = vectors[i == atom]
        lengths = np.linalg.norm(own[:, None] - own[None], axis=2)
        triplets += int((lengths < functions.angular_cutoff).sum() - len(own)) // 2
    return near / len(atoms), len(i) / len(atoms), triplets / len(atoms)


def operations(potential: Potential, counts: tuple[float, float, float]) -> float:
    """
    Additions and multiplications for one atom that no arrangement of the work can spare.

    The cutoff and its slope take 40, an exponential 20. Each weight of the network, the first layer
    being folded with the symmetry functions, is used twice, for a sum and a product each time.
    """
    near, close, triplets = counts
    functions = potential.functions
    n_radial, n_etas = len(functions.radial), len(functions.basis.angular_eta)
    # A G2: its exponential, fc, the sum, and two products and sums on the way back.
    radial = near * (40 + n_radial * (20 + 2 + 4) + 30)
    # An eta: exponential, F, five moments, polynomial and slope, three products and sums.
    angular = triplets * (40 + 10 + n_etas * (20 + 1 + 9 + 14 + 6) + 30)
    pairs = close * (close - 1) / 2 * 11 + close * 60
    widths = [functions.n_moments, *(w.shape[3] for w in potential.weights)]
    network = 4 * sum(a * b for a, b in pairwise(widths))
    return radial + angular + pairs + network


def peak(precision: str) -> float:
    """Operations a second of one core in a matrix product."""
    n = 768
    matrix = np.ones((n, n), precision)
    with threadpool_limits(1):
        return 2 * n**3 / fastest(lambda: matrix @ matrix, 20)


def torch_time(potential: Potential, atoms: Atoms, repeats: int) -> float:
    """Time of a call in s, without the neighbour list; the energies must agree."""
    reference = TorchPotential(potential)
    pairs = neighbors(atoms, potential.cutoff)
    energy = reference.compute(atoms, pairs)[0]
    np.testing.assert_allclose(energy, potential.compute([atoms]).energies[0], rtol=1e-11)
    return fastest(lambda: reference.compute(atoms, pairs), repeats)


def measure(
    potential: Potential, atoms: Atoms, angular: float, repeats: int, peaks: dict[str, float]
) -> None:
    """Print one system in both precisions."""
    n = len(atoms)
    by_torch = torch_time(potential, atoms, 3 if n > 112 else 8) / n * 1e6
    work = operations(potential, environment(atoms, potential.functions))
    for precision in ("float64", "float32"):
        times = kernel_time(potential, atoms, precision, repeats)
        kept, new = (t / n * 1e6 for t in times)
        floor = work / peaks[precision] * 1e6
        target = TARGETS.get((angular, precision)) if n == 112 else None
        verdict = ""
        if target is not None:
            verdict = f"{target:g} {'met' if kept <= target else 'MISSED'}"
        print(
            f"G4 {angular} Å {n:8d}   {precision}  {kept:9.2f}  {new:8.2f}"
            f"  {floor:5.2f}  {kept / floor:5.1f}"
            f"  {by_torch:6.0f}  {by_torch / kept:5.1f}  {verdict}",
            flush=True,
        )


def measure_threads(potential: Potential, angular: float, repeats: int) -> None:
    """Print the efficiency of two threads: wall time of one over twice that of two."""
    large, small = forsterite((3, 3, 4)), forsterite((1, 1, 1))
    for name, batch in (("1 x 1008 atoms", [large]), ("32 x 28 atoms", [small] * 32)):
        for precision in ("float64", "float32"):
            walls = [batch_time(potential, batch, precision, k, repeats) for k in (1, 2)]
            print(
                f"G4 {angular} Å  {name:14s}  {precision}  one thread {walls[0] * 1e3:7.2f} ms"
                f"  two {walls[1] * 1e3:7.2f} ms  efficiency {walls[0] / walls[1] / 2:4.0%}",
                flush=True,
            )


def batch_time(
    potential: Potential, batch: list[Atoms], precision: str, threads: int, repeats: int
) -> float:
    """Wall time of a call for several structures in s."""
    counts = [len(atoms) for atoms in batch]
    numbers = np.concatenate([atoms.numbers for atoms in batch])
    evaluator = potential.evaluator(numbers, counts, threads, precision)
    cells = np.array([atoms.cell.array for atoms in batch])
    positions = np.concatenate([atoms.positions for atoms in batch])
    evaluator.compute(cells, positions)
    return fastest(lambda: evaluator.compute(cells, positions), repeats, time.perf_counter)


def main() -> None:
    """Print a table and whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    peaks = {precision: peak(precision) for precision in ("float64", "float32")}
    for precision, speed in peaks.items():
        print(f"peak of one core, {precision}: {speed / 1e9:.0f} GFLOP/s")
    sizes = {28: (1, 1, 1), 112: (1, 2, 2), 1008: (3, 3, 4)}
    for angular in (4.5, 6.0):
        functions = SymmetryFunctions.standard(("Mg", "Si", "O"), 6.0, angular)
        potential = random_potential(functions)
        counts = environment(forsterite((1, 2, 2)), functions)
        print(
            f"\nG4 {angular} Å: {counts[0]:.0f} neighbours, {counts[1]:.0f} of them close, "
            f"{counts[2]:.0f} triplets, {operations(potential, counts) / 1e6:.3f} MFLOP an atom"
        )
        print(HEADING)
        for n, shape in sizes.items():
            count = max(3, repeats * 112 // n if n > 112 else repeats)
            measure(potential, forsterite(shape), angular, count, peaks)
        measure_threads(potential, angular, max(3, repeats // 4))


if __name__ == "__main__":
    main()
