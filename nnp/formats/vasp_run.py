"""What a run of VASP computed, from whichever of its files it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: What VASP takes for NELM and EDIFF (eV) unless told otherwise.
MAX_ELECTRONIC_STEPS, ENERGY_TOLERANCE = 60, 1e-4


@dataclass(eq=False)
class VaspRun:
    """
    Whole ionic steps of a run, in the order of atoms of its POSCAR.

    Attributes
    ----------
    symbols : tuple of str
        Chemical symbol of each atom; empty if the file does not say.
    energies : ndarray
        Free energies of the whole step in eV, of which the forces are the derivatives: with what
        VASP adds after the electronic loop (dispersion), without pressure times volume. Shape
        (n_steps,).
    forces : ndarray
        eV/Å, shape (n_steps, n_atoms, 3).
    stresses : ndarray
        kbar with VASP's sign, positive under compression, without the kinetic part; NaN where there
        are none. Shape (n_steps, 3, 3).
    cells : ndarray
        Lattice vectors as rows in Å, shape (n_steps, 3, 3).
    positions : ndarray
        Fractional, as written, wrapped or not, shape (n_steps, n_atoms, 3).
    kinetic : ndarray
        Kinetic energies in eV, shape (n_steps,); NaN where there are none.
    converged : ndarray of bool
        Whether the electronic loop converged, shape (n_steps,).
    n_learned : int
        Further steps, by a force field instead of electrons (ML_LMLFF).
    whole : bool
        Whether the file goes to the end of the run.
    """

    symbols: tuple[str, ...]
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]
    cells: NDArray[np.float64]
    positions: NDArray[np.float64]
    kinetic: NDArray[np.float64]
    converged: NDArray[np.bool_]
    n_learned: int
    whole: bool

    def __len__(self) -> int:
        return len(self.energies)

    @property
    def formula(self) -> str:
        """Symbols with their numbers, in order of appearance."""
        found = {symbol: self.symbols.count(symbol) for symbol in self.symbols}
        return "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in found.items())


@dataclass
class VaspStep:
    """One ionic step; see :class:`VaspRun` for units."""

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    cell: NDArray[np.float64]
    positions: NDArray[np.float64]
    kinetic: float
    converged: bool


def whole_stress(stress: NDArray[np.float64], isif: float) -> NDArray[np.float64]:
    """
    Give a stress that is whole.

    Parameters
    ----------
    stress : ndarray
        What was found, in any shape.
    isif : float
        ISIF: with 1 only the trace of the stress is computed; NaN if not known.

    Returns
    -------
    ndarray
        Shape (3, 3), NaN if it is not there or not whole.
    """
    return stress if stress.shape == (3, 3) and isif != 1 else np.full((3, 3), np.nan)


def loop_converged(
    n_steps: int, last_change: float, max_electronic_steps: float, energy_tolerance: float
) -> bool:
    """
    Say whether an electronic loop converged.

    Parameters
    ----------
    n_steps : int
        Electronic steps it took.
    last_change : float
        Change of the energy in the last of them in eV; NaN if there was one only.
    max_electronic_steps : float
        NELM: a loop that took so many steps did not converge, unless its last change was small.
    energy_tolerance : float
        EDIFF in eV.
    """
    return n_steps > 0 and (n_steps < max_electronic_steps or abs(last_change) < energy_tolerance)


def join_steps(
    steps: Sequence[VaspStep], symbols: tuple[str, ...], n_learned: int, whole: bool
) -> VaspRun:
    """
    Collect the steps of a run; what has not all of its atoms is no whole step.

    Parameters
    ----------
    steps : sequence of VaspStep
        In order.
    symbols : tuple of str
        Of the atoms, if known.
    n_learned, whole : int, bool
        See :class:`VaspRun`.
    """
    n = len(symbols) or max((len(step.positions) for step in steps), default=0)
    good = [step for step in steps if len(step.positions) == n == len(step.forces)]
    return VaspRun(
        symbols=symbols,
        energies=np.array([step.energy for step in good], dtype=float),
        forces=np.array([step.forces for step in good]).reshape(len(good), n, 3),
        stresses=np.array([step.stress for step in good]).reshape(len(good), 3, 3),
        cells=np.array([step.cell for step in good]).reshape(len(good), 3, 3),
        positions=np.array([step.positions for step in good]).reshape(len(good), n, 3),
        kinetic=np.array([step.kinetic for step in good], dtype=float),
        converged=np.array([step.converged for step in good], dtype=bool),
        n_learned=n_learned,
        whole=whole,
    )


def element_of(name: str) -> str:
    """
    Chemical symbol of what VASP calls an element.

    Examples
    --------
    >>> element_of("Zr_sv"), element_of("H1.25"), element_of("X"), element_of("r ")
    ('Zr', 'H', 'Xe', 'Zr')
    """
    stem = name.strip()
    stem = stem[: next((k for k, letter in enumerate(stem) if not letter.isalpha()), len(stem))]
    return {"X": "Xe", "r": "Zr"}.get(stem, stem)
