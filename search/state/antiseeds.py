"""What repels parents: structures that have been used much, or led to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any


class Antiseeds(dict[int, float]):
    """
    Strength of each antiseed by the id of the structure it sits at.

    After A. O. Lyakhov, A. R. Oganov, H. T. Stokes and Q. Zhu, Comput. Phys. Commun. 184, 1172
    (2013). How far and how strongly they repel is a matter of `search.state.population`.
    """

    def strengthen(self, id_: int, strength: float) -> None:
        """Let parents near a structure be avoided more."""
        if strength > 0.0:
            self[id_] = self.get(id_, 0.0) + strength

    def move(self, duplicate: int, kept: int) -> None:
        """What repelled from a duplicate repels from the structure that is kept."""
        self.strengthen(kept, self.pop(duplicate, 0.0))

    def keep(self, ids: Set[int]) -> None:
        """Forget those of all other structures."""
        for id_ in self.keys() - ids:
            del self[id_]

    def pack(self) -> list[list[Any]]:
        """Return pairs of id and strength for storage."""
        return sorted([id_, strength] for id_, strength in self.items())

    @classmethod
    def unpack(cls, packed: Iterable[Sequence[Any]]) -> Antiseeds:
        """Undo `pack`."""
        return cls((int(id_), float(strength)) for id_, strength in packed)
