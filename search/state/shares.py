"""How often each operator is used, and how that follows from what its children were worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnp.storage.arrays import decode_array, encode_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OperatorShares:
    """
    Shares of the operators in a generation.

    Each operator is credited for children that enter the fit, new part of the population.
    Its share is its prior times its success rate over the recent past, relative to the others',
    with a floor of `floor` times its prior, so that none dies out while it may be needed later.

    Parameters
    ----------
    prior : mapping of str to float
        Shares at the start; normalised.
    adjust : bool
        Whether to move away from the prior.
    floor : float
        Smallest share, as a fraction of the prior.
    memory : float
        What counts from one generation still counts by this factor in the next.
    """

    def __init__(
        self,
        prior: Mapping[str, float],
        adjust: bool = True,
        floor: float = 0.3,
        memory: float = 0.8,
    ) -> None:
        used = {name: float(share) for name, share in prior.items() if share > 0}
        if not used:
            raise ValueError("at least one operator needs a share above zero")
        total = sum(used.values())
        self.prior = {name: share / total for name, share in used.items()}
        self.adjust = adjust
        self.floor = floor
        self.memory = memory
        self.made = dict.fromkeys(self.prior, 0.0)
        self.successes = dict.fromkeys(self.prior, 0.0)

    def current(self) -> dict[str, float]:
        """Shares of the next generation; they sum to 1."""
        if not self.adjust:
            return dict(self.prior)
        # with 10 imagined children at the overall rate, so that few trials decide little
        overall = (sum(self.successes.values()) + 1) / (sum(self.made.values()) + 10)
        rates = {
            name: (self.successes[name] + 10 * overall) / (self.made[name] + 10)
            for name in self.prior
        }
        weights = {name: self.prior[name] * rates[name] / overall for name in self.prior}
        total = sum(weights.values())
        return {
            name: self.floor * self.prior[name] + (1 - self.floor) * weights[name] / total
            for name in self.prior
        }

    def learn(self, made: Mapping[str, int], successes: Mapping[str, int]) -> None:
        """Take in one generation: children evaluated and successful ones, by operator."""
        for name in self.prior:
            self.made[name] = self.memory * self.made[name] + made.get(name, 0)
            self.successes[name] = self.memory * self.successes[name] + successes.get(name, 0)

    def state(self) -> dict[str, Any]:
        """Return the counts, for storage."""
        return {"made": dict(self.made), "successes": dict(self.successes)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the counts back from `state`."""
        self.made.update(state["made"])
        self.successes.update(state["successes"])


class ShareHistory:
    """
    Shares, children and successes of each operator in every generation.

    Parameters
    ----------
    operators : sequence of str
        Names, in the order of the columns.
    """

    def __init__(self, operators: Sequence[str]) -> None:
        self.operators = list(operators)
        self._rows: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def append(
        self, shares: Mapping[str, float], made: Mapping[str, int], successes: Mapping[str, int]
    ) -> None:
        """Take in one generation."""
        row = [
            [source.get(name, 0) for name in self.operators] for source in (shares, made, successes)
        ]
        self._rows.append(np.array(row, dtype=np.float32))

    def table(self) -> NDArray[np.float32]:
        """Shares, children and successes (generations, 3, operators)."""
        return np.array(self._rows, dtype=np.float32).reshape(-1, 3, len(self.operators))

    def shares(self) -> list[dict[str, float]]:
        """Share of each operator, generation after generation."""
        return [
            dict(zip(self.operators, (float(share) for share in row[0]), strict=True))
            for row in self._rows
        ]

    def pack(self) -> dict[str, Any]:
        """Return the record for storage."""
        return {"operators": self.operators, "table": encode_array(self.table())}

    def restore(self, packed: Mapping[str, Any]) -> None:
        """Take the record back from `packed`."""
        self.operators = list(packed["operators"])
        self._rows = list(decode_array(packed["table"]))
