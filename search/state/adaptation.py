"""Volume, distances and symmetries of new structures, adapted to the best found so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from search.create.random_crystals import typical_volume
from search.create.wyckoff import ORDERS
from search.geometry import DistanceLimits
from search.state.shares import OperatorShares

if TYPE_CHECKING:
    from search.candidate import Candidate
    from search.options import EvolutionOptions
    from search.state.archive import Archive
    from search.state.individual import Individual

FARTHEST_SPACING = 4.0
"""Å; learned spacings go no farther."""


class Adaptation:
    """
    Volume, distances and symmetries of fit structures of one composition.

    Attributes
    ----------
    limits : DistanceLimits
        Shortest distances a structure may have; they do not change.
    volume_per_atom : float
        Å³, of random structures on average.
    spacing : DistanceLimits
        Shortest distances with which new structures start; at least `limits`.
    symmetry_shares : OperatorShares
        Shares of the orders of space groups in random structures.
    """

    def __init__(self, composition: Mapping[str, int], options: EvolutionOptions) -> None:
        self.options = options
        self.limits = (
            DistanceLimits(options.shortest_distances)
            if options.shortest_distances
            else DistanceLimits.from_radii(list(composition))
        )
        if set(self.limits.elements) != set(composition):
            raise ValueError("shortest distances and composition are of different elements")
        self.volume_per_atom = options.volume_per_atom or (
            typical_volume(composition) / sum(composition.values())
        )
        self.forget()

    def forget(self) -> None:
        """Begin anew but for the volume, which the next few structures correct."""
        self.spacing = self.limits
        self.symmetry_shares = OperatorShares(
            Counter(str(order) for order in ORDERS), self.options.adjust_shares
        )

    def volume_per_atom_of(self, counts: Mapping[str, int]) -> float:
        """Volume (Å³/atom) of random structures of some atoms on average."""
        del counts  # of one composition all are alike
        return self.volume_per_atom

    def group_weights(self) -> tuple[float, ...]:
        """Chance of each space group, by the success of the groups of its order."""
        number = Counter(ORDERS.tolist())
        shares = self.symmetry_shares.current()
        weights = np.array([shares[str(order)] / number[order] for order in ORDERS.tolist()])
        if self.options.groups is not None:
            wanted = np.isin(np.arange(1, len(weights) + 1), self.options.groups)
            weights = np.where(wanted, weights, 0.0)
        return tuple(weights / weights.sum())

    def adapt(
        self, candidates: Sequence[Candidate], born: Sequence[Individual], archive: Archive
    ) -> None:
        """Take in one generation: what was made, how it ended, and the best known since."""
        self._adapt_symmetry(candidates, born)
        self._adapt_volume(archive)
        self._adapt_spacing(archive)

    def _adapt_symmetry(self, candidates: Sequence[Candidate], born: Sequence[Individual]) -> None:
        """Credit the orders of space groups for the best quarter of the random structures."""
        orders_of = {
            candidate.id: str(ORDERS[candidate.space_group - 1])
            for candidate in candidates
            if candidate.space_group is not None
        }
        found = sorted(i.fitness for i in born if i.id in orders_of and i.atoms is not None)
        if not found:
            return
        ceiling = found[(len(found) - 1) // 4]
        good = [i.id for i in born if i.atoms is not None and i.fitness <= ceiling]
        self.symmetry_shares.learn(
            Counter(orders_of.values()), Counter(orders_of[i] for i in good if i in orders_of)
        )

    def _adapt_volume(self, archive: Archive) -> None:
        """Make random structures at the median volume of the best, once there are some."""
        known = len(archive)
        if known >= 5:
            best = archive.members[: int(np.clip(known // 4, 3, 20))]
            self.volume_per_atom = float(np.median([member.volume for member in best]))

    def _adapt_spacing(self, archive: Archive) -> None:
        """
        Keep new structures' atoms about as far apart as the best ones do.

        Covalent radii say little about like charges; the best structures so far know how near two
        oxygen atoms come. What starts with such bonds relaxes in fewer steps and far lower.
        """
        known = len(archive)
        if self.options.learned_spacing is None or known < 10:
            return
        best = archive.members[: int(np.clip(known // 4, 5, 20))]
        wide = DistanceLimits(dict.fromkeys(self.limits.as_dict(), FARTHEST_SPACING))
        shortest = np.median([wide.shortest(member.structure) for member in best], axis=0)
        shortest = self.options.learned_spacing * np.minimum(shortest, FARTHEST_SPACING)
        wide.matrix = np.maximum(shortest, self.limits.matrix)
        self.spacing = wide

    def state(self) -> dict[str, Any]:
        """Return the state, for storage."""
        return {
            "volume_per_atom": self.volume_per_atom,
            "spacing": self.spacing.as_dict(),
            "symmetry_shares": self.symmetry_shares.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take it back from `state`."""
        self.volume_per_atom = state["volume_per_atom"]
        self.spacing = DistanceLimits(state["spacing"])
        self.symmetry_shares.restore(state["symmetry_shares"])
