"""Structures from nothing: random crystals with the symmetry of a random space group."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

from search.cells import reduced
from search.create.wyckoff import SYSTEMS, SiteTables, choose_sites, space_group
from search.geometry import DistanceLimits, fits, image_shifts

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

TRICLINIC, MONOCLINIC, TETRAGONAL, HEXAGONAL, CUBIC = (
    SYSTEMS.index(name) for name in ("triclinic", "monoclinic", "tetragonal", "hexagonal", "cubic")
)


class Tries(NamedTuple):
    """How often `_crystal` tries: choices of sites, lattices for each, points for each site."""

    choices: int
    lattices: int
    points: int


class GenerationError(RuntimeError):
    """No structure could be generated in the time allowed."""


def typical_volume(counts: Mapping[str, int]) -> float:
    """
    Estimate the volume (Å³) of a crystal of `counts` atoms, from covalent radii.

    Spheres of the covalent radii fill about half of a typical inorganic crystal; the search
    corrects the volume as soon as it has relaxed structures.
    """
    from ase.data import atomic_numbers, covalent_radii

    spheres = sum(
        n * 4.0 / 3.0 * np.pi * covalent_radii[atomic_numbers[symbol]] ** 3
        for symbol, n in counts.items()
    )
    return float(spheres / 0.5)


@numba.njit(cache=True)
def random_lattice(system: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """
    Random cell (3, 3) of unit volume, vectors as rows.

    `system` is the index of a crystal system in `search.create.wyckoff.SYSTEMS`, whose metric it
    has.
    """
    while True:
        lengths = np.empty(3)
        for k in range(3):
            lengths[k] = np.exp(min(max(rng.normal(0.0, 0.4), -0.9), 0.9))
        angles = np.full(3, 90.0)
        if TETRAGONAL <= system <= HEXAGONAL:
            lengths[1] = lengths[0]
            if system != TETRAGONAL:
                angles[2] = 120.0
        elif system == CUBIC:
            lengths[:] = 1.0
        elif system == MONOCLINIC:
            angles[1] = rng.uniform(60.0, 120.0)
        elif system == TRICLINIC:
            for k in range(3):
                angles[k] = rng.uniform(60.0, 120.0)
        cell = _cell_of(lengths, np.cos(np.radians(angles)))
        size = cell[0, 0] * cell[1, 1] * cell[2, 2]
        # flat cells have no room; only three free angles make them
        if size >= 0.3 * lengths.prod():
            return cell / size ** (1.0 / 3.0)


@numba.njit(cache=True)
def _cell_of(lengths: NDArray[np.float64], cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cell (3, 3) of these lengths and cosines of angles; of no volume if there is none."""
    cell = np.zeros((3, 3))
    sine = np.sqrt(1.0 - cosines[2] ** 2)
    cell[0, 0] = lengths[0]
    cell[1, 0] = lengths[1] * cosines[2]
    cell[1, 1] = lengths[1] * sine
    x = cosines[1]
    y = (cosines[0] - cosines[1] * cosines[2]) / sine
    cell[2, 0] = lengths[2] * x
    cell[2, 1] = lengths[2] * y
    cell[2, 2] = lengths[2] * np.sqrt(max(1.0 - x * x - y * y, 0.0))
    return cell


@numba.njit(cache=True)
def _place_orbit(
    group: SiteTables,
    first: int,
    point: NDArray[np.float64],
    cell: NDArray[np.float64],
    positions: NDArray[np.float64],
) -> None:
    """
    Write where operations from `first` on take a fractional `point` (3,) to `positions` (n, 3).

    Everything by components: a product of arrays as small as these costs an allocation.
    """
    for k in range(len(positions)):
        rotation, translation = group.rotations[first + k], group.translations[first + k]
        positions[k] = 0.0
        for i in range(3):
            fraction = 0.0  # along the i-th primitive vector
            for j in range(3):
                moved = translation[j]
                for m in range(3):
                    moved += rotation[j, m] * point[m]
                fraction += moved * group.to_primitive[j, i]
            fraction -= np.floor(fraction)
            for j in range(3):
                positions[k, j] += fraction * cell[i, j]


@numba.njit(cache=True)
def _place_orbits(
    group: SiteTables,
    sites: NDArray[np.int64],
    kinds: NDArray[np.int64],
    cell: NDArray[np.float64],
    limits: NDArray[np.float64],
    tries_per_site: int,
    rng: np.random.Generator,
    positions: NDArray[np.float64],
) -> bool:
    """
    Fill `positions` (n, 3) orbit after orbit; whether all found a place.

    Atoms of an orbit are equivalent, so that the first one stands for all of them when distances
    are checked.
    """
    inverse: NDArray[Any] = np.linalg.inv(cell)
    shifts = image_shifts(cell, limits.max())
    point = np.empty(3)
    end = 0
    for site in sites:
        start, end = end, end + group.multiplicities[site]
        placed = False
        for _ in range(tries_per_site if group.free[site] else 1):
            for k in range(3):
                point[k] = rng.random()
            _place_orbit(group, group.first[site], point, cell, positions[start:end])
            if fits(cell, inverse, shifts, positions[:end], kinds[:end], start, limits):
                placed = True
                break
        if not placed:
            return False
    return True


