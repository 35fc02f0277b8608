"""Kernels over a range of atoms of a batch: neighbour lists, then one centre after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnp.kernels import atom, neighbors
from nnp.kernels.compilation import compiled, internal
from nnp.kernels.neighbors import NeighborList
from nnp.kernels.workspace import Model

# What a pass over a range of atoms reports.
DONE, LISTS_TOO_SMALL, CLOSE_TOO_SMALL, IMAGES_TOO_SMALL = range(4)


class Batch(NamedTuple):
    """
    What does not change during the life of an evaluator.

    Attributes
    ----------
    first : ndarray of int
        First atom of each structure and the total, shape (n + 1,).
    types : ndarray of int
        Element index of every atom.
    sorted_atoms : ndarray of int
        Atoms of each structure (numbered from its first) ordered by element.
    element_starts : ndarray of int
        Where each element starts among them, shape (n, n_elements + 1).
    weights : ndarray
        How often the energy of each atom counts; atoms of weight zero are not evaluated.
    """

    first: NDArray[np.int64]
    types: NDArray[np.int64]
    sorted_atoms: NDArray[np.int64]
    element_starts: NDArray[np.int64]
    weights: NDArray[np.float64]


class Reference(NamedTuple):
    """
    State of each structure when its neighbours were last listed.

    Attributes
    ----------
    valid : ndarray of bool
        Whether there are lists, shape (n,).
    positions : ndarray
        In Å, shape (n_total, 3).
    inverse_cells : ndarray
        In Å⁻¹, shape (n, 3, 3).
    limits : ndarray of int
        Lattice translations -limit..limit that bring a wrapped atom within reach, shape (n, 3).
    """

    valid: NDArray[np.bool_]
    positions: NDArray[np.float64]
    inverse_cells: NDArray[np.float64]
    limits: NDArray[np.int64]


class Scratch(NamedTuple):
    """
    Memory of one thread for one structure at a time.

    Attributes
    ----------
    points : ndarray
        Wrapped positions in Å, shape (n_largest, 3).
    columns : ndarray
        Coordinates of the atoms ordered by element, and squared distances, shape (4, n_largest).
    translations : ndarray
        Lattice translations in Å, shape (n_images, 3).
    """

    points: NDArray[np.float64]
    columns: NDArray[np.float64]
    translations: NDArray[np.float64]


class Output(NamedTuple):
    """
    Results of one thread, for the whole batch.

    Attributes
    ----------
    members : ndarray
        Atomic energies in eV by each network, shape (n_total, n_members).
    forces : ndarray
        In eV/Å, shape (n_total, 3).
    virials : ndarray
        In eV, shape (n, 3, 3).
    """

    members: NDArray[np.float64]
    forces: NDArray[np.float64]
    virials: NDArray[np.float64]


@internal
def list_structure(
    s: int, span: tuple, cell: NDArray, positions: NDArray, batch: Batch, state: tuple
) -> tuple[int, int]:
    """
    List the neighbours of some atoms of structure ``s``.

    Parameters
    ----------
    span : tuple
        (begin, end, row of begin, cutoff, skin); distances in Å.
    state : tuple
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
        return IMAGES_TOO_SMALL, images
    offsets = lists.offsets[first : first + positions.shape[0]]
    neighbors.wrap(positions, inverse, offsets)
    neighbors.wrapped(positions, cell, offsets, scratch.points)
    neighbors.fill_translations(cell, limits, scratch.translations)
    needed = neighbors.build_rows(
        first,
        (begin, end, row),
        batch.sorted_atoms[first : first + positions.shape[0]],
        batch.element_starts[s],
        batch.weights[first : first + positions.shape[0]],
        scratch.points,
        (inverse, scratch.translations, limits, cutoff + skin),
        (lists.starts, lists.atom, lists.image),
        scratch.columns,
    )
    if needed > lists.atom.shape[1]:
        return LISTS_TOO_SMALL, needed
    neighbors.copy_rows(positions, reference.positions[first:])
    reference.valid[s] = True
    return DONE, 0


