"""Structures from nothing: random crystals with the symmetry of a random space group."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from search.geometry import DistanceLimits, fits, image_ranges, reduced
from search.wyckoff import Site, SpaceGroup, choose_sites, space_group

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray


class GenerationError(RuntimeError):
    """No structure could be generated in the time allowed."""


def typical_volume(counts: Mapping[str, int]) -> float:
    """Estimate the volume (Å³) of a crystal of `counts` atoms, from covalent radii.

    Spheres of the covalent radii fill about half of a typical inorganic crystal; the search
    corrects the volume as soon as it has relaxed structures.
    """
    from ase.data import atomic_numbers, covalent_radii

    spheres = sum(
        n * 4.0 / 3.0 * np.pi * covalent_radii[atomic_numbers[symbol]] ** 3
        for symbol, n in counts.items()
    )
    return float(spheres / 0.5)


def random_lattice(system: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random cell (3, 3) of unit volume with the metric of a crystal system, vectors as rows."""
    while True:
        lengths = np.exp(np.clip(rng.normal(0.0, 0.4, 3), -0.9, 0.9))
        angles = np.full(3, 90.0)
        if system in ("tetragonal", "trigonal", "hexagonal"):
            lengths[1] = lengths[0]
            if system != "tetragonal":
                angles[2] = 120.0
        elif system == "cubic":
            lengths[:] = 1.0
        elif system == "monoclinic":
            angles[1] = rng.uniform(60.0, 120.0)
        elif system == "triclinic":
            angles = rng.uniform(60.0, 120.0, 3)
            if _solid_angle(angles) < 0.3:
                continue
        return _unit_cell(lengths, np.cos(np.radians(angles)))


@numba.njit(cache=True)
def _unit_cell(lengths: NDArray[np.float64], cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cell (3, 3) of unit volume with these ratios of lengths and cosines of angles."""
    cell = np.zeros((3, 3))
    sine = np.sqrt(1.0 - cosines[2] ** 2)
    cell[0, 0] = lengths[0]
    cell[1, 0] = lengths[1] * cosines[2]
    cell[1, 1] = lengths[1] * sine
    x = cosines[1]
    y = (cosines[0] - cosines[1] * cosines[2]) / sine
    cell[2, 0] = lengths[2] * x
    cell[2, 1] = lengths[2] * y
    cell[2, 2] = lengths[2] * np.sqrt(1.0 - x * x - y * y)
    return cell / (cell[0, 0] * cell[1, 1] * cell[2, 2]) ** (1.0 / 3.0)


def _solid_angle(angles: NDArray[np.float64]) -> float:
    """Volume of the unit-length cell with these angles (degrees); 0 if there is none."""
    a, b, c = np.cos(np.radians(angles))
    return float(np.sqrt(max(1 - a * a - b * b - c * c + 2 * a * b * c, 0.0)))


@numba.njit(cache=True)
def _place_orbits(
    rotations: NDArray[np.float64],
    translations: NDArray[np.float64],
    multiplicities: NDArray[np.int64],
    free: NDArray[np.bool_],
    points: NDArray[np.float64],
    to_primitive: NDArray[np.float64],
    cell: NDArray[np.float64],
    kinds: NDArray[np.int64],
    limits: NDArray[np.float64],
    positions: NDArray[np.float64],
) -> bool:
    """Fill `positions` (n, 3) orbit after orbit; whether all found a place.

    `points` (n_sites, tries, 3) are tried in turn. Atoms of an orbit are equivalent, so that the
    first one stands for all of them when distances are checked.
    """
    inverse: NDArray[Any] = np.linalg.inv(cell)
    ranges = image_ranges(inverse, limits.max())
    end = 0
    for site in range(len(multiplicities)):
        start, end = end, end + multiplicities[site]
        tries = points.shape[1] if free[site] else 1
        placed = False
        for attempt in range(tries):
            for k in range(start, end):
                fraction = (rotations[k] @ points[site, attempt] + translations[k]) @ to_primitive
                positions[k] = (fraction % 1.0) @ cell
            if fits(cell, inverse, ranges, positions[:end], kinds[:end], start, limits):
                placed = True
                break
        if not placed:
            return False
    return True


@dataclass
class RandomSymmetric:
    """Random crystals: space group, Wyckoff positions, lattice and coordinates by chance.

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
    max_attempts: int = field(
        default=1000, metadata={"unit": "", "help": "space groups drawn before a call gives up"}
    )
    time_limit: float = field(
        default=60.0,
        metadata={"unit": "s", "help": "also gives up then; far beyond what attempts take"},
    )

    def generate(self, counts: Mapping[str, int], volume: float, rng: np.random.Generator) -> Atoms:
        """One crystal with `counts` atoms of each element in a primitive cell of `volume` (Å³).

        `atoms.info["space_group"]` holds the number of the space group it was made in. Raises
        `GenerationError` when all attempts failed; attempts and not time decide, so that the same
        seed gives the same structure on any machine.
        """
        deadline = time.monotonic() + self.time_limit
        for _ in range(self.max_attempts):
            if time.monotonic() > deadline:
                break
            group = space_group(int(rng.choice(self.space_groups, p=self.weights)))
            for _ in range(5):
                sites = choose_sites(group, counts, rng)
                if sites is None:
                    continue
                atoms = self._place(group, sites, volume, rng)
                if atoms is not None:
                    return atoms
        raise GenerationError(
            f"no structure of {dict(counts)} fits into {volume:.0f} Å³; "
            "the volume may be too small for the shortest distances allowed"
        )

    def _place(
        self,
        group: SpaceGroup,
        sites: list[tuple[str, Site]],
        volume: float,
        rng: np.random.Generator,
    ) -> Atoms | None:
        """Put atoms on the sites one orbit after the other, keeping distances, in a few cells."""
        from ase import Atoms
        from ase.data import atomic_numbers

        centrings = round(1 / np.linalg.det(group.primitive))
        length = (volume * centrings) ** (1 / 3)
        multiplicities = np.array([site.multiplicity for _, site in sites])
        numbers = np.repeat([atomic_numbers[symbol] for symbol, _ in sites], multiplicities)
        kinds = self.limits.kinds(numbers)
        rotations = np.concatenate([site.rotations for _, site in sites])
        translations = np.concatenate([site.translations for _, site in sites])
        free = np.array([site.free for _, site in sites])
        positions = np.empty((len(numbers), 3))
        for _ in range(self.tries_per_choice):
            conventional = random_lattice(group.system, rng) * length
            cell = np.ascontiguousarray(group.primitive @ conventional)
            if _place_orbits(
                rotations,
                translations,
                multiplicities,
                free,
                rng.random((len(sites), self.tries_per_site, 3)),
                group.to_primitive,
                cell,
                kinds,
                self.limits.matrix,
                positions,
            ):
                order = np.argsort(numbers, kind="stable")
                atoms = reduced(Atoms(numbers[order], positions[order], cell=cell, pbc=True))
                atoms.info["space_group"] = group.number
                return atoms
        return None
