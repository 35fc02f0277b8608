"""
Variation that changes the composition, within a chemical system.

As other operators do, these return a child no two atoms of which are nearer than the limits, and
raise `NoChildError` with the reason where they cannot. Its cell is one that the system allows, and
its volume changes as that of spheres of the covalent radii would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from search.composition_space import CompositionSpace
from search.create.operators import NoChildError, first_apart, joined_slabs
from search.create.random_crystals import typical_volume
from search.geometry import DistanceLimits
from search.symmetry_operations import Symmetry

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

WHOLE_ORBITS = 0.5
"""Part of the transmutations that change all equivalent atoms together."""
PLACES = 30
"""Random places tried for an atom that is added; it takes the one with most room."""


def composition_heredity(
    one: Atoms,
    other: Atoms,
    limits: DistanceLimits,
    rng: np.random.Generator,
    space: CompositionSpace,
) -> Atoms:
    """
    Join slabs of two parents of different contents, see `search.create.operators.heredity`.

    The child has what the slabs happen to hold or, where the system does not allow that, the
    nearest contents that it allows and the parents have atoms for.
    """
    available = space.row_of(np.concatenate([one.numbers, other.numbers]))
    possible = space.cells[(space.cells <= available).all(axis=1)]

    def nearest(numbers: NDArray[np.integer]) -> NDArray[np.integer]:
        apart = np.abs(possible - space.row_of(numbers)).sum(axis=1)
        row = possible[int(rng.choice(np.flatnonzero(apart == apart.min())))]
        return np.repeat(space.atomic_numbers, row)

    if not len(possible):
        raise NoChildError("parents have atoms for no cell of the system")
    return first_apart(
        lambda: joined_slabs(one, other, rng, nearest), limits, "joined slabs are too near"
    )


def transmutation(
    parent: Atoms, limits: DistanceLimits, rng: np.random.Generator, space: CompositionSpace
) -> Atoms:
    """
    Turn atoms into atoms of other elements, as few as one or all equivalent ones together.

    Parameters
    ----------
    parent : ase.Atoms
        A relaxed structure.
    limits : DistanceLimits
        Shortest distances allowed.
    rng : numpy.random.Generator
        Source of chance.
    space : CompositionSpace
        Compositions allowed.
    """

    def transmuted() -> Atoms | None:
        whole = rng.random() < WHOLE_ORBITS
        numbers = (_with_other_orbit if whole else _with_other_atoms)(parent, rng, space)
        return None if numbers is None else _of_numbers(parent, numbers)

    return first_apart(transmuted, limits, "no atoms can be turned into others")


def superlattice(
    parent: Atoms, limits: DistanceLimits, rng: np.random.Generator, space: CompositionSpace
) -> Atoms:
    """
    Distribute elements anew over the sites of a parent, in a cell of one or several of its own.

    Ordered alloys are such structures: sites of a simple lattice, in a larger cell. Without
    another distribution a larger cell would be the same crystal.
    """
    most = space.atoms_max // len(parent)

    def distributed() -> Atoms | None:
        larger = _supercell(parent, int(rng.integers(1, most + 1)), rng) if most > 1 else parent
        rows = space.cells[space.sizes == len(larger)]
        if not len(rows):
            return None
        row = rows[int(rng.integers(len(rows)))]
        return _of_numbers(larger, rng.permutation(np.repeat(space.atomic_numbers, row)))

    return first_apart(distributed, limits, "elements find no room on the sites")


def addition(
    parent: Atoms, limits: DistanceLimits, rng: np.random.Generator, space: CompositionSpace
) -> Atoms:
    """Add a block of the system, atom after atom where there is most room."""
    block = _chosen_block(parent, rng, space, 1)

    def larger() -> Atoms:
        child = parent.copy()
        for symbol, n in block.items():
            for _ in range(n):
                child.append(symbol)
                child.positions[-1] = _roomiest_place(child, limits, rng)
        return _scaled(child, parent)

    return first_apart(larger, limits, "atoms that are added find no room")


def removal(
    parent: Atoms, limits: DistanceLimits, rng: np.random.Generator, space: CompositionSpace
) -> Atoms:
    """Take out random atoms of a block of the system."""
    block = _chosen_block(parent, rng, space, -1)

    def smaller() -> Atoms:
        gone: list[int] = []
        for symbol, n in block.items():
            own = np.flatnonzero(np.array(parent.get_chemical_symbols()) == symbol)
            gone += rng.choice(own, n, replace=False).tolist()
        child = parent.copy()
        del child[gone]
        return _scaled(child, parent)

    return first_apart(smaller, limits, "atoms that are left are too near")


def _of_numbers(parent: Atoms, numbers: NDArray[np.integer]) -> Atoms:
    """Return a crystal with other elements on its sites, and the volume that they need."""
    child = parent.copy()
    child.numbers[:] = numbers
    return _scaled(child, parent)


def _scaled(child: Atoms, parent: Atoms) -> Atoms:
    """Strain a child whose cell is the parent's, or several of it, for its own atoms."""
    size, before = (typical_volume(Counter(atoms.symbols)) for atoms in (child, parent))
    cells = child.get_volume() / parent.get_volume()
    child.set_cell(child.cell * (size / (cells * before)) ** (1 / 3), scale_atoms=True)
    return child


