"""Searches over the compositions of a system: what is good is what lies low above the hull."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from search.composition_space import CompositionSpace
from search.state.fitness import Fitness
from search.state.hull import Hull, HullPoint

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from search.relax.relaxed import Relaxed
    from search.state.individual import Individual

ROUNDING = 1e-9
"""eV/atom from the hull within which a structure is on it."""
GRID_STEPS = {2: 24, 3: 12, 4: 8, 5: 6}
"""Steps between the corners of a system at which its hull is summed up, by number of blocks."""


@dataclass(frozen=True)
class AboveHull(Fitness):
    """
    Energy per atom (eV) above the lower convex hull of all phases found so far: zero on it.

    For searches over the compositions of a system. The hull is one of energies with what their
    uncertainty counts; it moves with what is found, and with it all fitnesses.

    Parameters
    ----------
    blocks : tuple of str
        Of the system.
    references : tuple of HullPoint
        Known phases that every structure is held against, at the energies of the same potential.
    found : tuple of HullPoint
        Phases on the hull that the search has found.

    Examples
    --------
    >>> fitness = AboveHull.of_space(space, pressure=100.0)
    >>> fitness.learned(evolution.archive.members).hull.energy({"Mg": 2, "Si": 1})
    """

    follows: ClassVar[bool] = True

    blocks: tuple[str, ...]
    references: tuple[HullPoint, ...] = ()
    found: tuple[HullPoint, ...] = ()

    def __post_init__(self) -> None:
        # JSON has neither tuples nor named ones
        object.__setattr__(self, "blocks", tuple(self.blocks))
        for name in ("references", "found"):
            points = tuple(HullPoint(*point) for point in getattr(self, name))
            object.__setattr__(self, name, points)

    @classmethod
    def of_space(
        cls,
        space: CompositionSpace,
        references: Sequence[HullPoint] = (),
        pressure: float = 0.0,
    ) -> Self:
        """
        Make the fitness that a search of a system begins with.

        Parameters
        ----------
        space : CompositionSpace
            The system.
        references : sequence of HullPoint
            Known phases.
        pressure : float
            From outside, kbar.
        """
        return cls(space.blocks, tuple(references), pressure=pressure)

    @cached_property
    def hull(self) -> Hull:
        """The hull of the references and of what was found."""
        return Hull(self.blocks, (*self.references, *self.found))

    def of_energy(self, energy: float, uncertainty: float | None, atoms: Atoms) -> float:
        """Distance (eV/atom) of a structure above the hull; below zero if it is under it."""
        above = self.counted(energy, uncertainty) - self.hull.energy_at(atoms)
        return 0.0 if abs(above) < ROUNDING else above

    def energy_at(self, fitness: float, atoms: Atoms) -> float:
        """Energy (eV/atom) at a distance above the hull."""
        return fitness + self.hull.energy_at(atoms)

    def learned(self, members: Iterable[Individual]) -> Self:
        """Return the same with the hull of these structures and the references."""
        listed = list(members)
        energies = [self.counted(member.energy, member.uncertainty) for member in listed]
        return self._with([member.structure for member in listed], energies)

    def learned_from(self, relaxed: Sequence[Relaxed]) -> Self:
        """Return the same with the hull of these structures and the references."""
        usable = [one for one in relaxed if np.isfinite(one.energy)]
        energies = [self.counted(one.energy / len(one.atoms), one.uncertainty) for one in usable]
        return self._with([one.atoms for one in usable], energies)

    def _with(self, structures: Sequence[Atoms], energies: Sequence[float]) -> Self:
        """Return the same with another hull; itself if the hull stays as it is."""
        space = self.hull.space
        points = [
            HullPoint(space.as_counts(space.row_of(atoms.numbers)), energy)
            for atoms, energy in zip(structures, energies, strict=True)
        ]
        known = len(self.references)
        vertices = Hull(self.blocks, (*self.references, *points)).vertices
        found = tuple(points[i - known] for i in vertices if i >= known)
        return self if found == self.found else replace(self, found=found)

    def figure(self, members: Sequence[Individual]) -> float:
        """Lowest energy of formation from the corners, eV/atom; NaN before all are known."""
        del members
        hull = self.hull
        return float(hull.formation_energies().min()) if hull.has_corners else float("nan")

    def standing(self, members: Sequence[Individual]) -> float:
        """Sum of the hull of some structures over a grid of compositions, eV/atom."""
        hull = self.learned(members).hull
        return float(hull.energies(_grid(len(self.blocks))).sum())

    def improves(self, individual: Individual, is_first: bool, before: float) -> bool:
        """Whether a structure is on the hull; there are several on it."""
        del is_first, before
        return individual.fitness <= 0.0


def _grid(blocks: int) -> NDArray[np.float64]:
    """Coordinates (n, blocks) spread evenly over the compositions of so many blocks."""
    steps = GRID_STEPS[min(blocks, max(GRID_STEPS))]
    points = [p for p in product(range(steps + 1), repeat=blocks) if sum(p) == steps]
    return np.array(points) / steps


def fitness_for(
    composition: Mapping[str, int] | CompositionSpace, fitness: Fitness | None
) -> Fitness:
    """
    Return the fitness of a search; the usual one of what is searched if none is given.

    Parameters
    ----------
    composition : mapping of str to int, or CompositionSpace
        One formula unit, or a system.
    fitness : Fitness or None
        What was asked for.

    Raises
    ------
    ValueError
        If it cannot compare structures of different compositions, or is of another system.
    """
    if not isinstance(composition, CompositionSpace):
        return fitness or Fitness()
    fitness = fitness or AboveHull.of_space(composition)
    if not isinstance(fitness, AboveHull) or fitness.blocks != composition.blocks:
        raise ValueError(
            f"structures of {composition.name} can only be compared by their own hull: AboveHull"
        )
    return fitness
