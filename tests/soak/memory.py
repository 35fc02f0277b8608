"""Memory of processes over a long time: it is to stay what it is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import psutil

#: What a process needs to come to rest, s: imports, caches, the first job of each kind.
WARM_SECONDS = 300.0
#: Parts of the time of which each has its own largest memory.
PARTS = 4


@dataclass(frozen=True)
class Growth:
    """
    By how much processes of one kind grow while each lives.

    Attributes
    ----------
    slope, error : float
        MB an hour, and its standard error.
    hours : float
        In which they were watched, added up.
    """

    slope: float
    error: float
    hours: float

    def __str__(self) -> str:
        return f"{self.slope:+.0f} ± {self.error:.0f} MB an hour, watched for {self.hours:.2f} h"


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
        """Describe each name: its processes, largest memory in each part of the time, growth."""
        end = max((values[-1][0] for values in self.samples.values()), default=0.0)
        edges = np.linspace(0.0, end, PARTS + 1)[1:-1]
        found = []
        for name in sorted({name for name, _ in self.samples}):
            own = [np.array(values) for (one, _), values in self.samples.items() if one == name]
            together = np.concatenate(own)
            part = np.searchsorted(edges, together[:, 0])
            largest = [together[part == i, 1].max(initial=0.0) for i in range(PARTS)]
            growth = growth_of(own)
            found.append(
                f"memory of {name}: {len(own)} processes, at most "
                f"{', '.join(f'{megabytes:.0f}' for megabytes in largest)} MB in each quarter; "
                f"{'none lived long enough to say how it grows' if growth is None else growth}"
            )
        return found


def growth_of(processes: list[np.ndarray], warm: float = WARM_SECONDS) -> Growth | None:
    """
    Fit one slope to the memory of processes of a kind, of which each has its own level.

    Parameters
    ----------
    processes : list of ndarray
        Seconds and MB of each, shape (samples, 2).
    warm : float
        What is left out at the beginning of each, s.

    Returns
    -------
    Growth or None
        None if there is nothing to fit. Each process counts as one observation of the error:
        samples of one process are no independent ones.
    """
    rows = [values[values[:, 0] >= values[0, 0] + warm] for values in processes]
    centred = [values - values.mean(axis=0) for values in rows if len(values) > 2]
    if not centred:
        return None
    hours, megabytes = np.concatenate(centred).T / np.array([[3600.0], [1.0]])
    weight = float(hours @ hours)
    if weight == 0.0:
        return None
    slope = float(hours @ megabytes) / weight
    scores = [float(v[:, 0] / 3600 @ (v[:, 1] - slope * v[:, 0] / 3600)) for v in centred]
    several = len(centred) / max(len(centred) - 1, 1)
    if len(centred) > 1:
        error = float(np.sqrt(several * np.square(scores).sum())) / weight
    else:
        rest = megabytes - slope * hours
        error = float(np.sqrt(rest @ rest / max(len(rest) - 2, 1) / weight))
    watched = sum(float(np.ptp(values[:, 0])) for values in centred) / 3600
    return Growth(slope, error, watched)
