"""
L-BFGS for many structures at once, cell and positions together.

Each structure has its own memory. The cell moves by strain increments as in `search.relax.fire`.
There is no line search, as in ASE's `LBFGS`: steps are limited, pairs of step and change of the
gradient without positive curvature are left out, and a step that led uphill makes it begin anew.
Where forces are large, far from any minimum, FIRE takes the steps. J. Nocedal, Math. Comput. 35,
773 (1980).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
from monty.json import MSONable

from search.relax.fire import Geometry, strain_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRAIN_ROWS = 3
"""Rows that the strain takes after those of the atoms."""
LEAST_CURVATURE = 1e-3
"""Cosine between a step and the change of the gradient, below which the pair is left out."""
RETURN = 5.0
"""FIRE takes over again where forces are so many times the limit."""


class LbfgsNumbers(NamedTuple):
    """The numbers of `LbfgsOptions`, as compiled code takes them."""

    largest_force: float
    largest_move: float
    largest_strain: float
    strain_length: float
    curvature: float


@dataclass(frozen=True)
class LbfgsOptions(MSONable):
    """Memory and step lengths of the quasi-Newton minimiser."""

    largest_force: float = field(
        default=10.0,
        metadata={
            "range": (0.0, 1e6),
            "unit": "eV/Å",
            "help": "where forces are larger FIRE takes the steps; 0: always",
        },
    )
    memory: int = field(
        default=20,
        metadata={"range": (1, 1000), "unit": "steps", "help": "remembered of the curvature"},
    )
    largest_move: float = field(
        default=0.2,
        metadata={"range": (0.001, 2.0), "unit": "Å", "help": "farthest an atom moves in a step"},
    )
    largest_strain: float = field(
        default=0.05,
        metadata={"range": (1e-4, 0.5), "unit": "", "help": "most the cell is strained in a step"},
    )
    strain_length: float = field(
        default=2.0,
        metadata={
            "range": (0.01, 100.0),
            "unit": "Å",
            "help": "weight of a strain against a displacement, times sqrt(atoms)",
        },
    )
    curvature: float = field(
        default=50.0,
        metadata={
            "range": (0.1, 10_000.0),
            "unit": "eV/Å²",
            "help": "taken for all directions at the first step",
        },
    )

    @cached_property
    def numbers(self) -> LbfgsNumbers:
        """The same numbers for compiled code."""
        return LbfgsNumbers(
            self.largest_force,
            self.largest_move,
            self.largest_strain,
            self.strain_length,
            self.curvature,
        )


class LbfgsState(NamedTuple):
    """
    What L-BFGS remembers of a batch of n structures with n_total atoms.

    A structure has a row for each atom and three for the strain, n_rows in all.

    Attributes
    ----------
    steps, changes : (memory, n_rows, 3) arrays
        Steps in Å and changes of the gradient in eV/Å.
    products : (memory, n) array
        Scalar product of each such pair, eV.
    remembered : (n,) array
        Pairs so far; the memory is filled in a circle.
    gradient : (n_rows, 3) array
        At the last step, eV/Å.
    energies : (n,) array
        At the last step, eV.
    active : (n,) array
        Which structures are not FIRE's.
    """

    steps: NDArray[np.float64]
    changes: NDArray[np.float64]
    products: NDArray[np.float64]
    remembered: NDArray[np.int64]
    gradient: NDArray[np.float64]
    energies: NDArray[np.float64]
    active: NDArray[np.bool_]

    @classmethod
    def start(cls, counts: NDArray[np.integer], memory: int) -> LbfgsState:
        """Nothing remembered; `counts` (n,) atoms each."""
        n, rows = len(counts), int(np.sum(counts)) + STRAIN_ROWS * len(counts)
        return cls(
            steps=np.zeros((memory, rows, 3)),
            changes=np.zeros((memory, rows, 3)),
            products=np.zeros((memory, n)),
            remembered=np.zeros(n, dtype=np.int64),
            gradient=np.zeros((rows, 3)),
            energies=np.full(n, np.inf),
            active=np.zeros(n, dtype=np.bool_),
        )

    def select(self, keep: NDArray[np.bool_], counts: NDArray[np.integer]) -> LbfgsState:
        """Return the state of those where `keep` (n,) is true; `counts` (n,) before."""
        rows = np.repeat(keep, counts + STRAIN_ROWS)
        return LbfgsState(
            # along the second axis the result of a mask is not contiguous
            np.compress(rows, self.steps, axis=1),
            np.compress(rows, self.changes, axis=1),
            np.compress(keep, self.products, axis=1),
            self.remembered[keep],
            self.gradient[rows],
            self.energies[keep],
            self.active[keep],
        )


@numba.njit(cache=True)
def _product(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    total = 0.0
    for i in range(one.shape[0]):
        total += one[i, 0] * other[i, 0] + one[i, 1] * other[i, 1] + one[i, 2] * other[i, 2]
    return total


@numba.njit(cache=True)
def _add(target: NDArray[np.float64], factor: float, source: NDArray[np.float64]) -> None:
    for i in range(target.shape[0]):
        for k in range(3):
            target[i, k] += factor * source[i, k]


@numba.njit(cache=True)
def _longest(rows: NDArray[np.float64]) -> float:
    square = 0.0
    for i in range(rows.shape[0]):
        square = max(square, rows[i, 0] ** 2 + rows[i, 1] ** 2 + rows[i, 2] ** 2)
    return np.sqrt(square)


@numba.njit(cache=True)
def _remember(
    s: int, low: int, high: int, gradient: NDArray[np.float64], state: LbfgsState
) -> None:
    """Take in what the last step of structure `s`, rows `low` to `high`, did to the gradient."""
    slot = state.remembered[s] % state.steps.shape[0]
    step, change = state.steps[slot, low:high], state.changes[slot, low:high]
    change[:] = gradient
    _add(change, -1.0, state.gradient[low:high])
    product = _product(step, change)
    lengths = np.sqrt(_product(step, step) * _product(change, change))
    if product > LEAST_CURVATURE * lengths:
        state.products[slot, s] = product
        state.remembered[s] += 1
    elif product < 0.0:
        state.remembered[s] = 0


@numba.njit(cache=True)
def _direction(
    s: int, low: int, high: int, gradient: NDArray[np.float64], curvature: float, state: LbfgsState
) -> NDArray[np.float64]:
    """Quasi-Newton step (n_rows of `s`, 3) by the two loops over the memory, Å."""
    memory = state.steps.shape[0]
    known = min(state.remembered[s], memory)
    newest = (state.remembered[s] - 1) % memory
    factors = np.empty(memory)
    step = -gradient
    for age in range(known):
        k = (newest - age) % memory
        factors[k] = _product(state.steps[k, low:high], step) / state.products[k, s]
        _add(step, -factors[k], state.changes[k, low:high])
    if known > 0:
        change = state.changes[newest, low:high]
        step *= state.products[newest, s] / _product(change, change)
    else:
        step /= curvature
    for age in range(known - 1, -1, -1):
        k = (newest - age) % memory
        factor = _product(state.changes[k, low:high], step) / state.products[k, s]
        _add(step, factors[k] - factor, state.steps[k, low:high])
    if _product(step, gradient) >= 0.0:
        state.remembered[s] = 0
        step = gradient * (-1.0 / curvature)
    return step


@numba.njit(cache=True)
def advance_active(
    batch: Geometry, energies: NDArray[np.float64], state: LbfgsState, numbers: LbfgsNumbers
) -> None:
    """
    One step, in place, of every structure of the batch with forces that are not too large.

    Parameters
    ----------
    batch : Geometry
        The structures and what acts on them.
    energies : (n,) array
        eV.
    state : LbfgsState
        Says afterwards in `active` which structures have moved.
    numbers : LbfgsNumbers
        Step lengths.
    """
    end = 0
    for s in range(len(batch.counts)):
        n = batch.counts[s]
        start, end = end, end + n
        low, high = start + STRAIN_ROWS * s, end + STRAIN_ROWS * (s + 1)
        length = numbers.strain_length * np.sqrt(float(n))
        cell, positions = batch.cells[s], batch.positions[start:end]
        size = abs(np.linalg.det(cell))
        gradient = np.empty((n + STRAIN_ROWS, 3))
        gradient[:n] = -batch.forces[start:end]
        gradient[n:] = (batch.stresses[s] + batch.stresses[s].T) * (0.5 * size / length)

        largest = _longest(gradient)
        if not state.active[s]:
            if not largest < numbers.largest_force:
                continue
            state.active[s] = True
            state.remembered[s] = 0
        elif not largest < RETURN * numbers.largest_force:
            state.active[s] = False
            continue
        elif energies[s] > state.energies[s]:
            state.remembered[s] = 0
        else:
            _remember(s, low, high, gradient, state)

        step = _direction(s, low, high, gradient, numbers.curvature, state)
        scale = min(1.0, numbers.largest_move / max(_longest(step[:n]), 1e-12))
        strain = np.abs(step[n:]).max() / length
        step *= min(scale, numbers.largest_strain / max(strain, 1e-12))
        slot = state.remembered[s] % state.steps.shape[0]
        state.steps[slot, low:high] = step
        state.gradient[low:high] = gradient
        state.energies[s] = energies[s]
        _add(positions, 1.0, step[:n])
        strain_rows(cell, positions, step[n:] / length)
