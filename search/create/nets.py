"""
Structures from nets: symmetric skeletons of equal vertices, then coloured with elements.

Many crystals are ordered decorations of a simple net (close packings, body-centred and diamond
nets, their stackings), with a symmetry below that of the net. No library of nets is looked up: a
net is made by putting few vertices on Wyckoff positions of a space group of high order, far from
each other, and repeating that cell until it has as many vertices as there are atoms. Simple nets
come out often because they are the few ways to do this. Elements then fill whole orbits of a
subgroup of the net's symmetry, so that the decorated net is symmetric too. Nothing of this depends
on the composition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from search.cells import reduced
from search.create.random_crystals import GenerationError, RandomSymmetric
from search.create.wyckoff import ORDERS
from search.geometry import DistanceLimits
from search.symmetry_operations import Symmetry

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

LARGEST_SKELETON = 12
"""Vertices of a skeleton before it is repeated."""
SPACING = 0.82
"""Shortest distance of vertices, in units of the cube root of the volume per vertex.

Diamond has 0.87, primitive cubic 1, face-centred cubic 1.12.
"""
SKELETON_GROUPS = tuple(int(n) + 1 for n in np.flatnonzero(ORDERS >= 8))
VERTEX = "H"
"""Element that stands for a vertex."""
TRIES = 20


def net_structure(
    counts: Mapping[str, int], volume: float, limits: DistanceLimits, rng: np.random.Generator
) -> Atoms:
    """
    A decorated net of `counts` atoms of each element in a cell of `volume` (Å³).

    Raises `GenerationError` if no decoration keeps the distances.
    """
    total = sum(counts.values())
    sizes = [n for n in range(1, min(LARGEST_SKELETON, total) + 1) if total % n == 0]
    for _ in range(TRIES):
        size = int(rng.choice(sizes))
        per_vertex = volume / total
        spacing = DistanceLimits({f"{VERTEX}-{VERTEX}": SPACING * per_vertex ** (1 / 3)})
        generator = RandomSymmetric(spacing, SKELETON_GROUPS, max_attempts=50)
        try:
            skeleton = generator.generate({VERTEX: size}, per_vertex * size, rng)
        except GenerationError:
            continue
        net = repeated(skeleton, total // size, rng)
        numbers = _colours(net, counts, rng)
        if numbers is None:
            continue
        net.numbers[:] = numbers
        if limits.push_apart(net):
            order = np.argsort(net.numbers, kind="stable")
            return reduced(net[order])
    raise GenerationError("no net keeps the distances")


def repeated(skeleton: Atoms, times: int, rng: np.random.Generator) -> Atoms:
    """A supercell of `times` skeletons: the most compact of a few random ones."""
    from ase.build import make_supercell

    best, shortest = None, -1.0
    for _ in range(4):
        supercell = reduced(make_supercell(skeleton, _random_hermite(times, rng)))
        length = float(np.linalg.norm(np.array(supercell.cell), axis=1).min())
        if length > shortest:
            best, shortest = supercell, length
    assert best is not None
    return best


def _random_hermite(determinant: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random lower triangular integer matrix (3, 3): a superlattice of that many cells."""
    first = int(rng.choice([n for n in range(1, determinant + 1) if determinant % n == 0]))
    rest = determinant // first
    second = int(rng.choice([n for n in range(1, rest + 1) if rest % n == 0]))
    diagonal = [int(x) for x in rng.permutation([first, second, rest // second])]
    matrix = np.diag(diagonal)
    matrix[1, 0] = rng.integers(diagonal[1])
    matrix[2, 0] = rng.integers(diagonal[2])
    matrix[2, 1] = rng.integers(diagonal[2])
    return matrix


def _colours(
    net: Atoms, counts: Mapping[str, int], rng: np.random.Generator
) -> NDArray[np.int64] | None:
    """
    Atomic numbers (n,) for the vertices: whole orbits of a subgroup for each element.

    Returns None if the orbits do not add up to the counts.
    """
    from ase.data import atomic_numbers

    symmetry = Symmetry.of(net)
    for _ in range(5):
        orbits = symmetry.subgroup(rng).orbits()
        numbers = np.zeros(len(net), dtype=np.int64)
        left = dict(counts)
        for i in rng.permutation(len(orbits)):
            fitting = [symbol for symbol, n in left.items() if n >= len(orbits[i])]
            if not fitting:
                break
            wanted = np.array([left[symbol] for symbol in fitting], dtype=float)
            symbol = fitting[int(rng.choice(len(fitting), p=wanted / wanted.sum()))]
            numbers[orbits[i]] = atomic_numbers[symbol]
            left[symbol] -= len(orbits[i])
        else:
            return numbers
    return None
