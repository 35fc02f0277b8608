"""The same numbers whether the kernels have just been compiled or are read from the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Trains two networks and runs dynamics by them; prints all bits of what came out.
PROGRAM = """
import hashlib
import numpy as np
from ase import units
from ase.md.verlet import VelocityVerlet
from nnp import NeuralNetworkCalculator
from nnp.descriptors import SymmetryFunctions
from nnp.frames import Frames
from nnp.training.options import TrainingOptions
from nnp.training.trainer import train
from tests.nnp.samples import disordered, random_potential

functions = SymmetryFunctions.standard(("Li", "Cl"))
structures = [disordered("Li8Cl8", 7.5, seed=k, closest=1.8) for k in range(12)]
for atoms in structures:
    atoms.calc = NeuralNetworkCalculator(random_potential(functions))
    atoms.get_forces()
frames = Frames.from_atoms(structures)
options = TrainingOptions(members=2, optimizer="lbfgs", max_epochs=5, split="random")
potential = train(frames, options).potential
atoms = structures[0].copy()
atoms.calc = NeuralNetworkCalculator(potential)
VelocityVerlet(atoms, 0.5 * units.fs).run(20)
arrays = (frames.energies, frames.forces, *potential.weights, atoms.positions, atoms.get_forces())
print(*(hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for array in arrays))
"""


@pytest.mark.slow
def test_the_cache_of_kernels_changes_no_digit(tmp_path: Path) -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert list(tmp_path.rglob("*.nbc"))
    assert len(runs[0].split()) > 4
    assert runs[0] == runs[1]
