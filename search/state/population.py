"""Who may become a parent: fit, unlike the others, and not tried too often already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.options import NicheOptions
    from search.state.archive import Archive
    from search.state.individual import Individual

PER_COMPOUND = 3
"""Members of the population of one composition, where a search has several."""


def select(
    archive: Archive,
    antiseeds: Mapping[int, float],
    size: int,
    window: float,
    options: NicheOptions,
) -> list[Individual]:
    """
    Choose the population from all distinct structures found.

    Each antiseed counts against a structure by a Gaussian of their fingerprint distance, as in
    Lyakhov et al., Comput. Phys. Commun. 184, 1172 (2013). Height and width follow the spread of
    the fitness and of the fingerprints, so that they need no knowledge of the system. Where the
    compositions of a system are searched, the population is spread over them as well.

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
    count = int(np.searchsorted(archive.fitness, archive.fitness[0] + window, side="right"))
    count = max(min(count, 6 * size), min(len(archive), 2))
    vectors = archive.fingerprints[:count]
    penalised = archive.fitness[:count].copy()
    if options.antiseeds:
        leading = archive.fitness[: min(count, 2 * size)]
        penalised += _repulsion(archive, antiseeds, vectors, leading, options)
    chosen: list[int] = []
    number = Counter[tuple[tuple[int, int], ...]]()
    for i in np.argsort(penalised, kind="stable"):
        if chosen:
            apart = 0.5 * (1.0 - vectors[chosen] @ vectors[i])
            if int((apart < options.radius).sum()) >= options.per_niche:
                continue
        if archive.of_system:
            compound = archive.members[i].compound
            if number[compound] >= PER_COMPOUND:
                continue
            number[compound] += 1
        chosen.append(int(i))
        if len(chosen) == size:
            break
    return [archive.members[i] for i in chosen]


def _repulsion(
    archive: Archive,
    antiseeds: Mapping[int, float],
    vectors: NDArray[np.float32],
    fitness: NDArray[np.float64],
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
    leading = archive.fingerprints[: len(fitness)]
    typical = float(np.mean(0.5 * (1.0 - leading @ leading.T)))
    width = max(options.width * typical, 1e-3)
    apart = 0.5 * (1.0 - vectors @ archive.fingerprints[centres].T)
    gaussians = np.exp(-0.5 * (apart / width) ** 2)
    height = options.height * float(np.std(fitness))
    return np.asarray(height * (gaussians @ times[centres]), dtype=float)
