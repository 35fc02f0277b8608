"""Who may become a parent: low in energy, unlike the others, and not tried too often already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from monty.json import MSONable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.state.archive import Archive, Individual


@dataclass
class NicheOptions(MSONable):
    """How the population is kept diverse."""

    antiseeds: bool = field(
        default=True, metadata={"unit": "", "help": "repel the search from what it has exploited"}
    )
    height: float = field(
        default=0.3,
        metadata={"unit": "", "help": "of an antiseed, against the spread of the energies"},
    )
    width: float = field(
        default=0.5,
        metadata={"unit": "", "help": "of an antiseed, against the typical fingerprint distance"},
    )
    radius: float = field(
        default=0.04,
        metadata={"unit": "", "help": "fingerprint distance within which structures share a niche"},
    )
    per_niche: int = field(
        default=2, metadata={"unit": "", "help": "members of the population from one niche"}
    )


def select(
    archive: Archive,
    antiseeds: Mapping[int, float],
    size: int,
    window: float,
    options: NicheOptions,
) -> list[Individual]:
    """Choose the population from all distinct structures found.

    Fitness is energy plus a Gaussian of the fingerprint distance for each antiseed, as in Lyakhov
    et al., Comput. Phys. Commun. 184, 1172 (2013). Height and width follow the spread of the
    energies and of the fingerprints, so that they need no knowledge of the system.

    Parameters
    ----------
    archive : Archive
        Distinct structures.
    antiseeds : mapping of int to float
        How strongly members of the archive, by id, repel.
    size : int
        Members wanted.
    window : float
        Members lie at most this far (eV/atom) above the best.
    options : NicheOptions
        Heights, widths, niches.

    Returns
    -------
    list of Individual
        Fittest first.
    """
    count = int(np.searchsorted(archive.energies, archive.energies[0] + window, side="right"))
    count = max(min(count, 6 * size), min(len(archive), 2))
    energies = archive.energies[:count]
    vectors = archive.fingerprints[:count]
    fitness = energies.copy()
    if options.antiseeds:
        fitness += _repulsion(archive, antiseeds, vectors, energies[: 2 * size], options)
    chosen: list[int] = []
    for i in np.argsort(fitness, kind="stable"):
        if chosen:
            apart = 0.5 * (1.0 - vectors[chosen] @ vectors[i])
            if int((apart < options.radius).sum()) >= options.per_niche:
                continue
        chosen.append(int(i))
        if len(chosen) == size:
            break
    return [archive.members[i] for i in chosen]


def _repulsion(
    archive: Archive,
    antiseeds: Mapping[int, float],
    vectors: NDArray[np.float32],
    energies: NDArray[np.float64],
    options: NicheOptions,
) -> NDArray[np.float64]:
    """Sum of the antiseeds' Gaussians at each fingerprint, eV/atom."""
    row = {member.id: i for i, member in enumerate(archive.members)}
    times = np.zeros(len(archive))
    for id_, strength in antiseeds.items():
        if id_ in row:
            times[row[id_]] = strength
    centres = np.flatnonzero(times)
    if not len(centres):
        return np.zeros(len(vectors))
    leading = archive.fingerprints[: len(energies)]
    typical = float(np.mean(0.5 * (1.0 - leading @ leading.T)))
    width = max(options.width * typical, 1e-3)
    apart = 0.5 * (1.0 - vectors @ archive.fingerprints[centres].T)
    gaussians = np.exp(-0.5 * (apart / width) ** 2)
    height = options.height * float(np.std(energies))
    return np.asarray(height * (gaussians @ times[centres]), dtype=float)
