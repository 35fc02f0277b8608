"""Whether a search still finds something new that matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.state.archive import Archive, Entry
    from search.state.individual import Individual

LEADING = 20
"""Distinct structures among which a new one is news: about as many as are reported."""


class Novelty:
    """
    When a search last found something new.

    News are a distinct structure among the `LEADING` best, and a best one that became better by
    more than the tolerance. A copy of a known one that relaxed a little further is none, however
    often that happens; nor is a structure too far above the best to become a parent.

    Parameters
    ----------
    tolerance : float
        What counts as better, eV/atom.
    window : float
        How far above the best a new structure may be, eV/atom.

    Attributes
    ----------
    since : int
        Generations done when the last news came.
    best : float
        Fitness of the best then, eV/atom.
    """

    def __init__(self, tolerance: float, window: float) -> None:
        self.tolerance, self.window = tolerance, window
        self.since = 0
        self.best = float("inf")

    def note(
        self, individual: Individual, entry: Entry, archive: Archive, generations: int
    ) -> None:
        """
        Take in what became of an individual that was offered to the archive.

        Parameters
        ----------
        individual : Individual
            With its fitness.
        entry : Entry
            Whether it is new.
        archive : Archive
            Of all lineages, the individual in it if it is new.
        generations : int
            Done with it.
        """
        best = float(archive.fitness[0])
        last = min(LEADING, len(archive)) - 1
        ceiling = min(best + self.window, float(archive.fitness[last]))
        if best < self.best - self.tolerance or (entry.is_new and individual.fitness <= ceiling):
            self.since, self.best = generations, min(best, self.best)

    def pack(self) -> dict[str, Any]:
        """Return the state for storage."""
        # as text, since JSON has no infinity
        return {"since": self.since, "best": repr(self.best)}

    def restore(self, packed: dict[str, Any]) -> None:
        """Take it back from `pack`."""
        self.since, self.best = int(packed["since"]), float(packed["best"])
