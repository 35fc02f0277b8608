"""
All superstructures of a lattice: every way to put elements on its sites, in cells of a few atoms.

After G. L. W. Hart and R. W. Forcade, Phys. Rev. B 77, 224115 (2008) and 80, 014120 (2009): cells
are the Hermite normal forms that no rotation of the lattice takes to one before, and of labellings
that translations and rotations take to one another the first stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import spglib

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray


def superstructures(parent: Atoms, elements: Sequence[str], largest: int) -> Iterator[Atoms]:
    """
    Yield all superstructures of a lattice with up to `largest` atoms, each once.

    Parameters
    ----------
    parent : ase.Atoms
        Primitive cell of the lattice; its elements do not matter.
    elements : sequence of str
        That may be on each site.
    largest : int
        Atoms of the cell at the most.
    """
    for size in range(1, largest // len(parent) + 1):
        for cell in _cells(parent, size):
            symmetry = _symmetry(parent, cell)
            for labels in _labellings(symmetry, len(elements)):
                yield _structure(parent, cell, symmetry.sites, [elements[i] for i in labels])


def _operations(parent: Atoms) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rotations (m, 3, 3) and translations (m, 3) on fractional columns, of the empty lattice."""
    points = parent.get_scaled_positions()
    found = spglib.get_symmetry((parent.cell.array, points, np.ones(len(parent))), symprec=1e-5)
    return np.asarray(found["rotations"], dtype=np.int64), np.asarray(found["translations"])


def _cells(parent: Atoms, size: int) -> list[NDArray[np.int64]]:
    """Cells (3, 3) of `size` primitive ones, as rows in units of the lattice, without equals."""
    rotations = _operations(parent)[0]
    kept: list[NDArray[np.int64]] = []
    seen: set[bytes] = set()
    for a, b in product(range(1, size + 1), repeat=2):
        if size % (a * b):
            continue
        c = size // (a * b)
        for d, e, f in product(range(a), range(a), range(b)):
            cell = np.array([[a, 0, 0], [d, b, 0], [e, f, c]], dtype=np.int64)
            if _normal_form(cell).tobytes() in seen:
                continue
            kept.append(cell)
            seen.update(_normal_form(cell @ rotation.T).tobytes() for rotation in rotations)
    return kept


def _normal_form(cell: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hermite normal form (3, 3), lower triangular, of the rows of a cell."""
    rows = cell.copy()
    for column in (2, 1, 0):
        # Euclid on the rows that are left, until one of them alone has an entry here
        while np.count_nonzero(rows[: column + 1, column]) > 1:
            entries = np.abs(rows[: column + 1, column])
            least = int(np.argmin(np.where(entries > 0, entries, np.iinfo(np.int64).max)))
            for i in range(column + 1):
                if i != least:
                    rows[i] -= rows[i, column] // rows[least, column] * rows[least]
        pivot = int(np.flatnonzero(rows[: column + 1, column])[0])
        rows[[pivot, column]] = rows[[column, pivot]]
        rows[column] *= np.sign(rows[column, column])
        for i in range(column + 1, 3):
            rows[i] -= rows[i, column] // rows[column, column] * rows[column]
    return rows


class _Symmetry(NamedTuple):
    """Sites (n, 3) of a cell in units of the lattice, and how they are permuted."""

    sites: NDArray[np.float64]
    all_of_it: NDArray[np.int64]
    shifts: NDArray[np.int64]


def _symmetry(parent: Atoms, cell: NDArray[np.int64]) -> _Symmetry:
    """Sites of a cell, permutations (m, n) by what keeps the cell, and by shifts of the lattice."""
    form, inverse = _normal_form(cell), np.linalg.inv(cell)
    vectors = np.array(list(product(*(range(n) for n in np.diag(form)))), dtype=float)
    sites = (parent.get_scaled_positions()[:, None] + vectors[None]).reshape(-1, 3)

    def permutation(moved: NDArray[np.float64]) -> tuple[int, ...]:
        apart = (moved[:, None] - sites[None]) @ inverse
        same = np.abs(apart - np.round(apart)).max(axis=2) < 1e-4
        return tuple(int(i) for i in same.argmax(axis=1))

    kept = [
        (rotation, translation)
        for rotation, translation in zip(*_operations(parent), strict=True)
        if np.array_equal(_normal_form(cell @ rotation.T), form)
    ]
    all_of_it = {permutation(sites @ r.T + t + vector) for r, t in kept for vector in vectors}
    shifts = {permutation(sites + vector) for vector in vectors} - {tuple(range(len(sites)))}
    rows = [np.array(sorted(some), dtype=np.int64).reshape(-1, len(sites))
            for some in (all_of_it, shifts)]  # fmt: skip
    return _Symmetry(sites, *rows)


def _labellings(symmetry: _Symmetry, kinds: int) -> NDArray[np.int64]:
    """Labels (n, sites) that no permutation takes to ones before, and no shift to themselves."""
    n_sites = len(symmetry.sites)
    labels = np.array(list(product(range(kinds), repeat=n_sites)), dtype=np.int64)
    weights = kinds ** np.arange(n_sites - 1, -1, -1, dtype=np.int64)
    numbers = labels @ weights
    kept = np.ones(len(labels), dtype=bool)
    for permutation in symmetry.all_of_it:
        kept &= labels[:, permutation] @ weights >= numbers
    for shift in symmetry.shifts:
        kept &= (labels[:, shift] != labels).any(axis=1)
    return labels[kept]


def _structure(
    parent: Atoms, cell: NDArray[np.int64], sites: NDArray[np.float64], symbols: Sequence[str]
) -> Atoms:
    from ase import Atoms

    lattice = parent.cell.array
    return Atoms(symbols, sites @ lattice, cell=cell @ lattice, pbc=True)
