"""Where a run of molecular dynamics stands, and how it is taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import units
from pymatgen.core import Structure

from workflows.engines.vasp.vasprun import Steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Å by which a configuration may differ from the last step and still be the same.
SAME_PLACE = 1e-4

#: Å beyond which CONTCAR does not belong to the last step.
TOO_FAR = 1.0

#: Å/fs² in one (eV/Å)/amu.
ACCELERATION = units.fs**2


@dataclass
class State:
    """
    A configuration with velocities from which dynamics go on.

    Attributes
    ----------
    positions : ndarray, shape (n_atoms, 3)
        Fractional and unwrapped.
    velocities : ndarray, shape (n_atoms, 3)
        Å/fs
    repeats : bool
        Whether the configuration is the last step taken, which VASP computes once more.
    """

    positions: NDArray[np.float64]
    velocities: NDArray[np.float64]
    repeats: bool = False


def draw_velocities(
    masses: NDArray[np.float64], temperature: float, seed: int
) -> NDArray[np.float64]:
    """
    Draw velocities from Maxwell and Boltzmann's distribution, of exactly the temperature.

    Parameters
    ----------
    masses : ndarray, shape (n_atoms,)
        amu
    temperature : float
        K
    seed : int
        The same seed gives the same velocities.

    Returns
    -------
    ndarray, shape (n_atoms, 3)
        Å/fs; the centre of mass rests.
    """
    generator = np.random.default_rng(seed)
    velocities = generator.normal(size=(len(masses), 3)) / np.sqrt(masses)[:, None]
    velocities -= (masses[:, None] * velocities).sum(axis=0) / masses.sum()
    kinetic = 0.5 * (masses[:, None] * velocities**2).sum()
    if len(masses) < 2 or kinetic == 0:
        return np.zeros((len(masses), 3))
    wanted = 0.5 * (3 * len(masses) - 3) * units.kB * temperature
    return velocities * np.sqrt(wanted / kinetic) * units.fs


def state_after(
    steps: Steps, before: State, masses: NDArray[np.float64], time_step: float
) -> State:
    """
    Find where a broken run was at its last whole step.

    Parameters
    ----------
    steps : Steps
        Of the run, unwrapped; at least one.
    before : State
        Where it started.
    masses : ndarray, shape (n_atoms,)
        amu
    time_step : float
        fs

    Returns
    -------
    State
        Velocities follow from the last two steps and the last forces, as Verlet has them.
    """
    if len(steps) < 2:
        return State(steps.positions[-1], before.velocities, repeats=True)
    moved = (steps.positions[-1] - steps.positions[-2]) @ steps.cells[-1]
    half_kick = 0.5 * time_step * ACCELERATION * steps.forces[-1] / masses[:, None]
    return State(steps.positions[-1], moved / time_step + half_kick, repeats=True)


def read_state(path: Path, steps: Steps) -> State | None:
    """
    Read where a run that ended in good order would go on.

    Parameters
    ----------
    path : Path
        CONTCAR
    steps : Steps
        Of the run, unwrapped.

    Returns
    -------
    State or None
        None if the file is broken, has no velocities or is not of the last step.
    """
    from pymatgen.io.vasp import Poscar

    try:
        poscar = Poscar.from_file(path, check_for_potcar=False)
    except (OSError, ValueError, IndexError):
        return None
    structure: Structure = poscar.structure
    if poscar.velocities is None or len(structure) != steps.positions.shape[1]:
        return None
    last = steps.positions[-1]
    moves = structure.frac_coords - last
    moves -= np.round(moves)
    distance = float(np.linalg.norm(moves @ steps.cells[-1], axis=1).max())
    if not distance < TOO_FAR:
        return None
    velocities = np.array(poscar.velocities, dtype=float)
    return State(last + moves, velocities, repeats=distance < SAME_PLACE)


def temperatures(
    steps: Steps, masses: NDArray[np.float64], time_step: float
) -> NDArray[np.float64]:
    """
    Temperature at each step.

    Parameters
    ----------
    steps : Steps
        Unwrapped, of one cell.
    masses : ndarray, shape (n_atoms,)
        amu
    time_step : float
        fs

    Returns
    -------
    ndarray, shape (n_steps,)
        K; from the kinetic energies, or from the displacements where they are not written.
    """
    kinetic = steps.kinetic.copy()
    unknown = ~np.isfinite(kinetic)
    if unknown.any() and len(steps) > 1:
        cartesian = np.einsum("tax,txy->tay", steps.positions, steps.cells)
        velocities = np.gradient(cartesian, time_step, axis=0)
        estimate = 0.5 * np.einsum("a,tax->t", masses, velocities**2) / ACCELERATION
        kinetic[unknown] = estimate[unknown]
    return kinetic * 2 / (units.kB * max(3, 3 * len(masses) - 3))
