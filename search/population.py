"""Who may become a parent: low in energy, unlike the others, and not tried too often already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from monty.json import MSONable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.archive import Archive, Individual


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
        default=0.1,
        metadata={"unit": "", "help": "of an antiseed, against the typical fingerprint distance"},
    )
    futile_child: float = field(
        default=0.5,
        metadata={"unit": "", "help": "height that a child which was no success adds to a parent"},
    )
    young: float = field(
        default=0.5,
        metadata={"unit": "", "help": "part of the parents that are of young lineages"},
    )
    young_age: int = field(
        default=5,
        metadata={"unit": "generations", "help": "since a young lineage came from nothing"},
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
    generation: int,
) -> tuple[list[Individual], list[Individual]]:
    """Choose the population from all distinct structures found.

    Fitness is energy plus a Gaussian of the fingerprint distance for each antiseed, as in Lyakhov
    et al., Comput. Phys. Commun. 184, 1172 (2013). Height and width follow the spread of the
    energies and of the fingerprints, so that they need no knowledge of the system.

    The fittest of all would soon be the offspring of a few early finds, and nothing new could
    compete with what has been improved for long. So some places are kept for young lineages, as in
    G. S. Hornby's age-layered populations (GECCO 2006).

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
        Heights, widths, niches, ages.
    generation : int
        The one that is about to be made.

    Returns
    -------
    old, young : lists of Individual
        Fittest first; nobody is in both.
    """
    count = int(np.searchsorted(archive.energies, archive.energies[0] + window, side="right"))
    count = max(count, min(len(archive), 2))
    energies = archive.energies[:count]
    vectors = archive.fingerprints[:count]
    fitness = energies.copy()
    if options.antiseeds:
        fitness += _repulsion(archive, antiseeds, vectors, energies[: 2 * size], options)
    order = np.argsort(fitness, kind="stable")
    oldest = generation - options.young_age
    is_young = np.array([member.lineage >= oldest for member in archive.members[:count]])
    # without young lineages, or without others, all places are filled alike
    separate = is_young.any() and not is_young.all()
    places = size - round(options.young * size) if separate else size
    old = _unlike(order, vectors, places, options, [])
    young = _unlike(order[is_young[order]], vectors, size - places, options, old)
    return [archive.members[i] for i in old], [archive.members[i] for i in young]


def _unlike(
    order: NDArray[np.int64],
    vectors: NDArray[np.float32],
    places: int,
    options: NicheOptions,
    taken: list[int],
) -> list[int]:
    """Give places to the first in `order` (indices) whose niches are not full yet."""
    chosen: list[int] = []
    for i in order:
        if len(chosen) == places:
            break
        others = taken + chosen
        if i in others:
            continue
        if others:
            apart = 0.5 * (1.0 - vectors[others] @ vectors[i])
            if int((apart < options.radius).sum()) >= options.per_niche:
                continue
        chosen.append(int(i))
    return chosen


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
