"""
Whether CHGNet gains by several structures in one graph, as labels of frames could be made.

    python -m tests.benchmarks.batches [--threads 2] [--turns 5]

Rattled magnesia of 24 to 96 atoms is evaluated one after the other by the calculator of the engine,
and in batches, each with energy, forces and stress from one backward pass. Both take turns within
one run. Printed are medians of wall and CPU time a structure, the medians of the ratios, and the
largest differences of energies and forces.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from chgnet.model.model import BatchedGraph
from numpy.typing import NDArray
from pymatgen.core import Structure

from workflows.engines.ase.chgnet import FastCHGNetCalculator

SUPERCELLS = ((3, 1, 1), (3, 2, 1), (3, 2, 2))
BATCHES = (2, 4, 8)

Labels = list[tuple[float, NDArray[np.float64]]]


def one_by_one(calculator: FastCHGNetCalculator, structures: Sequence[Atoms]) -> Labels:
    """Energies (eV) and forces (eV/Å) as the engine computes them."""
    return [calculator.evaluate(atoms)[:2] for atoms in structures]


def together(calculator: FastCHGNetCalculator, structures: Sequence[Atoms]) -> Labels:
    """The same from one graph of all."""
    model = calculator.model
    graphs = [
        model.graph_converter(
            Structure(atoms.cell.array, atoms.numbers, atoms.get_scaled_positions(wrap=False))
        )
        for atoms in structures
    ]
    batch = BatchedGraph.from_graphs(
        graphs,
        bond_basis_expansion=model.bond_basis_expansion,
        angle_basis_expansion=model.angle_basis_expansion,
        compute_stress=True,
    )
    per_atom = model._compute(batch, compute_magmom=True)["e"]
    sizes = torch.tensor([len(atoms) for atoms in structures], dtype=per_atom.dtype)
    positions, strains = list(batch.atom_positions), list(batch.strains)
    gradients = torch.autograd.grad((per_atom * sizes).sum(), [*positions, *strains])
    energies = (per_atom.detach() + model.composition_model(graphs)) * sizes
    return [
        (float(energy), -gradient.numpy().astype(float))
        for energy, gradient in zip(energies, gradients[: len(positions)], strict=True)
    ]


def main() -> None:
    """Print the table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    calculator = FastCHGNetCalculator(device="cpu")
    for repeats in SUPERCELLS:
        structures = []
        for seed in range(max(BATCHES)):
            atoms = bulk("MgO", "rocksalt", a=4.2, cubic=True) * repeats
            atoms.rattle(0.3, seed=seed)
            structures.append(atoms)
        for size in BATCHES:
            chosen = structures[:size]
            turns = []
            for _ in range(options.turns + 1):
                wall = [time.perf_counter()]
                cpu = [time.process_time()]
                singles = one_by_one(calculator, chosen)
                wall.append(time.perf_counter())
                cpu.append(time.process_time())
                batch = together(calculator, chosen)
                wall.append(time.perf_counter())
                cpu.append(time.process_time())
                turns.append((*np.diff(wall) / size, *np.diff(cpu) / size))
            columns = np.array(turns[1:]).T  # the first warms up
            energy = max(abs(a - b) for (a, _), (b, _) in zip(singles, batch, strict=True))
            force = max(np.abs(a - b).max() for (_, a), (_, b) in zip(singles, batch, strict=True))
            print(
                f"{len(chosen[0])} atoms, {size} together: {statistics.median(columns[0]):.3f} s "
                f"a structure alone, {statistics.median(columns[1]):.3f} s in the batch "
                f"(gain by the clock {np.median(columns[0] / columns[1]):.2f}, by CPU time "
                f"{np.median(columns[2] / columns[3]):.2f}); differences "
                f"{1000 * energy / len(chosen[0]):.1e} meV/atom, {force:.1e} eV/Å",
                flush=True,
            )


if __name__ == "__main__":
    main()