@numba.njit(cache=True)
def _crystal(
    group: SiteTables,
    wanted: NDArray[np.int64],
    limits: NDArray[np.float64],
    volume: float,
    tries: Tries,
    rng: np.random.Generator,
) -> tuple[bool, NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """
    Try to make a crystal in one space group.

    Returns whether that succeeded, the primitive cell (3, 3), positions (n, 3) in Å and the
    element (n,) of each atom as an index into `wanted` (n_elements,).
    """
    positions = np.empty((wanted.sum(), 3))
    kinds = np.empty(len(positions), np.int64)
    cell = np.zeros((3, 3))
    length = (volume / np.linalg.det(group.primitive)) ** (1.0 / 3.0)
    for _ in range(tries.choices):
        elements, sites = choose_sites(group.multiplicities, group.free, wanted, rng)
        if len(sites) == 0:
            continue
        end = 0
        for element, site in zip(elements, sites):  # noqa: B905  compiled code has no strict
            start, end = end, end + group.multiplicities[site]
            kinds[start:end] = element
        for _ in range(tries.lattices):
            cell = group.primitive @ (random_lattice(group.system, rng) * length)
            if _place_orbits(group, sites, kinds, cell, limits, tries.points, rng, positions):
                return True, cell, positions, kinds
    return False, cell, positions, kinds


@dataclass
class RandomSymmetric:
    """
    Random crystals: space group, Wyckoff positions, lattice and coordinates by chance.

    The cell asked for is the primitive one. A position is tried several times before the
    structure is given up, and no two atoms come nearer than the limits.

    Examples
    --------
    >>> generator = RandomSymmetric(DistanceLimits.from_radii(("Mg", "O")))
    >>> atoms = generator.generate({"Mg": 4, "O": 4}, 75.0, np.random.default_rng(0))
    """

    limits: DistanceLimits
    space_groups: tuple[int, ...] = field(
        default=tuple(range(1, 231)),
        metadata={"unit": "", "help": "space groups to draw from, each as likely as the other"},
    )
    weights: tuple[float, ...] | None = field(
        default=None, metadata={"unit": "", "help": "of the space groups; none: all alike"}
    )
    tries_per_site: int = field(
        default=20, metadata={"unit": "", "help": "random points before a structure is given up"}
    )
    tries_per_choice: int = field(
        default=3, metadata={"unit": "", "help": "lattices tried with the same sites"}
    )
    choices_per_group: int = field(
        default=5, metadata={"unit": "", "help": "choices of sites tried in a space group"}
    )
    max_attempts: int = field(
        default=1000, metadata={"unit": "", "help": "space groups drawn before a call gives up"}
    )
    time_limit: float = field(
        default=60.0,
        metadata={
            "unit": "s",
            "help": "CPU time after which it gives up as well; far beyond attempts",
        },
    )

    def generate(self, counts: Mapping[str, int], volume: float, rng: np.random.Generator) -> Atoms:
        """
        One crystal with `counts` atoms of each element in a primitive cell of `volume` (Å³).

        `atoms.info["space_group"]` holds the number of the space group it was made in. Raises
        `GenerationError` when all attempts failed; attempts and not time decide, so that the same
        seed gives the same structure on any machine.
        """
        from ase import Atoms
        from ase.data import atomic_numbers

        deadline = math.inf
        numbers = np.array([atomic_numbers[symbol] for symbol in counts])
        wanted = np.array(list(counts.values()))
        kinds = self.limits.kinds(numbers)
        limits = np.ascontiguousarray(self.limits.matrix[np.ix_(kinds, kinds)])
        tries = Tries(self.choices_per_group, self.tries_per_choice, self.tries_per_site)
        chances = np.cumsum(
            np.ones(len(self.space_groups)) if self.weights is None else self.weights
        )
        for _ in range(self.max_attempts):
            if time.thread_time() > deadline:
                break
            drawn = int(np.searchsorted(chances, rng.random() * chances[-1], side="right"))
            group = space_group(self.space_groups[drawn])
            found, cell, positions, elements = _crystal(
                group.tables, wanted, limits, volume, tries, rng
            )
            # from now on: the first try may have compiled the code
            deadline = min(deadline, time.thread_time() + self.time_limit)
            if found:
                order = np.argsort(numbers[elements], kind="stable")
                atoms = Atoms(numbers[elements][order], positions[order], cell=cell, pbc=True)
                atoms = reduced(atoms)
                atoms.info["space_group"] = group.number
                return atoms
        raise GenerationError(
            f"no structure of {dict(counts)} fits into {volume:.0f} Å³; "
            "the volume may be too small for the shortest distances allowed"
        )
