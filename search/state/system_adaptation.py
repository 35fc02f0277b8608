"""Volumes and distances of new structures where compositions differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from search.create.random_crystals import typical_volume
from search.geometry import DistanceLimits
from search.state.adaptation import FARTHEST_SPACING, Adaptation
from search.state.contents import Contents, SystemContents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.options import EvolutionOptions
    from search.state.archive import Archive
    from search.state.individual import Individual

TAUGHT_BY = 60
"""Structures that teach the search, at most two of a composition."""
FEWEST = 10
"""Structures known before distances are learned."""
REACH = 0.1
"""Standard deviation of the fractions of atoms over which a volume says something of another."""
OF_ALL = 0.01
"""Weight of the median of all volumes, for compositions of which none is known nearby."""


class SystemAdaptation(Adaptation):
    """
    Volume, distances and symmetries of fit structures of all compositions of a system.

    Volumes are taken against those of spheres of the covalent radii: the ratio at a composition is
    the mean over known ones, the nearer the more. Distances are the shortest that any of the fit
    structures has: what two metal atoms keep in an oxide is no rule for the metal.

    Parameters
    ----------
    contents : SystemContents
        The system.
    options : EvolutionOptions
        Where volumes and distances start.
    """

    def __init__(self, contents: SystemContents, options: EvolutionOptions) -> None:
        super().__init__(dict.fromkeys(contents.elements, 1), options)
        self.elements = contents.elements
        equal = dict.fromkeys(self.elements, 1)
        spheres = typical_volume(equal) / len(equal)
        self.first_ratio = self.volume_per_atom / spheres
        #: Fractions of atoms (n, elements) of known structures, and their ratios of volumes (n,).
        self.fractions: NDArray[np.float64] = np.empty((0, len(self.elements)))
        self.ratios: NDArray[np.float64] = np.empty(0)

    def volume_per_atom_of(self, counts: Mapping[str, int]) -> float:
        """Volume (Å³/atom) of random structures of some atoms on average."""
        spheres = typical_volume(counts) / sum(counts.values())
        if not len(self.ratios):
            return spheres * self.first_ratio
        apart = self.fractions - self._fractions_of(counts)
        weights = np.exp(-0.5 * (apart**2).sum(axis=1) / REACH**2)
        mean = weights @ self.ratios + OF_ALL * float(np.median(self.ratios))
        return spheres * float(mean / (weights.sum() + OF_ALL))

    def _fractions_of(self, counts: Mapping[str, int]) -> NDArray[np.float64]:
        row = np.array([counts.get(symbol, 0) for symbol in self.elements], dtype=float)
        return np.asarray(row / row.sum())

    def _adapt_volume(self, archive: Archive) -> None:
        taught = [(Counter(m.structure.symbols), m.volume) for m in _teachers(archive)]
        if not taught:
            return
        self.fractions = np.array([self._fractions_of(counts) for counts, _ in taught])
        self.ratios = np.array(
            [volume * sum(counts.values()) / typical_volume(counts) for counts, volume in taught]
        )

    def _adapt_spacing(self, archive: Archive) -> None:
        if self.options.learned_spacing is None or len(archive) < FEWEST:
            return
        wide = DistanceLimits(dict.fromkeys(self.limits.as_dict(), FARTHEST_SPACING))
        shortest = np.min(
            [wide.shortest(member.structure) for member in _teachers(archive)], axis=0
        )
        known = np.where(np.isfinite(shortest), self.options.learned_spacing * shortest, 0.0)
        wide.matrix = np.maximum(known, self.limits.matrix)
        self.spacing = wide

    def state(self) -> dict[str, Any]:
        """Return the state, for storage."""
        volumes = {"fractions": self.fractions.tolist(), "ratios": self.ratios.tolist()}
        return {**super().state(), "volumes": volumes}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take it back from `state`."""
        super().restore(state)
        fractions = np.array(state["volumes"]["fractions"], dtype=float)
        self.fractions = fractions.reshape(-1, len(self.elements))
        self.ratios = np.array(state["volumes"]["ratios"], dtype=float)


def adaptation_of(contents: Contents, options: EvolutionOptions) -> Adaptation:
    """
    Make what follows the best structures of a search.

    Parameters
    ----------
    contents : FormulaContents or SystemContents
        What is searched.
    options : EvolutionOptions
        Where volumes and distances start.
    """
    if isinstance(contents, SystemContents):
        return SystemAdaptation(contents, options)
    return Adaptation(contents.composition, options)


def _teachers(archive: Archive) -> Iterator[Individual]:
    """Yield the best of each composition and the second best, of the best compositions."""
    number = Counter[tuple[tuple[int, int], ...]]()
    for member in archive.members:
        compound = member.compound
        number[compound] += 1
        if number[compound] <= 2:
            yield member
        if sum(min(n, 2) for n in number.values()) >= TAUGHT_BY:
            return
