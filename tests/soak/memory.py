"""Memory of processes over a long time: it is to stay what it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import psutil

#: What a process needs to come to rest, s: imports, caches.
WARM_SECONDS = 120.0
#: Over less than that a growth says nothing, s.
SHORTEST_SECONDS = 600.0


@dataclass
class Memory:
    """
    Resident memory of each process, by what it is.

    Attributes
    ----------
    samples : dict of tuple of str and int to list of tuple of float
        Seconds and MB, by name and process id.
    """

    samples: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=dict)

    def note(self, name: str, pid: int, seconds: float) -> None:
        """Take a sample of a process, if it lives."""
        with suppress(psutil.Error):
            megabytes = psutil.Process(pid).memory_info().rss / 1e6
            self.samples.setdefault((name, pid), []).append((seconds, megabytes))

    def lines(self) -> list[str]:
        """Describe each name: largest memory, and growth of the process that lived longest."""
        found = []
        for name in sorted({name for name, _ in self.samples}):
            own = [values for (one, _), values in self.samples.items() if one == name]
            largest = max(megabytes for values in own for _, megabytes in values)
            oldest = np.array(max(own, key=lambda values: values[-1][0] - values[0][0]))
            warm = oldest[oldest[:, 0] >= oldest[0, 0] + WARM_SECONDS]
            growth = "too short to say"
            if len(warm) > 1 and warm[-1, 0] - warm[0, 0] > SHORTEST_SECONDS:
                slope = np.polyfit(warm[:, 0] / 3600, warm[:, 1], 1)[0]
                hours = (warm[-1, 0] - warm[0, 0]) / 3600
                growth = (f"{slope:+.0f} MB an hour over {hours:.2f} h, from {warm[0, 1]:.0f} to "
                          f"{warm[-1, 1]:.0f} MB")  # fmt: skip
            found.append(f"{name}: {largest:.0f} MB at most, {len(own)} processes; {growth}")
        return found
