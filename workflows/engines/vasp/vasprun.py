"""The ionic steps of a run of VASP, as the engine judges and keeps them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.json import MSONable

from nnp.formats.vasprun import read_vasprun
from nnp.storage.arrays import decode_array, encode_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(eq=False)
class Steps(MSONable):
    """
    Ionic steps of one or more runs, in the order of atoms of the POSCAR.

    Attributes
    ----------
    energies : ndarray, shape (n_steps,)
        Free energies in eV, of which the forces are the derivatives, dispersion included.
    forces : ndarray, shape (n_steps, n_atoms, 3)
        eV/Å
    stresses : ndarray, shape (n_steps, 3, 3)
        kbar with VASP's sign, positive under compression; without the kinetic part.
    cells : ndarray, shape (n_steps, 3, 3)
        Lattice vectors as rows in Å.
    positions : ndarray, shape (n_steps, n_atoms, 3)
        Fractional, as written, wrapped or not.
    kinetic : ndarray, shape (n_steps,)
        Kinetic energies in eV; NaN where there are none.
    converged : ndarray, shape (n_steps,)
        Whether the electronic loop converged, all numbers are finite, and the energy is below
        that of the atoms for which the potentials were made, which is zero: electrons that went
        astray are often above.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]
    cells: NDArray[np.float64]
    positions: NDArray[np.float64]
    kinetic: NDArray[np.float64]
    converged: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.energies)

    def __getitem__(self, part: slice | NDArray[Any]) -> Steps:
        return Steps(**{field.name: getattr(self, field.name)[part] for field in fields(self)})

    @classmethod
    def concatenate(cls, parts: list[Steps]) -> Steps:
        """Join runs in the order given."""
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            }
        )

    def unwrapped(self, start: NDArray[np.float64]) -> Steps:
        """
        Undo the wrapping of positions into the cell.

        Parameters
        ----------
        start : ndarray, shape (n_atoms, 3)
            Unwrapped fractional positions from which the first step is at most half a cell away.
        """
        moves = np.diff(np.concatenate([start[None], self.positions]), axis=0)
        moves -= np.round(moves)
        return replace(self, positions=start + np.cumsum(moves, axis=0))

    def as_dict(self) -> dict[str, Any]:
        """Document with compressed arrays."""
        document: dict[str, Any] = {"@module": type(self).__module__, "@class": "Steps"}
        for field in fields(self):
            document[field.name] = encode_array(getattr(self, field.name))
        return document

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Steps:
        """Undo :meth:`as_dict`."""
        return cls(**{field.name: decode_array(d[field.name]) for field in fields(cls)})


def read_steps(
    path: Path, max_electronic_steps: int, energy_tolerance: float, highest_energy: float = 0.0
) -> Steps:
    """
    Read all whole ionic steps of a vasprun.xml.

    Parameters
    ----------
    path : Path
        vasprun.xml
    max_electronic_steps : int
        NELM: a loop that took so many steps did not converge, unless its last change was small.
    energy_tolerance : float
        EDIFF in eV.
    highest_energy : float
        eV, beyond which the electrons count as astray.

    Returns
    -------
    Steps
        None at all if the file is missing or has no whole step.
    """
    if not path.exists():
        return _no_steps()
    runs = read_vasprun(path, max_electronic_steps, energy_tolerance)
    if not runs or not len(runs[-1]):
        return _no_steps()
    run = runs[-1]
    steps = Steps(
        run.energies, run.forces, run.stresses, run.cells, run.positions, run.kinetic,
        run.converged & (run.energies <= highest_energy),
    )  # fmt: skip
    for numbers in (steps.forces, steps.stresses):
        steps.converged &= np.isfinite(numbers).all(axis=(1, 2))
    return steps


def _no_steps() -> Steps:
    none, vectors = np.zeros(0), np.zeros((0, 0, 3))
    return Steps(none, vectors, np.zeros((0, 3, 3)), np.zeros((0, 3, 3)), vectors, none,
                 np.zeros(0, dtype=bool))  # fmt: skip
