"""Running a search inside one process: generation after generation, with checkpoints."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nnp.storage.files import write_atomically
from search.relax.energy import BatchEnergy
from search.relax.relaxer import Relaxer
from search.state.evolution import Evolution

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SearchFigures:
    """
    Where a search stands.

    Attributes
    ----------
    generation : int
        Generations done.
    structures : int
        Structures relaxed.
    best_energy : float
        Of the best structure, eV/atom.
    structures_per_second : float
        Over the last generation, wall time.
    distinct : int
        Distinct structures in the archive.
    converged : float
        Part of the last generation that relaxed to the end.
    cpu_seconds : float
        That the last generation took in this process.
    """

    generation: int
    structures: int
    best_energy: float
    structures_per_second: float
    distinct: int
    converged: float
    cpu_seconds: float


def save(evolution: Evolution, path: Path) -> None:
    """Write the state of a search to a file, all or nothing."""
    write_atomically(
        path, json.dumps(evolution.as_dict())
    )  # one string: much faster than json.dump


def load(path: Path) -> Evolution:
    """Read the state of a search written by `save`."""
    return Evolution.from_dict(json.loads(path.read_text()))


def resume(evolution: Evolution, checkpoint: Path) -> Evolution:
    """
    Return the search as `checkpoint` left it if there is one, else `evolution`.

    Raises `ValueError` if the checkpoint belongs to another search.
    """
    if not checkpoint.exists():
        return evolution
    saved = load(checkpoint)
    if (saved.composition, saved.seed) != (evolution.composition, evolution.seed):
        raise ValueError(
            f"{checkpoint} is of {saved.composition}, seed {saved.seed}, "
            f"not of {evolution.composition}, seed {evolution.seed}"
        )
    logger.info("resuming %s at generation %d", checkpoint, saved.generation)
    return saved


def run_generations(
    evolution: Evolution,
    relaxer: Relaxer,
    energy: BatchEnergy,
    generations: int,
    *,
    threads: int = 1,
    progress: Callable[[SearchFigures], None] | None = None,
    checkpoint: Path | None = None,
) -> Evolution:
    """
    Take a search forward until it has done `generations` generations or is finished.

    Parameters
    ----------
    evolution : Evolution
        Where to start. If `checkpoint` exists, the search goes on from there instead.
    relaxer : Relaxer
        How structures are relaxed.
    energy : BatchEnergy
        Gives energies, forces and stresses.
    generations : int
        Generations in all, those done before included, so that a resumed run ends where an
        uninterrupted one does.
    threads : int
        Threads over structures.
    progress : callable or None
        Called with `SearchFigures` after each generation.
    checkpoint : Path or None
        File of the state, written after each generation.

    Returns
    -------
    Evolution
        The search as it ended; `evolution` itself unless it was resumed from the checkpoint.
    """
    unknown = set(evolution.composition) - set(energy.elements)
    if energy.elements and unknown:
        raise ValueError(f"the potential does not know {', '.join(sorted(unknown))}")
    if checkpoint is not None:
        evolution = resume(evolution, checkpoint)
    while evolution.generation < generations and not evolution.finished:
        started, cpu = time.perf_counter(), time.process_time()
        candidates = evolution.ask()
        relaxed = relaxer.relax(
            [candidate.atoms for candidate in candidates],
            energy,
            threads=threads,
            best=evolution.best_energies(),
            distances=evolution.distance_limits,
        )
        evolution.tell(relaxed)
        if checkpoint is not None:
            save(evolution, checkpoint)
        if progress is not None:
            figures = SearchFigures(
                generation=evolution.generation,
                structures=evolution.structures,
                best_energy=evolution.best_energy,
                structures_per_second=len(relaxed) / (time.perf_counter() - started),
                distinct=len(evolution.archive),
                converged=sum(r.converged for r in relaxed) / len(relaxed),
                cpu_seconds=time.process_time() - cpu,
            )
            progress(figures)
    return evolution
