"""Fireworks and launches of a campaign that runs, read again only where they may have changed."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fireworks import LaunchPad
    from pymongo.collection import Collection

#: After so long all is read again: somebody may have had what was done done anew.
WHOLE_SECONDS = 60.0
DONE = "COMPLETED"


class StatusReader:
    """
    Reads what the status of a campaign needs, again and again.

    The embedded server decodes every document that a query looks at, with all that it holds. At the
    end of a campaign these are megabytes, nearly all of what is done.
    """

    def __init__(self) -> None:
        self._fireworks = _Rows("fw_id", ("name", "state", "spec.stage"))
        self._launches = _Rows("launch_id", ("fw_id", "time_start", "time_end", "state"))

    def fireworks(self, pad: LaunchPad) -> list[dict[str, Any]]:
        """Return number, name, state and stage of each Firework."""
        return self._fireworks.read(pad.fireworks)

    def launches(self, pad: LaunchPad) -> list[dict[str, Any]]:
        """Return number, Firework, times and state of each launch."""
        return self._launches.read(pad.launches)


class _Rows:
    """Some fields of the documents of a collection whose numbers only rise."""

    def __init__(self, number: str, fields: tuple[str, ...]) -> None:
        self.number = number
        self.fields = {"_id": 0, number: 1, **dict.fromkeys(fields, 1)}
        self.known: dict[int, dict[str, Any]] = {}
        self.whole_at = float("-inf")

    def read(self, collection: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return them as they are now, in order of their numbers."""
        now = time.monotonic()
        if not self.known or now - self.whole_at >= WHOLE_SECONDS:
            self.known, self.whole_at = {}, now
            queries: list[dict[str, Any]] = [{}]
        else:
            left = [number for number, row in self.known.items() if row["state"] != DONE]
            queries = [{"$in": left}, {"$gt": max(self.known)}]
            queries = [{self.number: condition} for condition in queries]
        for query in queries:
            self.known |= {row[self.number]: row for row in collection.find(query, self.fields)}
        return [self.known[number] for number in sorted(self.known)]


def state_counts(pad: LaunchPad) -> Counter[str]:
    """Return how many Fireworks are in each state, without reading those that are completed."""
    from fireworks import Firework

    others = [state for state in Firework.STATE_RANKS if state != DONE]
    rows = pad.fireworks.find({"state": {"$in": others}}, {"_id": 0, "state": 1})
    counts = Counter(row["state"] for row in rows)
    completed = pad.fireworks.estimated_document_count() - counts.total()
    return counts + Counter({DONE: completed})
