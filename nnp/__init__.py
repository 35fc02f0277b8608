"""
Neural network potentials: symmetry functions, networks, training, and files of them.

A library of its own: structures come in as ASE ``Atoms``, or as :class:`Frames`, which holds a
whole data set in a few arrays. Energies are in eV, distances in Å, stresses in eV/Å³ with ASE's
sign. What is named here is imported when it is first used.

Examples
--------
Label rattled and strained copper, train on it, and use the potential:

>>> import numpy as np
>>> from ase.build import bulk
>>> from ase.calculators.emt import EMT
>>> import nnp
>>> structures = []
>>> for seed in range(30):
...     atoms = bulk("Cu", cubic=True)
...     atoms.set_cell(atoms.cell * (1 + 0.004 * (seed % 5)), scale_atoms=True)
...     atoms.rattle(0.08, seed=seed)
...     atoms.calc = EMT()
...     _ = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
...     structures.append(atoms)
>>> frames = nnp.Frames.from_atoms(structures)
>>> frames
Frames(30 frames, 120 atoms)
>>> options = nnp.TrainingOptions(hidden=(8,), optimizer="lbfgs", max_epochs=200)
>>> result = nnp.train(frames[:25], options)
>>> nnp.evaluate(result.potential, frames[25:]).errors.energy < 10.0  # meV/atom
True
>>> result.potential.save("Cu.nnp")
>>> atoms = bulk("Cu", cubic=True)
>>> atoms.calc = nnp.NeuralNetworkCalculator(nnp.load_potential("Cu.nnp"))
>>> bool(np.abs(atoms.get_forces()).max() < 1e-6)  # eV/Å, by symmetry
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnp.analysis.coverage import Coverage
    from nnp.calculator import NeuralNetworkCalculator
    from nnp.descriptors import SymmetryFunctions
    from nnp.evaluation import Evaluation, evaluate
    from nnp.formats.files import load_potential
    from nnp.formats.labels import LabelError, read_labels
    from nnp.formats.simple_nn import write_simple_nn
    from nnp.formats.structures import StructureFileError
    from nnp.frames import Frames
    from nnp.potential import Potential, PotentialFileError
    from nnp.training.options import TrainingOptions
    from nnp.training.result import TrainingResult
    from nnp.training.trainer import train

__all__ = [
    "Coverage",
    "Evaluation",
    "Frames",
    "LabelError",
    "NeuralNetworkCalculator",
    "Potential",
    "PotentialFileError",
    "StructureFileError",
    "SymmetryFunctions",
    "TrainingOptions",
    "TrainingResult",
    "evaluate",
    "load_potential",
    "read_labels",
    "train",
    "write_simple_nn",
]

_MODULES = {
    "Coverage": "nnp.analysis.coverage",
    "Evaluation": "nnp.evaluation",
    "Frames": "nnp.frames",
    "LabelError": "nnp.formats.labels",
    "NeuralNetworkCalculator": "nnp.calculator",
    "Potential": "nnp.potential",
    "PotentialFileError": "nnp.potential",
    "StructureFileError": "nnp.formats.structures",
    "SymmetryFunctions": "nnp.descriptors",
    "TrainingOptions": "nnp.training.options",
    "TrainingResult": "nnp.training.result",
    "evaluate": "nnp.evaluation",
    "load_potential": "nnp.formats.files",
    "read_labels": "nnp.formats.labels",
    "train": "nnp.training.trainer",
    "write_simple_nn": "nnp.formats.simple_nn",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Names for completion."""
    return sorted({*globals(), *__all__})
