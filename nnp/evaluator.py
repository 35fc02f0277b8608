"""Energies, forces and stresses of a fixed batch of structures, step after step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnp import centre, neighbors
from nnp.centre import DX, DY, DZ, FX, FY, FZ, Model, Workspace
from nnp.compiled import compiled
from nnp.neighbors import NeighborList

#: Extra radius in Å of the neighbour lists.
SKIN = 0.5
#: Cells with less than this volume in Å³ for each atom are not evaluated: NaN is returned.
SMALLEST_VOLUME = 1.0

# What a pass over a range of atoms reports.
_DONE, _LISTS_TOO_SMALL, _CLOSE_TOO_SMALL, _IMAGES_TOO_SMALL = range(4)


class Predictions(NamedTuple):
    """Results for several structures.

    Attributes
    ----------
    energies
        In eV, shape (n_structures,).
    forces
        One (n_atoms, 3) array in eV/Å for each structure.
    stresses
        In eV/Å³ with ASE's sign, shape (n_structures, 3, 3).
    atomic_energies
        One (n_atoms,) array in eV for each structure.
    uncertainties
        Calibrated standard deviation of the ensemble's energies in eV/atom, shape
        (n_structures,); zero for a single network.
    atomic_uncertainties
        The same of the atomic energies, one (n_atoms,) array in eV for each structure.
    """

    energies: NDArray[np.float64]
    forces: list[NDArray[np.float64]]
    stresses: NDArray[np.float64]
    atomic_energies: list[NDArray[np.float64]]
    uncertainties: NDArray[np.float64]
    atomic_uncertainties: list[NDArray[np.float64]]


class Batch(NamedTuple):
    """What does not change during the life of an evaluator.

    Attributes
    ----------
    first
        First atom of each structure and the total, shape (n + 1,).
    types
        Element index of every atom.
    sorted_atoms
        Atoms of each structure (numbered from its first) ordered by element.
    element_starts
        Where each element starts among them, shape (n, n_elements + 1).
    """

    first: NDArray[np.int64]
    types: NDArray[np.int64]
    sorted_atoms: NDArray[np.int64]
    element_starts: NDArray[np.int64]


class Reference(NamedTuple):
    """State of each structure when its neighbours were last listed."""

    valid: NDArray[np.bool_]
    positions: NDArray[np.float64]
    inverse_cells: NDArray[np.float64]
    limits: NDArray[np.int64]


class Scratch(NamedTuple):
    """Memory of one thread for one structure at a time."""

    points: NDArray[np.float64]
    columns: NDArray[np.float64]
    translations: NDArray[np.float64]


class Output(NamedTuple):
    """Results of one thread, for the whole batch."""

    members: NDArray[np.float64]
    forces: NDArray[np.float64]
    virials: NDArray[np.float64]


@compiled
def list_structure(
    s: int, span: tuple, cell: NDArray, positions: NDArray, batch: Batch, state: tuple
) -> tuple[int, int]:
    """List the neighbours of some atoms of structure ``s``.

    Parameters
    ----------
    span
        (begin, end, row of begin, cutoff, angular cutoff, skin); distances in Å.
    state
        (neighbour list, reference, scratch).

    Returns
    -------
    tuple of int
        Status and the capacity it asks for.
    """
    begin, end, row, cutoff, skin = span
    lists, reference, scratch = state
    first = batch.first[s]
    inverse = reference.inverse_cells[s]
    limits = reference.limits[s]
    neighbors.invert(cell, inverse)
    images = neighbors.image_range(inverse, cutoff + skin, limits)
    if images > scratch.translations.shape[0]:
        return _IMAGES_TOO_SMALL, images
    offsets = lists.offsets[first : first + positions.shape[0]]
    neighbors.wrap(positions, inverse, offsets)
    neighbors.wrapped(positions, cell, offsets, scratch.points)
    neighbors.fill_translations(cell, limits, scratch.translations)
    needed = neighbors.build_rows(
        first,
        (begin, end, row),
        batch.sorted_atoms[first : first + positions.shape[0]],
        batch.element_starts[s],
        scratch.points,
        (inverse, scratch.translations, limits, cutoff + skin),
        (lists.starts, lists.atom, lists.image),
        scratch.columns,
    )
    if needed > lists.atom.shape[1]:
        return _LISTS_TOO_SMALL, needed
    neighbors.copy_rows(positions, reference.positions[first:])
    reference.valid[s] = True
    return _DONE, 0


@compiled
def prepare_structure(
    s: int,
    span: tuple,
    cell: NDArray,
    positions: NDArray,
    batch: Batch,
    model: Model,
    state: tuple,
) -> tuple[int, int]:
    """Make lists, wrapped points and translations of structure ``s`` ready.

    Parameters
    ----------
    span
        (first atom wanted, end, first atom of the range the lists are for, skin in Å).
    state
        (neighbour list, reference, scratch).
    """
    low, high, begin, skin = span
    lists, reference, scratch = state
    first, last = batch.first[s], batch.first[s + 1]
    local = positions[first:last]
    if reference.valid[s] and not neighbors.is_stale(
        cell,
        local,
        reference.inverse_cells[s],
        reference.positions[first:last],
        model.radial_cutoff,
        skin,
    ):
        neighbors.wrapped(local, cell, lists.offsets[first:last], scratch.points)
        neighbors.fill_translations(cell, reference.limits[s], scratch.translations)
        return _DONE, 0
    reference.valid[s] = False
    rows = (low - first, high - first, low - begin, model.radial_cutoff, skin)
    return list_structure(s, rows, cell, local, batch, state)


@compiled
def close_count(
    i: int, r: int, first: int, model: Model, lists: NeighborList, scratch: Scratch, capacity: int
) -> int:
    """Neighbours of atom ``i`` within the angular cutoff, counted only if they may not fit."""
    n = lists.starts[r, lists.starts.shape[1] - 1]
    if n <= capacity:
        return n
    point = (first, i - first, scratch.points, scratch.translations)
    return centre.count_close(n, lists.atom[r], lists.image[r], point, model.angular_cutoff**2)


@compiled
def add_forces(i: int, ws: Workspace, forces: NDArray, virial: NDArray) -> None:
    """Add one centre's derivatives to forces in eV/Å and to the virial in eV."""
    near, atoms = ws.near, ws.near_atom
    n = ws.near_start[ws.near_start.size - 1]
    dx, dy, dz, gx, gy, gz = near[DX], near[DY], near[DZ], near[FX], near[FY], near[FZ]
    x, y, z = 0.0, 0.0, 0.0
    xx, yy, zz, yz, xz, xy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for p in range(n):
        x += gx[p]
        y += gy[p]
        z += gz[p]
        xx += gx[p] * dx[p]
        yy += gy[p] * dy[p]
        zz += gz[p] * dz[p]
        yz += gy[p] * dz[p]
        xz += gx[p] * dz[p]
        xy += gx[p] * dy[p]
    for p in range(n):
        j = atoms[p]
        forces[j, 0] -= gx[p]
        forces[j, 1] -= gy[p]
        forces[j, 2] -= gz[p]
    forces[i, 0] += x
    forces[i, 1] += y
    forces[i, 2] += z
    virial[0, 0] += xx
    virial[1, 1] += yy
    virial[2, 2] += zz
    virial[1, 2] += yz
    virial[0, 2] += xz
    virial[0, 1] += xy


