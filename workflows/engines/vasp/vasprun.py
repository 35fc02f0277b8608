"""Reading vasprun.xml step by step into arrays, whether the file is whole or not."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.json import MSONable

from nnp.storage.arrays import decode_array, encode_array

if TYPE_CHECKING:
    from lxml.etree import _Element
    from numpy.typing import NDArray


@dataclass(eq=False)
class Steps(MSONable):
    """
    Ionic steps of one or more runs, in the order of atoms of the POSCAR.

    Attributes
    ----------
    energies : ndarray, shape (n_steps,)
        Free energies in eV, of which the forces are the derivatives.
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

    One element at a time is in memory, so that time and memory grow with the arrays alone. A file
    that ends in the middle gives the steps before.

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
    from lxml import etree

    rows: list[tuple[Any, ...]] = []
    if path.exists():
        try:
            for _, element in etree.iterparse(str(path), tag="calculation", huge_tree=True):
                rows.append(_read_step(element, max_electronic_steps, energy_tolerance))
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
        except etree.XMLSyntaxError:
            pass  # the run was killed; what is whole counts
    if not rows:
        return _no_steps()
    n_atoms = max(len(row[1]) for row in rows)
    rows = [row for row in rows if len(row[1]) == n_atoms and len(row[4]) == n_atoms]
    steps = Steps(*(np.array(column) for column in zip(*rows, strict=True)))
    return replace(steps, converged=steps.converged & (steps.energies <= highest_energy))


def _no_steps() -> Steps:
    none, vectors = np.zeros(0), np.zeros((0, 0, 3))
    return Steps(none, vectors, np.zeros((0, 3, 3)), np.zeros((0, 3, 3)), vectors, none,
                 np.zeros(0, dtype=bool))  # fmt: skip


def _read_step(element: _Element, max_steps: int, tolerance: float) -> tuple[Any, ...]:
    forces = stress = None
    for array in element.iterchildren("varray"):
        if array.get("name") == "forces":
            forces = _matrix(array)
        elif array.get("name") == "stress":
            stress = _matrix(array)
    structure = element.find("structure")
    if structure is None:
        raise ValueError("a step of vasprun.xml has no structure")
    cell, positions = _matrix(structure.find("crystal/varray")), _matrix(structure.find("varray"))
    if forces is None:
        forces = np.full(positions.shape, np.nan)
    if stress is None or stress.shape != (3, 3):
        stress = np.full((3, 3), np.nan)
    loop = list(element.iterchildren("scstep"))
    last = _energy(loop[-1] if loop else element, "e_fr_energy")
    converged = 0 < len(loop) < max_steps
    if len(loop) >= max(2, max_steps):
        converged = abs(last - _energy(loop[-2], "e_fr_energy")) < tolerance
    finite = np.isfinite(last) and np.isfinite(forces).all() and np.isfinite(stress).all()
    return (last, forces, stress, cell, positions, _energy(element, "kinetic"),
            bool(converged and finite))  # fmt: skip


def _matrix(element: _Element | None) -> NDArray[np.float64]:
    """Rows of three numbers; NaN where Fortran could not write one."""
    if element is None:
        return np.zeros((0, 3))
    texts = [row.text or "" for row in element]
    try:
        # split() and float() take three times as long
        return np.fromstring(" ".join(texts), sep=" ").reshape(-1, 3)
    except ValueError:  # asterisks, or a number is missing
        return np.full((len(texts), 3), np.nan)


def _energy(element: _Element, name: str) -> float:
    found = element.find(f"energy/i[@name='{name}']")
    try:
        return float((found.text or "") if found is not None else "nan")
    except ValueError:
        return float("nan")
