"""
Relaxing with the symmetry a structure has: one atom of each orbit stands for all.

The energy of a symmetric crystal is the sum over inequivalent atoms, each as often as it occurs.
Only these are evaluated; averaging over the operations turns the derivatives into the forces and
stress of the whole crystal. Noise cannot break the symmetry then, and what is made in a space
group, as most new structures of a search are, costs a fraction of an evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np

from search.relax.energy import uncertainties_of
from search.symmetry_operations import Symmetry

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from search.relax.energy import BatchEvaluator

PRECISION = 1e-3
"""Å by which atoms may miss a symmetry that is then made exact."""


class Operations(NamedTuple):
    """
    What the symmetries of a batch do, one structure after the other, for compiled code.

    Attributes
    ----------
    counts : (n,) array
        Atoms in each structure.
    orders : (n,) array
        Operations of each structure.
    rotations : (n_operations, 3, 3) array
        Cartesian, acting on columns.
    images : (sum of counts times orders,) array
        Atom (numbered within its structure) that an operation takes an atom to; operations outside.
    representatives : (n_total,) array
        Atom (numbered within its structure) that stands for each atom.
    """

    counts: NDArray[np.int64]
    orders: NDArray[np.int64]
    rotations: NDArray[np.float64]
    images: NDArray[np.int64]
    representatives: NDArray[np.int64]

    def weights(self) -> NDArray[np.float64]:
        """How many atoms each atom (n_total,) stands for."""
        starts = np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        total = int(self.counts.sum())
        return np.bincount(starts + self.representatives, minlength=total).astype(float)

    def select(self, keep: NDArray[np.bool_]) -> Operations:
        """Return those of the structures where `keep` (n,) is true."""
        return Operations(
            self.counts[keep],
            self.orders[keep],
            self.rotations[np.repeat(keep, self.orders)],
            self.images[np.repeat(keep, self.orders * self.counts)],
            self.representatives[np.repeat(keep, self.counts)],
        )


@numba.njit(cache=True)
def average(
    operations: Operations, forces: NDArray[np.float64], stresses: NDArray[np.float64]
) -> None:
    """Average forces (n_total, 3) and stresses (n, 3, 3) over the symmetry, in place."""
    start, first, table = 0, 0, 0
    mean, moved = np.empty(3), np.empty((3, 3))
    for s in range(len(operations.counts)):
        n, order = operations.counts[s], operations.orders[s]
        if order > 1:
            rotations = operations.rotations[first : first + order]
            images = operations.images[table : table + order * n]
            for atom in range(n):
                if operations.representatives[start + atom] != atom:
                    continue
                mean[:] = 0.0
                for o in range(order):
                    j = start + images[o * n + atom]
                    for k in range(3):
                        for m in range(3):
                            mean[k] += rotations[o, m, k] * forces[j, m]
                mean /= order
                for o in range(order):
                    j = start + images[o * n + atom]
                    for k in range(3):
                        forces[j, k] = 0.0
                        for m in range(3):
                            forces[j, k] += rotations[o, k, m] * mean[m]
            moved[:] = 0.0
            for o in range(order):
                moved += rotations[o] @ stresses[s] @ rotations[o].T.copy()
            stresses[s] = moved / order
        start += n
        first += order
        table += order * n


class SymmetricEvaluator:
    """
    The evaluator of a batch of structures that keep their symmetry.

    Parameters
    ----------
    inner : BatchEvaluator
        Of the same structures. If it has a method `weighted`, as `nnp.Evaluator` has, it evaluates
        inequivalent atoms only.
    operations : Operations
        Of these structures.
    """

    def __init__(self, inner: BatchEvaluator, operations: Operations) -> None:
        weigh = getattr(inner, "weighted", None)
        self._take(weigh(operations.weights()) if weigh is not None else inner, operations)

    def _take(self, inner: BatchEvaluator, operations: Operations) -> None:
        self.inner, self.operations = inner, operations
        starts = np.cumsum(operations.counts) - operations.counts
        self._standing = np.repeat(starts, operations.counts) + operations.representatives

    def compute(
        self, cells: NDArray[np.float64], positions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """See `BatchEvaluator.compute`."""
        energies, forces, stresses, atomic = self.inner.compute(cells, positions)
        average(self.operations, forces, stresses)
        return energies, forces, stresses, atomic[self._standing]

    def uncertainties(self) -> NDArray[np.float64]:
        """Errors of the energies; see `BatchEvaluator`."""
        return uncertainties_of(self.inner, len(self.operations.counts))

    def select(self, keep: NDArray[np.bool_]) -> SymmetricEvaluator:
        """See `BatchEvaluator.select`."""
        chosen = object.__new__(SymmetricEvaluator)
        chosen._take(self.inner.select(keep), self.operations.select(keep))
        return chosen


def symmetrized(structures: Sequence[Atoms]) -> tuple[list[Atoms], Operations]:
    """
    Make the symmetries of structures exact.

    Parameters
    ----------
    structures : sequence of ase.Atoms
        Symmetric within `PRECISION`, or not at all.

    Returns
    -------
    list of ase.Atoms
        The same atoms in the same order, each in the same place within about `PRECISION`.
    Operations
        What keeps them as they are.
    """
    exact, orders, rotations, images, representatives = [], [], [], [], []
    for atoms in structures:
        symmetry = Symmetry.of(atoms, PRECISION)
        own, turns = atoms, np.eye(3)[None]
        if symmetry.is_proper and len(symmetry.images) > 1:
            own, table = symmetry.imposed(atoms), symmetry.images
            turns = symmetry.cartesian(np.array(own.cell))
        else:
            table = np.arange(len(atoms))[None]
        exact.append(own)
        orders.append(len(table))
        rotations.append(turns)
        images.append(table.ravel())
        representatives.append(table.min(axis=0))
    return exact, Operations(
        np.array([len(atoms) for atoms in structures]),
        np.array(orders),
        np.ascontiguousarray(np.concatenate(rotations)),
        np.concatenate(images),
        np.concatenate(representatives),
    )
