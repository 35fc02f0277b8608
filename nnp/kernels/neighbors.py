"""
Neighbour lists of periodic cells of any size and shape, with a skin.

A list is kept for each atom, sorted by the neighbours' element, and stays valid until atoms or
cell have moved too far; building one costs about as much as an evaluation, so a relaxation that
rebuilds every tenth step or less hardly notices it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnp.kernels.compilation import compiled, internal

#: Cells thinner than this many cutoffs' worth of images are refused as collapsed.
LARGEST_IMAGE_COUNT = 100_000


class NeighborList(NamedTuple):
    """
    Neighbours of a range of atoms within the cutoff plus the skin.

    Attributes
    ----------
    starts : ndarray
        Where each element's neighbours start in an atom's row, shape (n, n_elements + 1).
    atom, image : ndarray
        Neighbour and its lattice translation, shape (n, capacity).
    offsets : ndarray
        Lattice translation that wraps each atom of the batch, shape (n_total, 3).
    """

    starts: NDArray[np.int32]
    atom: NDArray[np.int32]
    image: NDArray[np.int32]
    offsets: NDArray[np.float64]


def allocate(n_atoms: int, n_elements: int, capacity: int, n_total: int) -> NeighborList:
    """Empty list for ``n_atoms`` atoms of a batch of ``n_total``."""
    return NeighborList(
        starts=np.zeros((n_atoms, n_elements + 1), dtype=np.int32),
        atom=np.zeros((n_atoms, capacity), dtype=np.int32),
        image=np.zeros((n_atoms, capacity), dtype=np.int32),
        offsets=np.zeros((n_total, 3)),
    )


@internal
def invert(cell: NDArray, inverse: NDArray) -> float:
    """Inverse of a 3x3 matrix (rows: lattice vectors); returns the determinant."""
    a, b, c = cell[0, 0], cell[0, 1], cell[0, 2]
    d, e, f = cell[1, 0], cell[1, 1], cell[1, 2]
    g, h, k = cell[2, 0], cell[2, 1], cell[2, 2]
    volume = a * (e * k - f * h) - b * (d * k - f * g) + c * (d * h - e * g)
    if volume != 0.0:
        scale = 1.0 / volume
        inverse[0, 0] = (e * k - f * h) * scale
        inverse[0, 1] = (c * h - b * k) * scale
        inverse[0, 2] = (b * f - c * e) * scale
        inverse[1, 0] = (f * g - d * k) * scale
        inverse[1, 1] = (a * k - c * g) * scale
        inverse[1, 2] = (c * d - a * f) * scale
        inverse[2, 0] = (d * h - e * g) * scale
        inverse[2, 1] = (b * g - a * h) * scale
        inverse[2, 2] = (a * e - b * d) * scale
    return volume


@internal
def image_range(inverse: NDArray, reach: float, out: NDArray) -> int:
    """Find translations -out..out that bring a wrapped atom within reach; returns how many."""
    total = 1
    for c in range(3):
        out[c] = int(np.floor(reach * column_length(inverse, c))) + 1
        total *= 2 * out[c] + 1
    return total


@compiled
def inspect_cells(cells: NDArray, reach: float, volumes: NDArray, images: NDArray) -> None:
    """Volumes in Å³ and numbers of images within reach of several cells."""
    inverse = np.zeros((3, 3))
    for s in range(cells.shape[0]):
        volumes[s] = abs(invert(cells[s], inverse))
        images[s] = 1.0
        if volumes[s] > 0.0:
            for c in range(3):
                images[s] *= 2.0 * np.floor(reach * column_length(inverse, c)) + 3.0


@internal
def column_length(matrix: NDArray, c: int) -> float:
    """Length of a column of the inverse cell: 1 / distance between lattice planes, in Å⁻¹."""
    return np.sqrt(matrix[0, c] ** 2 + matrix[1, c] ** 2 + matrix[2, c] ** 2)


@internal
def fill_translations(cell: NDArray, limits: NDArray, out: NDArray) -> None:
    """Cartesian translation of every image in Å, last index fastest."""
    n = 0
    for p in range(-limits[0], limits[0] + 1):
        for q in range(-limits[1], limits[1] + 1):
            for r in range(-limits[2], limits[2] + 1):
                for c in range(3):
                    out[n, c] = p * cell[0, c] + q * cell[1, c] + r * cell[2, c]
                n += 1


@internal
def is_stale(
    cell: NDArray,
    positions: NDArray,
    inverse_reference: NDArray,
    reference: NDArray,
    cutoff: float,
    skin: float,
) -> bool:
    """
    Whether a pair outside the list may have come within the cutoff.

    Homogeneous deformation is separated from the atoms' own displacements: a pair that was
    ``cutoff + skin`` apart is still at least (smallest stretch) (cutoff + skin) - 2 (largest
    displacement) apart.
    """
    deformation = np.zeros((3, 3))
    for r in range(3):
        for c in range(3):
            for k in range(3):
                deformation[r, c] += inverse_reference[r, k] * cell[k, c]
    norm = 0.0
    for r in range(3):
        for c in range(3):
            x = 0.0
            for k in range(3):
                x += deformation[r, k] * deformation[c, k]
            if r == c:
                x -= 1.0
            norm += x * x
    stretch2 = 1.0 - np.sqrt(norm)
    if not stretch2 > 0.0:
        return True
    largest = 0.0
    for i in range(positions.shape[0]):
        d2 = 0.0
        for c in range(3):
            x = positions[i, c]
            for k in range(3):
                x -= reference[i, k] * deformation[k, c]
            d2 += x * x
        largest = max(largest, d2)
    return np.sqrt(stretch2) * (cutoff + skin) - 2.0 * np.sqrt(largest) <= cutoff


@internal
def squared_distances(
    x: NDArray, y: NDArray, z: NDArray, centre: tuple, out: NDArray, n: int
) -> None:
    """Squared distances of n points to one."""
    cx, cy, cz = centre
    for i in range(n):
        dx = x[i] - cx
        dy = y[i] - cy
        dz = z[i] - cz
        out[i] = dx * dx + dy * dy + dz * dz


@internal
def wrap(positions: NDArray, inverse: NDArray, offsets: NDArray) -> None:
    """Integer translations that bring each position into the cell when subtracted."""
    for i in range(positions.shape[0]):
        for c in range(3):
            f = (
                positions[i, 0] * inverse[0, c]
                + positions[i, 1] * inverse[1, c]
                + positions[i, 2] * inverse[2, c]
            )
            offsets[i, c] = np.floor(f)


@internal
def wrapped(positions: NDArray, cell: NDArray, offsets: NDArray, out: NDArray) -> None:
    """Positions minus their lattice offsets, in Å."""
    for i in range(positions.shape[0]):
        for c in range(3):
            out[i, c] = positions[i, c] - (
                offsets[i, 0] * cell[0, c] + offsets[i, 1] * cell[1, c] + offsets[i, 2] * cell[2, c]
            )


@internal
def copy_rows(source: NDArray, target: NDArray) -> None:
    """Copy three columns (an array assignment would take seconds to compile)."""
    for i in range(source.shape[0]):
        for c in range(3):
            target[i, c] = source[i, c]


@internal
def image_span(
    point: NDArray, inverse: NDArray, limits: NDArray, reach: float, out: NDArray
) -> None:
    """
    First and last translation in each direction that may bring an atom within reach of a point.

    Parameters
    ----------
    point : ndarray
        Wrapped position in Å.
    out : ndarray
        Written: shape (2, 3).
    """
    for c in range(3):
        f = point[0] * inverse[0, c] + point[1] * inverse[1, c] + point[2] * inverse[2, c]
        span = reach * column_length(inverse, c)
        out[0, c] = max(int(np.ceil(f - span - 1.0 - 1e-9)), -limits[c])
        out[1, c] = min(int(np.floor(f + span + 1e-9)), limits[c])


@internal
def append_close(
    d2: NDArray, reach2: float, atoms: NDArray, own: int, row: tuple, count: int
) -> int:
    """
    Append the atoms of one image that are close enough; returns the new count.

    Parameters
    ----------
    d2 : ndarray
        Squared distances in Å².
    atoms : ndarray
        Atoms these belong to, numbered within the structure.
    own : int
        An atom to leave out, or -1.
    row : tuple
        (atoms, images, first atom of the structure, image); what does not fit is counted only.
    """
    atom, image, first, t = row
    for k in range(atoms.size):
        if d2[k] < reach2:
            j = atoms[k]
            if j == own:
                continue
            if count < atom.size:
                atom[count] = first + j
                image[count] = t
            count += 1
    return count


@internal
def append_element(
    i: int, points: NDArray, atoms: NDArray, columns: tuple, geometry: tuple, row: tuple, count: int
) -> int:
    """
    Append the neighbours of atom ``i`` of one element; returns the new count.

    Parameters
    ----------
    points : ndarray
        Wrapped positions in Å, shape (n, 3).
    atoms : ndarray
        Atoms of the element.
    columns : tuple
        Their x, y, z and space for squared distances.
    geometry : tuple
        (span of :func:`image_span`, translations, limits, reach in Å).
    row : tuple
        (atoms, images, first atom of the structure).
    """
    span, translations, limits, reach = geometry
    x, y, z, d2 = columns
    atom, image, first = row
    n1, n2 = 2 * limits[1] + 1, 2 * limits[2] + 1
    for p in range(span[0, 0], span[1, 0] + 1):
        for q in range(span[0, 1], span[1, 1] + 1):
            for r in range(span[0, 2], span[1, 2] + 1):
                t = ((p + limits[0]) * n1 + q + limits[1]) * n2 + r + limits[2]
                centre = (
                    points[i, 0] - translations[t, 0],
                    points[i, 1] - translations[t, 1],
                    points[i, 2] - translations[t, 2],
                )
                squared_distances(x, y, z, centre, d2, atoms.size)
                own = i if p == 0 and q == 0 and r == 0 else -1
                count = append_close(d2, reach * reach, atoms, own, (atom, image, first, t), count)
    return count


@internal
def build_rows(
    first: int,
    rows: tuple,
    sorted_atoms: NDArray,
    element_starts: NDArray,
    weights: NDArray,
    points: NDArray,
    geometry: tuple,
    lists: tuple,
    work: NDArray,
) -> int:
    """
    Fill the rows of some atoms of one structure.

    Parameters
    ----------
    first : int
        Index of the structure's first atom in the batch.
    rows : tuple
        (begin, end, row of begin): atoms of the structure and where their lists go.
    sorted_atoms : ndarray
        Atoms of the structure ordered by element.
    element_starts : ndarray
        Where each element starts in ``sorted_atoms``.
    weights : ndarray
        Rows of atoms of weight zero are left empty.
    points : ndarray
        Wrapped positions in Å, shape (n, 3), in the structure's order.
    geometry : tuple
        (inverse cell, translations, limits, reach in Å).
    lists : tuple
        ``starts``, ``atom``, ``image`` of :class:`NeighborList`.
    work : ndarray
        Four rows of scratch, shape (4, n).

    Returns
    -------
    int
        Capacity needed: larger than the rows when the list did not fit.
    """
    begin, end, row = rows
    inverse, translations, limits, reach = geometry
    starts, atom, image = lists
    capacity = atom.shape[1]
    for k in range(sorted_atoms.size):
        for c in range(3):
            work[c, k] = points[sorted_atoms[k], c]
    span = np.zeros((2, 3), np.int64)
    needed = 0
    for i in range(begin, end):
        if weights[i] == 0.0:
            starts[row, :] = 0
            row += 1
            continue
        image_span(points[i], inverse, limits, reach, span)
        count = 0
        for e in range(element_starts.size - 1):
            starts[row, e] = min(count, capacity)
            low, high = element_starts[e], element_starts[e + 1]
            columns = (work[0][low:], work[1][low:], work[2][low:], work[3])
            count = append_element(
                i,
                points,
                sorted_atoms[low:high],
                columns,
                (span, translations, limits, reach),
                (atom[row], image[row], first),
                count,
            )
        starts[row, element_starts.size - 1] = min(count, capacity)
        needed = max(needed, count)
        row += 1
    return needed
