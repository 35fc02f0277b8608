"""
FIRE for many structures at once, cell and positions together.

Each structure has its own step length, mixing and velocities, so one that is nearly at rest does
not hold back another. The cell moves by strain increments: positions follow the strain, and the
strain weighs as a displacement of `strain_length` times the strain. Keeping the strain symmetric
leaves out rotations. Follows the improved scheme of Guénolé et al., Comput. Mater. Sci. 175,
109584 (2020): on uphill motion half a step is taken back, and mixing comes after the kick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
from monty.json import MSONable

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_MIXING = 0.25
MIXING_DECAY = 0.99
GROWTH = 1.1
SHRINK = 0.5
DELAY = 5
"""Downhill steps before the time step grows."""


class FireState(NamedTuple):
    """
    What FIRE remembers of a batch of n structures with n_total atoms.

    Units are those of unit masses: velocities in Å per time unit, with the time unit
    Å sqrt(mass / eV).
    """

    velocities: NDArray[np.float64]
    strain_velocities: NDArray[np.float64]
    time_steps: NDArray[np.float64]
    mixing: NDArray[np.float64]
    downhill: NDArray[np.int64]

    @classmethod
    def start(cls, counts: NDArray[np.integer], time_step: float) -> FireState:
        """Structures at rest; `counts` (n,) atoms each."""
        n = len(counts)
        return cls(
            velocities=np.zeros((int(np.sum(counts)), 3)),
            strain_velocities=np.zeros((n, 3, 3)),
            time_steps=np.full(n, time_step),
            mixing=np.full(n, FIRST_MIXING),
            downhill=np.zeros(n, dtype=np.int64),
        )

    def select(self, keep: NDArray[np.bool_], keep_atoms: NDArray[np.bool_]) -> FireState:
        """Return the state of those where `keep` (n,) and `keep_atoms` (n_total,) are true."""
        return FireState(
            self.velocities[keep_atoms],
            self.strain_velocities[keep],
            self.time_steps[keep],
            self.mixing[keep],
            self.downhill[keep],
        )


class Steps(NamedTuple):
    """The numbers of `FireOptions`, as compiled code takes them."""

    first_step: float
    largest_step: float
    largest_move: float
    largest_strain: float
    strain_length: float


@dataclass(frozen=True)
class FireOptions(MSONable):
    """Step lengths of the minimiser."""

    first_step: float = field(
        default=0.1,
        metadata={"range": (0.001, 10.0), "unit": "Å (u/eV)^1/2", "help": "first time step"},
    )
    largest_step: float = field(
        default=0.5,
        metadata={"range": (0.001, 10.0), "unit": "Å (u/eV)^1/2", "help": "longest time step"},
    )
    largest_move: float = field(
        default=0.15,
        metadata={"range": (0.001, 2.0), "unit": "Å", "help": "farthest an atom moves in a step"},
    )
    largest_strain: float = field(
        default=0.03,
        metadata={"range": (1e-4, 0.5), "unit": "", "help": "most the cell is strained in a step"},
    )
    strain_length: float = field(
        default=1.0,
        metadata={
            "range": (0.01, 100.0),
            "unit": "Å",
            "help": "weight of a strain against a displacement, times sqrt(atoms)",
        },
    )

    def validate(self) -> None:
        """Raise a ValueError if numbers do not fit together."""
        if self.first_step > self.largest_step:
            raise ValueError(
                f"first_step {self.first_step:g} is longer than largest_step {self.largest_step:g}"
            )

    @cached_property
    def steps(self) -> Steps:
        """The same numbers for compiled code."""
        return Steps(
            self.first_step,
            self.largest_step,
            self.largest_move,
            self.largest_strain,
            self.strain_length,
        )


class Geometry(NamedTuple):
    """
    A batch of structures and what acts on them.

    Attributes
    ----------
    counts : (n,) array
        Atoms in each structure.
    cells : (n, 3, 3) array
        Å.
    positions : (n_total, 3) array
        Å.
    forces : (n_total, 3) array
        eV/Å.
    stresses : (n, 3, 3) array
        eV/Å³, sign of ASE.
    """

    counts: NDArray[np.int64]
    cells: NDArray[np.float64]
    positions: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]


@numba.njit(cache=True)
def strain_rows(
    cell: NDArray[np.float64], positions: NDArray[np.float64], strain: NDArray[np.float64]
) -> None:
    """Multiply lattice vectors and positions (rows) by 1 + `strain`, in place."""
    deformation = strain + np.eye(3)
    cell[:] = cell @ deformation
    positions[:] = positions @ deformation


@numba.njit(cache=True)
def advance(batch: Geometry, rest: NDArray[np.bool_], state: FireState, steps: Steps) -> None:
    """One step of every structure of the batch, in place, but for those that `rest` (n,)."""
    end = 0
    for s in range(len(batch.counts)):
        start, end = end, end + batch.counts[s]
        if rest[s]:
            # should it begin again, then as at first
            state.velocities[start:end] = 0.0
            state.strain_velocities[s] = 0.0
            state.time_steps[s] = steps.first_step
            state.mixing[s] = FIRST_MIXING
            state.downhill[s] = 0
            continue
        length = steps.strain_length * np.sqrt(float(batch.counts[s]))
        cell = batch.cells[s]
        x, f = batch.positions[start:end], batch.forces[start:end]
        v, w = state.velocities[start:end], state.strain_velocities[s]
        size = abs(np.linalg.det(cell))
        # generalised force on the coordinate strain * length
        g = -0.5 * (batch.stresses[s] + batch.stresses[s].T) * (size / length)

        power = (f * v).sum() + (g * w).sum()
        if power > 0.0:
            state.downhill[s] += 1
            if state.downhill[s] > DELAY:
                state.time_steps[s] = min(state.time_steps[s] * GROWTH, steps.largest_step)
                state.mixing[s] *= MIXING_DECAY
        else:
            state.downhill[s] = 0
            back = -0.5 * state.time_steps[s]
            state.time_steps[s] = max(state.time_steps[s] * SHRINK, 0.02 * steps.first_step)
            state.mixing[s] = FIRST_MIXING
            x += back * v
            strain_rows(cell, x, w * (back / length))
            v[:] = 0.0
            w[:] = 0.0

        dt = state.time_steps[s]
        v += dt * f
        w += dt * g
        speed = np.sqrt((v * v).sum() + (w * w).sum())
        force = np.sqrt((f * f).sum() + (g * g).sum())
        if force > 0.0:
            a = state.mixing[s]
            v *= 1.0 - a
            v += (a * speed / force) * f
            w *= 1.0 - a
            w += (a * speed / force) * g

        farthest = 0.0
        for i in range(len(v)):
            farthest = max(farthest, v[i, 0] ** 2 + v[i, 1] ** 2 + v[i, 2] ** 2)
        move = dt * np.sqrt(farthest)
        strain = dt * np.abs(w).max() / length
        scale = 1.0
        if move > steps.largest_move:
            scale = steps.largest_move / move
        if strain * scale > steps.largest_strain:
            scale = steps.largest_strain / strain
        x += (scale * dt) * v
        strain_rows(cell, x, w * (scale * dt / length))
