"""What all lineages of a search found, and the one that parents come from now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search.state.archive import Archive, Entry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.state.fitness import Fitness
    from search.state.individual import Individual
    from search.state.individual_table import IndividualTable


class Lineages:
    """
    The archive of a search, and that of its present lineage.

    In time all parents come from a few early finds, and the distances they have taught the search
    keep it near them. A new lineage begins without them, and knows that what was found is not to be
    found again.

    Parameters
    ----------
    archive : Archive
        Of all lineages; the first lineage has the same.

    Attributes
    ----------
    archive, present : Archive
        Distinct structures of all lineages and of the present one.
    best : tuple of int and float
        Generation in which the present lineage last became better, and its standing then.
    restarts : int
        Lineages before the present one.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = self.present = archive
        self.best = (0, float("inf"))
        self.restarts = 0

    def add(self, individual: Individual, vector: NDArray[Any]) -> Entry:
        """
        Offer an individual to the archive, and to the lineage if it is not another's.

        A member that has changed leaves first, and comes in anew where it was.
        """
        here = {member.id for member in self.present.members}
        others = any(m.id == individual.id for m in self.archive.members)
        others &= individual.id not in here
        self.discard(individual)
        entry = self.archive.add(individual, vector)
        if self.present is self.archive:
            return entry
        alike = entry.replaced if entry.better is None else [entry.better]
        # a better duplicate of what an earlier lineage found would lead this one to the same place
        self.present.discard(entry.replaced)
        mine = not others and all(member.id in here for member in alike)
        if entry.better is None and mine:
            # its members are the archive's, with which it has been compared
            self.present.insert(individual, vector)
        return entry

    def discard(self, individual: Individual) -> None:
        """Let an individual go, wherever it is a member."""
        for archive in self._archives():
            archive.discard([individual])

    def refit(self, fitness: Fitness) -> list[Individual]:
        """Judge all members anew; returns those that are judged otherwise."""
        changed: dict[int, Individual] = {}
        for archive in self._archives():
            changed.update((member.id, member) for member in archive.refit(fitness))
        return list(changed.values())

    def _archives(self) -> list[Archive]:
        return [self.archive] if self.present is self.archive else [self.archive, self.present]

    def is_stuck(self, generation: int, patience: int, tolerance: float, fitness: Fitness) -> bool:
        """
        Whether the present lineage has not become better for long; notes when it has.

        Parameters
        ----------
        generation : int
            Generations done.
        patience : int
            Generations after which it is stuck.
        tolerance : float
            What counts as better, eV/atom.
        fitness : Fitness
            Says how far the lineage has come.
        """
        if not len(self.present):
            return False
        since, best = self.best
        standing = float(fitness.standing(self.present.members))
        if standing < best - tolerance:
            self.best = (generation, standing)
            return False
        return generation - since >= patience

    def restart(self, generation: int) -> None:
        """Begin a new lineage."""
        self.restarts += 1
        self.present = self.archive.emptied()
        self.best = (generation, float("inf"))

    def pack(self) -> dict[str, Any]:
        """Return the state for storage."""
        return {
            "archive": self.archive.pack(),
            "present": None if self.present is self.archive else self.present.pack(),
            # as text, since JSON has no infinity
            "best": [self.best[0], repr(self.best[1])],
            "restarts": self.restarts,
        }

    def restore(self, packed: dict[str, Any], individuals: IndividualTable) -> None:
        """Take it back from `pack` and the individuals of the whole search."""
        self.archive.restore(packed["archive"], individuals)
        if packed["present"] is not None:
            self.present = self.archive.emptied()
            self.present.restore(packed["present"], individuals, self.archive.members)
        since, best = packed["best"]
        self.best = (int(since), float(best))
        self.restarts = packed["restarts"]