def _with_other_orbit(
    parent: Atoms, rng: np.random.Generator, space: CompositionSpace
) -> NDArray[np.integer] | None:
    """Atomic numbers (n,) after all atoms of an orbit have changed their element, if allowed."""
    orbits = Symmetry.of(parent).orbits()
    orbit = orbits[int(rng.integers(len(orbits)))]
    elements = space.atomic_numbers
    others = elements[elements != parent.numbers[orbit[0]]]
    numbers = parent.numbers.copy()
    numbers[orbit] = int(rng.choice(others))
    return numbers if space.has_row(space.row_of(numbers)) else None


def _with_other_atoms(
    parent: Atoms, rng: np.random.Generator, space: CompositionSpace
) -> NDArray[np.integer] | None:
    """Atomic numbers (n,) after random atoms have changed their element, if that can be."""
    own = space.row_of(parent.numbers)
    rows = space.cells[space.sizes == len(parent)]
    changes = np.abs(rows - own).sum(axis=1) // 2
    possible = np.unique(changes[changes > 0])
    if not len(possible):
        return None
    # few changes are likelier: what is near in composition is near in structure
    wanted = possible[min(int(rng.geometric(0.5)), len(possible)) - 1]
    row = rows[int(rng.choice(np.flatnonzero(changes == wanted)))]
    numbers = parent.numbers.copy()
    change, elements = row - own, space.atomic_numbers
    free = [
        rng.choice(np.flatnonzero(parent.numbers == element), -n, replace=False)
        for element, n in zip(elements, change, strict=True)
        if n < 0
    ]
    numbers[np.concatenate(free)] = rng.permutation(np.repeat(elements, np.maximum(change, 0)))
    return numbers


def _supercell(parent: Atoms, times: int, rng: np.random.Generator) -> Atoms:
    """Return a random cell of several of the parent's."""
    from ase.build import make_supercell

    ways = [
        (a, b, times // (a * b))
        for a in range(1, times + 1)
        for b in range(1, times // a + 1)
        if times % (a * b) == 0
    ]
    a, b, c = ways[int(rng.integers(len(ways)))]
    matrix = [
        [a, 0, 0],
        [int(rng.integers(b)), b, 0],
        [int(rng.integers(c)), int(rng.integers(c)), c],
    ]
    return make_supercell(parent, matrix)


def _chosen_block(
    parent: Atoms, rng: np.random.Generator, space: CompositionSpace, sign: int
) -> Mapping[str, int]:
    """Draw a block that can be added (`sign` 1) or taken out (-1)."""
    own = space.row_of(parent.numbers)
    possible = [
        block
        for block, row in zip(space.block_counts, space.matrix, strict=True)
        if space.has_row(own + sign * row)
    ]
    if not possible:
        raise NoChildError("no block can be added" if sign > 0 else "no block can be taken out")
    return possible[int(rng.integers(len(possible)))]


def _roomiest_place(
    atoms: Atoms, limits: DistanceLimits, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Place (3,) in Å of the last atom with most room, as part of the shortest distances."""
    from ase.geometry import get_distances

    places = rng.random((PLACES, 3)) @ atoms.cell.array
    kinds = limits.kinds(atoms.numbers)
    apart = get_distances(places, atoms.positions[:-1], cell=atoms.cell, pbc=True)[1]
    room = (apart / limits.matrix[kinds[-1], kinds[:-1]]).min(axis=1)
    return np.asarray(places[int(np.argmax(room))])