@compiled
def evaluate_range(
    span: tuple,
    cells: NDArray,
    positions: NDArray,
    usable: NDArray,
    batch: Batch,
    model: Model,
    lists: NeighborList,
    reference: Reference,
    scratch: Scratch,
    ws: Workspace,
    output: Output,
) -> tuple[int, int]:
    """Evaluate a range of atoms of the batch.

    Parameters
    ----------
    span
        (first atom, end, skin in Å).
    cells, positions
        In Å, shapes (n, 3, 3) and (n_total, 3).
    usable
        Structures to evaluate.
    output
        Results are added to its arrays.

    Returns
    -------
    tuple of int
        Status and, when some array was too small, the size it should have.
    """
    begin, end, skin = span
    capacity = ws.close_near.size - 1
    for s in range(cells.shape[0]):
        first, last = batch.first[s], batch.first[s + 1]
        if last <= begin or first >= end or not usable[s]:
            continue
        low, high = max(begin, first), min(end, last)
        status, size = prepare_structure(
            s,
            (low, high, begin, skin),
            cells[s],
            positions,
            batch,
            model,
            (lists, reference, scratch),
        )
        if status != _DONE:
            return status, size
        virial = output.virials[s]
        for i in range(low, high):
            r = i - begin
            close = close_count(i, r, first, model, lists, scratch, capacity)
            if close > capacity:
                return _CLOSE_TOO_SMALL, close
            row = (lists.starts[r], lists.atom[r], lists.image[r], first)
            point = (scratch.points, i - first, scratch.translations)
            centre.energy_and_pulls(row, point, batch.types[i], model, ws, output.members[i])
            add_forces(i, ws, output.forces, virial)
        virial[1, 0] = virial[0, 1]
        virial[2, 0] = virial[0, 2]
        virial[2, 1] = virial[1, 2]
    return _DONE, 0


class _Slab:
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
        self.workspace = centre.allocate(self.model, near, close, self.dtype)

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
                self.lists,
                self.reference,
                self.scratch,
                self.workspace,
                self.output,
            )

        self.enlarge_until_done(evaluate)

    def enlarge_until_done(self, kernel: Callable[[], tuple[int, int]]) -> None:
        """Run a kernel, enlarging arrays as it asks, until they suffice."""
        status, size = kernel()
        while status != _DONE:
            if status == _LISTS_TOO_SMALL:
                self._resize_lists(int(size * 1.2) + 16)
            elif status == _CLOSE_TOO_SMALL:
                self._resize_workspace(int(size * 1.2) + 8)
            else:
                self.scratch = self.scratch._replace(translations=np.zeros((size, 3)))
            status, size = kernel()


