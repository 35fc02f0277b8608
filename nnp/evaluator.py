"""Energies, forces and stresses of a fixed batch of structures, step after step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnp.calibration import Calibration
from nnp.kernels import neighbors
from nnp.kernels.batch import (
    CLOSE_TOO_SMALL,
    DONE,
    LISTS_TOO_SMALL,
    Batch,
    Output,
    Reference,
    Scratch,
    evaluate_range,
)
from nnp.kernels.workspace import Model, allocate

#: Extra radius in Å of the neighbour lists.
SKIN = 0.5
#: Cells with less than this volume in Å³ for each atom are not evaluated: NaN is returned.
SMALLEST_VOLUME = 1.0


class Predictions(NamedTuple):
    """
    Results for several structures.

    Attributes
    ----------
    energies : ndarray
        In eV, shape (n_structures,).
    forces : list of ndarray
        One (n_atoms, 3) array in eV/Å for each structure.
    stresses : ndarray
        In eV/Å³ with ASE's sign, shape (n_structures, 3, 3).
    atomic_energies : list of ndarray
        One (n_atoms,) array in eV for each structure.
    uncertainties : ndarray
        Error to expect of the energies in eV/atom, shape (n_structures,): the ensemble's spread,
        calibrated; zero for a single network.
    atomic_uncertainties : list of ndarray
        Scaled standard deviation of the atomic energies, one (n_atoms,) array in eV for each
        structure; atoms have no reference energies, so that nothing but the scale is calibrated.
    spreads : ndarray
        Bare standard deviation of the ensemble's energies in eV/atom, shape (n_structures,).
    """

    energies: NDArray[np.float64]
    forces: list[NDArray[np.float64]]
    stresses: NDArray[np.float64]
    atomic_energies: list[NDArray[np.float64]]
    uncertainties: NDArray[np.float64]
    atomic_uncertainties: list[NDArray[np.float64]]
    spreads: NDArray[np.float64]


class _ThreadShare:
    """The share of one thread: a range of atoms with its lists and memory."""

    def __init__(self, begin: int, end: int, batch: Batch, model: Model, dtype: Any) -> None:
        self.begin, self.end = begin, end
        self.batch, self.model, self.dtype = batch, model, dtype
        n_structures, n_total = len(batch.first) - 1, int(batch.first[-1])
        n_members = model.weights.shape[1]
        largest = int(np.diff(batch.first).max(initial=1))
        self.reference = Reference(
            valid=np.zeros(n_structures, dtype=bool),
            positions=np.zeros((n_total, 3)),
            inverse_cells=np.zeros((n_structures, 3, 3)),
            limits=np.zeros((n_structures, 3), dtype=np.int64),
        )
        self.scratch = Scratch(np.zeros((largest, 3)), np.zeros((4, largest)), np.zeros((343, 3)))
        self.output = Output(
            np.zeros((n_total, n_members)),
            np.zeros((n_total, 3)),
            np.zeros((n_structures, 3, 3)),
        )
        self.close = 64
        self._resize_lists(192)

    def _resize_lists(self, capacity: int) -> None:
        n_elements = len(self.model.pair_block)
        n_total = int(self.batch.first[-1])
        self.lists = neighbors.allocate(self.end - self.begin, n_elements, capacity, n_total)
        self.reference.valid[:] = False
        self._resize_workspace(self.close)

    def _resize_workspace(self, close: int) -> None:
        self.close = close
        near = self.lists.atom.shape[1]
        self.workspace, other = (allocate(self.model, near, close, self.dtype) for _ in range(2))
        self.spaces = (self.workspace, other)

    def run(self, cells: NDArray, positions: NDArray, usable: NDArray) -> None:
        """Evaluate the range."""

        def evaluate() -> tuple[int, int]:
            for array in self.output:
                array[...] = 0.0
            return evaluate_range(
                (self.begin, self.end, SKIN),
                cells,
                positions,
                usable,
                self.batch,
                self.model,
                (self.lists, self.reference, self.scratch),
                self.spaces,
                self.output,
            )

        self.enlarge_until_done(evaluate)

    def enlarge_until_done(self, kernel: Callable[[], tuple[int, int]]) -> None:
        """Run a kernel, enlarging arrays as it asks, until they suffice."""
        status, size = kernel()
        while status != DONE:
            if status == LISTS_TOO_SMALL:
                self._resize_lists(int(size * 1.2) + 16)
            elif status == CLOSE_TOO_SMALL:
                self._resize_workspace(int(size * 1.2) + 8)
            else:
                self.scratch = self.scratch._replace(translations=np.zeros((size, 3)))
            status, size = kernel()


@dataclass
class Evaluator:
    """
    Evaluate the same structures again and again while they move.

    Neighbour lists, memory and threads are kept between calls. A structure whose numbers are not
    finite, or whose cell has collapsed, gets NaN results and does not disturb the others.

    Parameters
    ----------
    model : Model
        The potential for the kernels.
    types : ndarray of int
        Element index of every atom, shape (n_total,).
    counts : ndarray of int
        Atoms in each structure, shape (n,).
    threads : int
        Threads that share the work, over structures or, for large ones, over atoms.
    calibration : Calibration
        Turns the spread of an ensemble into the error to expect.
    weights : ndarray or None
        How often the energy of each atom counts, shape (n_total,); atoms of weight zero are not
        evaluated, and their own energies are zero. None: each counts once.
    """

    model: Model
    types: NDArray[np.int64]
    counts: NDArray[np.int64]
    threads: int = 1
    calibration: Calibration = field(default_factory=Calibration)
    weights: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        self.types = np.ascontiguousarray(self.types, dtype=np.int64)
        self.counts = np.asarray(self.counts, dtype=np.int64)
        if self.counts.sum() != len(self.types):
            raise ValueError(
                f"Counts add up to {self.counts.sum()} atoms, but {len(self.types)} are given."
            )
        n_total = len(self.types)
        weights = np.ones(n_total) if self.weights is None else self.weights
        self._weights = np.ascontiguousarray(weights, dtype=np.float64)
        if self._weights.shape != (n_total,):
            raise ValueError(f"Expected {n_total} weights, got {self._weights.shape}.")
        self._batch = _make_batch(
            self.types, self.counts, self._weights, len(self.model.pair_block)
        )
        n_shares = max(1, min(self.threads, n_total))
        bounds = [n_total * k // n_shares for k in range(n_shares + 1)]
        dtype = self.model.weights.dtype.type
        self.shares = [
            _ThreadShare(low, high, self._batch, self.model, dtype)
            for low, high in pairwise(bounds)
        ]
        self._pool: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        names = ("model", "types", "counts", "threads", "calibration", "weights")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def compute(
        self, cells: ArrayLike, positions: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """
        Energies, forces, stresses and atomic energies.

        Parameters
        ----------
        cells : array_like
            Lattice vectors as rows in Å, shape (n, 3, 3).
        positions : array_like
            In Å, shape (n_total, 3).

        Returns
        -------
        tuple of ndarray
            Energies in eV (n,), forces in eV/Å (n_total, 3), stresses in eV/Å³ with ASE's sign
            (n, 3, 3), atomic energies in eV (n_total,).
        """
        self._run(cells, positions)
        atomic = self._members.mean(axis=1)
        return self._energies(atomic), self._forces, self._stresses, atomic

    def member_energies(self) -> NDArray[np.float64]:
        """Atomic energies in eV by each network at the last call, shape (n_total, n_members)."""
        return self._members

    def uncertainties(self) -> NDArray[np.float64] | None:
        """
        Errors to expect of the energies of the last call.

        Returns
        -------
        ndarray or None
            In eV/atom, shape (n,), from the spread of the networks; none for a single one.
        """
        if self._members.shape[1] == 1:
            return None
        if not len(self._members):
            return np.zeros(0)
        weighted = self._members * self._weights[:, None]
        totals = np.add.reduceat(weighted, self._batch.first[:-1], axis=0)
        return self.calibration.apply(totals.std(axis=1) / self.counts)

    def select(self, keep: ArrayLike) -> Evaluator:
        """Give the evaluator of the structures where ``keep``, Boolean of shape (n,), is true."""
        mask = np.asarray(keep, dtype=bool)
        atoms = np.repeat(mask, self.counts)
        return Evaluator(
            self.model,
            self.types[atoms],
            self.counts[mask],
            self.threads,
            self.calibration,
            None if self.weights is None else self._weights[atoms],
        )

    def weighted(self, weights: ArrayLike) -> Evaluator:
        """
        Give the evaluator of the sums of weighted atomic energies, of which forces derive.

        Where some atoms are equivalent by symmetry, one of them stands for all with their number
        as weight, the others have none: the sum is the energy, at a fraction of the cost, and the
        mean of the forces over the operations of the symmetry is that of the whole crystal.

        Parameters
        ----------
        weights : array_like
            Of every atom, shape (n_total,).
        """
        return replace(self, weights=np.asarray(weights, dtype=np.float64))

    def _energies(self, atomic: NDArray[np.float64]) -> NDArray[np.float64]:
        weighted = atomic * self._weights
        return np.add.reduceat(weighted, self._batch.first[:-1]) if len(atomic) else np.zeros(0)

    def _run(self, cells: ArrayLike, positions: ArrayLike) -> None:
        cells = np.ascontiguousarray(cells, dtype=np.float64)
        positions = np.ascontiguousarray(positions, dtype=np.float64)
        n, n_total = len(self.counts), len(self.types)
        if cells.shape != (n, 3, 3) or positions.shape != (n_total, 3):
            raise ValueError(
                f"Expected cells {(n, 3, 3)} and positions {(n_total, 3)}, "
                f"got {cells.shape} and {positions.shape}."
            )
        volumes, usable = self._usable(cells, positions)
        self._share(cells, positions, usable)
        outputs = [share.output for share in self.shares]
        self._members = sum(output.members for output in outputs[1:]) + outputs[0].members
        self._forces = sum(output.forces for output in outputs[1:]) + outputs[0].forces
        virials = sum(output.virials for output in outputs[1:]) + outputs[0].virials
        with np.errstate(divide="ignore", invalid="ignore"):
            self._stresses = virials / volumes[:, None, None]
        if not usable.all():
            atoms = np.repeat(~usable, self.counts)
            self._members[atoms], self._forces[atoms] = np.nan, np.nan
            self._stresses[~usable] = np.nan

    def _usable(
        self, cells: NDArray[np.float64], positions: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Volumes in Å³, and which structures can be evaluated at all."""
        finite = np.asarray(np.isfinite(cells).all(axis=(1, 2)))
        atoms = np.isfinite(positions).all(axis=1)
        if not atoms.all():
            finite &= np.logical_and.reduceat(atoms, self._batch.first[:-1])
        volumes, images = np.zeros(len(cells)), np.zeros(len(cells))
        # Compiled code takes every number to be finite.
        safe = cells if finite.all() else np.where(finite[:, None, None], cells, np.eye(3))
        neighbors.inspect_cells(safe, self.model.radial_cutoff + SKIN, volumes, images)
        enough = volumes > SMALLEST_VOLUME * self.counts
        return volumes, finite & enough & (images <= neighbors.LARGEST_IMAGE_COUNT)

    def _share(self, cells: NDArray, positions: NDArray, usable: NDArray) -> None:
        """Run every share, the first in this thread."""
        others = self.shares[1:]
        if others and self._pool is None:
            self._pool = ThreadPoolExecutor(len(others))
        tasks = [
            self._pool.submit(share.run, cells, positions, usable)
            for share in others
            if self._pool is not None
        ]
        self.shares[0].run(cells, positions, usable)
        for task in tasks:
            task.result()


def _make_batch(
    types: NDArray[np.int64],
    counts: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_elements: int,
) -> Batch:
    """Orders of the atoms by element."""
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    sorted_atoms = np.zeros(len(types), dtype=np.int64)
    starts = np.zeros((len(counts), n_elements + 1), dtype=np.int64)
    for s, (low, high) in enumerate(pairwise(first)):
        own = types[low:high]
        sorted_atoms[low:high] = np.argsort(own, kind="stable")
        starts[s, 1:] = np.cumsum(np.bincount(own, minlength=n_elements))
    return Batch(first, types, sorted_atoms, starts, weights)
