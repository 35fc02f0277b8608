"""An ensemble that was trained on a corner of what there is, so that it has holes elsewhere."""

from __future__ import annotations

import functools

from ase.build import bulk
from ase.calculators.emt import EMT

from nnp.frames import Frames
from nnp.potential import Potential
from nnp.training.options import TrainingOptions
from nnp.training.trainer import train


@functools.cache
def gold_and_copper() -> Potential:
    """Four networks that have seen one ordered CuAu at a few volumes, labelled by EMT."""
    structures = []
    for number in range(40):
        atoms = bulk("Cu", cubic=True, a=3.85) * (1 + number % 2, 1, 1)
        atoms.symbols = ["Cu" if z < 0.1 else "Au" for z in atoms.get_scaled_positions()[:, 2]]
        atoms.set_cell(atoms.cell * (0.97 + 0.015 * (number % 6)), scale_atoms=True)
        atoms.rattle(0.02 * (1 + number % 5), seed=number)
        atoms.calc = EMT()
        _ = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        structures.append(atoms)
    options = TrainingOptions(
        hidden=(6,), members=4, optimizer="lbfgs", max_epochs=60, precision="float64"
    )
    return train(Frames.from_atoms(structures), options).potential