@dataclass
class Evaluator:
    """Evaluate the same structures again and again while they move.

    Neighbour lists, memory and threads are kept between calls. A structure whose numbers are not
    finite, or whose cell has collapsed, gets NaN results and does not disturb the others.

    Parameters
    ----------
    model
        The potential for the kernels.
    types
        Element index of every atom, shape (n_total,).
    counts
        Atoms in each structure, shape (n,).
    threads
        Threads that share the work, over structures or, for large ones, over atoms.
    """

    model: Model
    types: NDArray[np.int64]
    counts: NDArray[np.int64]
    threads: int = 1

    def __post_init__(self) -> None:
        self.types = np.ascontiguousarray(self.types, dtype=np.int64)
        self.counts = np.asarray(self.counts, dtype=np.int64)
        if self.counts.sum() != len(self.types):
            raise ValueError(
                f"Counts add up to {self.counts.sum()} atoms, but {len(self.types)} are given."
            )
        self._batch = _make_batch(self.types, self.counts, len(self.model.pair_block))
        n_total = len(self.types)
        n_slabs = max(1, min(self.threads, n_total))
        bounds = [n_total * k // n_slabs for k in range(n_slabs + 1)]
        dtype = self.model.weights.dtype.type
        self.slabs = [
            _Slab(low, high, self._batch, self.model, dtype) for low, high in pairwise(bounds)
        ]
        self._pool: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in ("model", "types", "counts", "threads")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def compute(
        self, cells: ArrayLike, positions: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Energies, forces, stresses and atomic energies.

        Parameters
        ----------
        cells
            Lattice vectors as rows in Å, shape (n, 3, 3).
        positions
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

    def select(self, keep: ArrayLike) -> Evaluator:
        """Give the evaluator of the structures where ``keep``, Boolean of shape (n,), is true."""
        mask = np.asarray(keep, dtype=bool)
        return Evaluator(
            self.model, self.types[np.repeat(mask, self.counts)], self.counts[mask], self.threads
        )

    def _energies(self, atomic: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.add.reduceat(atomic, self._batch.first[:-1]) if len(atomic) else np.zeros(0)

    def _run(self, cells: ArrayLike, positions: ArrayLike) -> None:
        cells = np.ascontiguousarray(cells, dtype=np.float64)
        positions = np.ascontiguousarray(positions, dtype=np.float64)
        n, n_total = len(self.counts), len(self.types)
        if cells.shape != (n, 3, 3) or positions.shape != (n_total, 3):
            raise ValueError(
                f"Expected cells {(n, 3, 3)} and positions {(n_total, 3)}, "
                f"got {cells.shape} and {positions.shape}."
            )
        volumes = np.abs(np.linalg.det(cells)) if n else np.zeros(0)
        usable = self._usable(cells, positions, volumes)
        self._share(cells, positions, usable)
        outputs = [slab.output for slab in self.slabs]
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
        self, cells: NDArray[np.float64], positions: NDArray[np.float64], volumes: NDArray
    ) -> NDArray[np.bool_]:
        """Which structures can be evaluated at all."""
        usable = np.isfinite(cells).all(axis=(1, 2)) & (volumes > SMALLEST_VOLUME * self.counts)
        finite = np.isfinite(positions).all(axis=1)
        if not finite.all():
            usable &= np.logical_and.reduceat(finite, self._batch.first[:-1])
        if usable.any():
            inverse = np.linalg.inv(np.where(usable[:, None, None], cells, np.eye(3)))
            heights = np.linalg.norm(inverse, axis=1)
            reach = self.model.radial_cutoff + SKIN
            images = np.prod(2 * np.floor(reach * heights) + 3, axis=1)
            usable &= images <= neighbors.LARGEST_IMAGE_COUNT
        return usable

    def _share(self, cells: NDArray, positions: NDArray, usable: NDArray) -> None:
        """Run every slab, the first in this thread."""
        others = self.slabs[1:]
        if others and self._pool is None:
            self._pool = ThreadPoolExecutor(len(others))
        tasks = [
            self._pool.submit(slab.run, cells, positions, usable)
            for slab in others
            if self._pool is not None
        ]
        self.slabs[0].run(cells, positions, usable)
        for task in tasks:
            task.result()


def _make_batch(types: NDArray[np.int64], counts: NDArray[np.int64], n_elements: int) -> Batch:
    """Orders of the atoms by element."""
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    sorted_atoms = np.zeros(len(types), dtype=np.int64)
    starts = np.zeros((len(counts), n_elements + 1), dtype=np.int64)
    for s, (low, high) in enumerate(pairwise(first)):
        own = types[low:high]
        sorted_atoms[low:high] = np.argsort(own, kind="stable")
        starts[s, 1:] = np.cumsum(np.bincount(own, minlength=n_elements))
    return Batch(first, types, sorted_atoms, starts)
