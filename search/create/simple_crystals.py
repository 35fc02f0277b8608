"""
Simple crystals: those that symmetry leaves few free parameters.

What nature prefers is often simple: a small cell in which symmetry fixes nearly all. Such crystals
are few. Every space group is filled with what fits into it, and nets are made, which costs next to
nothing; what they have in common, their space group and the sizes of their orbits, sorts them into
kinds, and of the kinds those with the fewest free parameters come first: the simple, body-centred
and face-centred cubic lattices and the diamond net have only their volume, close packing in
hexagons and graphite's sheets one number more. Nothing of this depends on the elements. Open nets
are among them as well as dense ones, and both begin at bonds of usual lengths, not at a usual
volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from search.create.nets import net_structure
from search.create.random_crystals import GenerationError, RandomSymmetric, typical_volume
from search.create.space_groups import LAST_GROUP, fits
from search.geometry import DistanceLimits, image_shifts
from search.symmetry import TIGHT_TOLERANCE, symmetry_dataset
from search.symmetry_operations import Symmetry

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

BOND = 1.1
"""Shortest bonds of what is made, in units of the sum of covalent radii."""
SHELL = 1.2
"""Neighbours are as far away as the nearest one times this, at the most."""
LARGEST = 4.0
"""Volume, in units of the usual one, beyond which a structure falls apart into pieces."""
ROOM = 2.5
"""Volume, in units of the usual one, in which atoms are placed: open crystals need it."""
REPEATS = 2
"""Crystals made in each space group with the same atoms: sites, shapes and coordinates differ."""
NETS = 8
"""Nets made for each crystal that is wanted."""


class Kind(NamedTuple):
    """
    What crystals of one kind have in common.

    Attributes
    ----------
    parameters : int
        Free ones: of the shape of the cell, and of the positions of the atoms.
    contents : tuple of (str, int)
        Atoms of each element in the cell.
    space_group : int
    orbits : tuple of int
        Sizes of the orbits, rising.
    """

    parameters: int
    contents: tuple[tuple[str, int], ...]
    space_group: int
    orbits: tuple[int, ...]


def free_parameters(symmetry: Symmetry) -> int:
    """
    Count the numbers that symmetry leaves free: of the cell, and of the positions.

    Each is the dimension of what is invariant under the operations, a mean of their characters:
    of symmetric tensors, of the displacement of an atom under the operations that keep it; without
    the displacements of the crystal as a whole.

    Parameters
    ----------
    symmetry : Symmetry
        Of a crystal.
    """
    turns = symmetry.rotations
    characters = np.einsum("gii->g", turns)
    squares = np.einsum("gij,gji->g", turns, turns)
    cell = float(np.mean((characters**2 + squares) / 2))
    sites = [float(np.trace(symmetry.freedom(int(orbit[0])))) for orbit in symmetry.orbits()]
    return round(cell + sum(sites) - float(np.mean(characters)))


def simple_crystals(
    contents: Sequence[Mapping[str, int]], number: int, rng: np.random.Generator
) -> list[Atoms]:
    """
    Make the simplest crystals, one of each kind, with bonds of usual lengths.

    Parameters
    ----------
    contents : sequence of mapping of str to int
        Atoms of each element in a primitive cell; each is tried as often as the other.
    number : int
        How many at the most.
    rng : numpy.random.Generator

    Returns
    -------
    list of ase.Atoms
        Those with the fewest free parameters first, of those the ones in the smallest cells.
        Of crystals of one kind it is the one whose atoms have the most neighbours. ``info`` has
        the number of ``free_parameters``.
    """
    best: dict[Kind, tuple[float, Atoms]] = {}
    for atoms in _attempts(contents, NETS * number, rng):
        if atoms is None or (kind := _kind_of(atoms)) is None:
            continue
        neighbours = _neighbours(atoms)
        if kind not in best or neighbours > best[kind][0]:
            atoms.info["free_parameters"] = kind.parameters
            best[kind] = neighbours, atoms
    order = sorted(best, key=lambda kind: (kind.parameters, sum(n for _, n in kind.contents), kind))
    return [best[kind][1] for kind in order[:number]]


def _attempts(
    contents: Sequence[Mapping[str, int]], n_nets: int, rng: np.random.Generator
) -> Iterator[Atoms | None]:
    """Crystals in all space groups, and nets; none where there is no room."""
    for counts in contents:
        limits = DistanceLimits.from_radii(tuple(counts))
        volume = ROOM * typical_volume(counts)
        for group in filter(partial(fits, counts=counts), range(1, LAST_GROUP + 1)):
            generator = RandomSymmetric(limits, (group,), max_attempts=2)
            for _ in range(REPEATS):
                yield _made(partial(generator.generate, counts, volume, rng), counts)
        for _ in range(n_nets // len(contents)):
            net = partial(net_structure, counts, typical_volume(counts), limits, rng)
            yield _made(net, counts)


def _made(make: Callable[[], Atoms], counts: Mapping[str, int]) -> Atoms | None:
    """A crystal whose shortest bonds are of a usual length; none where there is no room."""
    try:
        atoms = make()
    except GenerationError:
        return None
    atoms.set_cell(atoms.cell[:] * BOND * _tightest(atoms), scale_atoms=True)
    return None if atoms.get_volume() > LARGEST * typical_volume(counts) else atoms


def _kind_of(atoms: Atoms) -> Kind | None:
    """None where the cell is not the primitive one, or the symmetry is not found."""
    found = symmetry_dataset(atoms, TIGHT_TOLERANCE)
    if found is None or len(np.unique(found.mapping_to_primitive)) < len(atoms):
        return None
    symmetry = Symmetry.of(atoms, TIGHT_TOLERANCE)
    symbols, counts = np.unique(atoms.get_chemical_symbols(), return_counts=True)
    contents = tuple((str(symbol), int(n)) for symbol, n in zip(symbols, counts, strict=True))
    orbits = tuple(sorted(len(orbit) for orbit in symmetry.orbits()))
    return Kind(free_parameters(symmetry), contents, int(found.number), orbits)


def _distances(atoms: Atoms) -> NDArray[np.float64]:
    """Distances, in units of the sum of covalent radii, of all pairs that are near."""
    from ase.data import covalent_radii

    radii = covalent_radii[atoms.numbers]
    cell, positions = atoms.cell[:], atoms.get_scaled_positions()
    between = positions[:, None] - positions
    between = (between - np.round(between)) @ cell
    reach = 1.5 * (atoms.get_volume() ** (1 / 3))
    while True:
        apart = np.linalg.norm(between[:, :, None] + image_shifts(cell, reach), axis=-1)
        near = (apart < reach) & (apart > 0.0)
        if near.any():
            return np.asarray((apart / (radii[:, None] + radii)[:, :, None])[near])
        reach *= 1.5


def _tightest(atoms: Atoms) -> float:
    """By what the cell must grow so that the shortest bond is the sum of covalent radii."""
    return 1.0 / float(_distances(atoms).min())


def _neighbours(atoms: Atoms) -> float:
    """Mean number of neighbours of an atom."""
    apart = _distances(atoms)
    return float((apart < SHELL * apart.min()).sum() / len(atoms))