@internal
def prepare_structure(
    s: int,
    span: tuple,
    cell: NDArray,
    positions: NDArray,
    batch: Batch,
    model: Model,
    state: tuple,
) -> tuple[int, int]:
    """
    Make lists, wrapped points and translations of structure ``s`` ready.

    Parameters
    ----------
    span : tuple
        (first atom wanted, end, first atom of the range the lists are for, skin in Å).
    state : tuple
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
        return DONE, 0
    reference.valid[s] = False
    rows = (low - first, high - first, low - begin, model.radial_cutoff, skin)
    return list_structure(s, rows, cell, local, batch, state)


@internal
def close_count(
    i: int, r: int, first: int, model: Model, lists: NeighborList, scratch: Scratch, capacity: int
) -> int:
    """Neighbours of atom ``i`` within the angular cutoff, counted only if they may not fit."""
    n = lists.starts[r, lists.starts.shape[1] - 1]
    if n <= capacity:
        return n
    point = (first, i - first, scratch.points, scratch.translations)
    # a little beyond the cutoff: the last bit of a distance may come out otherwise than in use
    reach2 = model.angular_cutoff**2 * (1.0 + 1e-9)
    return atom.count_close(n, lists.atom[r], lists.image[r], point, reach2)


@compiled
def evaluate_range(
    span: tuple,
    cells: NDArray,
    positions: NDArray,
    usable: NDArray,
    batch: Batch,
    model: Model,
    state: tuple,
    spaces: tuple,
    output: Output,
) -> tuple[int, int]:
    """
    Evaluate a range of atoms of the batch.

    Parameters
    ----------
    span : tuple
        (first atom, end, skin in Å).
    cells, positions : ndarray
        In Å, shapes (n, 3, 3) and (n_total, 3).
    usable : ndarray
        Structures to evaluate.
    state : tuple
        (neighbour list, reference, scratch).
    spaces : tuple of Workspace
        Two of the same size.
    output : Output
        Results are added to its arrays.

    Returns
    -------
    tuple of int
        Status and, when some array was too small, the size it should have.
    """
    begin, end, skin = span
    lists, _, scratch = state
    one, two = spaces
    capacity = one.close_near.size - 1
    spare = np.zeros(output.members.shape[1])
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
            state,
        )
        if status != DONE:
            return status, size
        virial = output.virials[s]
        # two atoms of an element at a time, as they come; one may be left
        for ty in range(batch.element_starts.shape[1] - 1):
            waiting = -1
            for q in range(batch.element_starts[s, ty], batch.element_starts[s, ty + 1]):
                i = first + batch.sorted_atoms[first + q]
                if i < low or i >= high or batch.weights[i] == 0.0:
                    continue
                r = i - begin
                close = close_count(i, r, first, model, lists, scratch, capacity)
                if close > capacity:
                    return CLOSE_TOO_SMALL, close
                row = (lists.starts[r], lists.atom[r], lists.image[r], first)
                point = (scratch.points, i - first, scratch.translations)
                if waiting < 0:
                    output.members[i] = atom.prepare(row, point, ty, model, one)
                    waiting = i
                    continue
                output.members[i] = atom.prepare(row, point, ty, model, two)
                members = (output.members[waiting], output.members[i])
                atom.apply_networks(ty, model, one, two, members)
                atom.add_derivatives(
                    waiting, batch.weights[waiting], model, one, output.forces, virial
                )
                atom.add_derivatives(i, batch.weights[i], model, two, output.forces, virial)
                waiting = -1
            if waiting >= 0:
                members = (output.members[waiting], spare)
                atom.apply_networks(ty, model, one, two, members)
                atom.add_derivatives(
                    waiting, batch.weights[waiting], model, one, output.forces, virial
                )
        virial[1, 0] = virial[0, 1]
        virial[2, 0] = virial[0, 2]
        virial[2, 1] = virial[1, 2]
    return DONE, 0
