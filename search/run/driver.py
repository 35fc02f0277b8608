"""Running a search inside one process: generation after generation, with checkpoints."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnp.storage.files import write_atomically
from search.relax.energy import BatchEnergy
from search.relax.onward import relax_on, relax_on_nearest
from search.relax.processes import cpu_seconds
from search.relax.relaxed import Relaxed
from search.relax.relaxer import Relaxer
from search.state.acceptance import as_relaxed
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
        Of the best structure, eV/atom; its enthalpy where the search has a pressure; of a
        system the lowest energy of formation.
    structures_per_second : float
        Over the last generation, wall time.
    distinct : int
        Distinct structures in the archive.
    converged : float
        Part of the last generation that relaxed to the end.
    cpu_seconds : float
        That the last generation took, other processes included.
    went_on : int
        Structures that were relaxed on to the tight limits after the last generation.
    ended : str or None
        Why this generation was the last one; none if there are more.
    """

    generation: int
    structures: int
    best_energy: float
    structures_per_second: float
    distinct: int
    converged: float
    cpu_seconds: float
    went_on: int = 0
    ended: str | None = None


def save(evolution: Evolution, path: Path) -> None:
    """Write the state of a search to a file, all or nothing."""
    write_atomically(
        path, json.dumps(evolution.as_dict())
    )  # one string: much faster than json.dump


class SearchStateError(ValueError):
    """A file is not the state of a search, or of another one; the message says which and why."""


def load(path: Path) -> Evolution:
    """
    Read the state of a search written by `save`.

    Raises
    ------
    SearchStateError
        If it is broken, or no such state.
    """
    try:
        return Evolution.from_dict(read_object(path))
    except (SearchStateError, OSError):
        raise
    except Exception as error:  # whatever an altered state leads its readers to
        said = (str(error).strip().splitlines() or ["it is empty"])[0]
        raise SearchStateError(
            f"{path} is no state of a search that can be read ({type(error).__name__}: {said}); "
            "restore it from a copy, or begin in another folder"
        ) from error


def read_object(path: Path) -> dict[str, Any]:
    """
    Read a JSON object that a search has written.

    Raises
    ------
    SearchStateError
        If it is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SearchStateError(
            f"{path} is broken: restore it from a copy, or begin in another folder"
        )
    return found


def resume(evolution: Evolution, checkpoint: Path) -> Evolution:
    """
    Return the search as `checkpoint` left it if there is one, else `evolution`.

    How many generations it is to have, `evolution` says.

    Raises `SearchStateError` if the checkpoint is broken or belongs to another search.
    """
    if not checkpoint.exists():
        return evolution
    saved = load(checkpoint)
    if (saved.composition, saved.seed) != (evolution.composition, evolution.seed):
        raise SearchStateError(
            f"{checkpoint} is of {saved.composition}, seed {saved.seed}, "
            f"not of {evolution.composition}, seed {evolution.seed}"
        )
    if saved.fitness.pressure != evolution.fitness.pressure:
        raise SearchStateError(
            f"{checkpoint} is of a search at {saved.fitness.pressure:g} kbar, not at "
            f"{evolution.fitness.pressure:g} kbar"
        )
    saved.options.generations = evolution.options.generations
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
    n_best: int = 0,
) -> Evolution:
    """
    Take a search forward until it has done `generations` generations or is finished.

    A search that is finished ends by relaxing those on to the tight limits that are reported and
    are not there yet. All are relaxed at the pressure of the search's fitness.

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
    n_best : int
        Structures that are reported of a finished search.

    Returns
    -------
    Evolution
        The search as it ended; `evolution` itself unless it was resumed from the checkpoint.
    """
    unknown = set(evolution.elements) - set(energy.elements)
    if energy.elements and unknown:
        raise ValueError(f"the potential does not know {', '.join(sorted(unknown))}")
    if checkpoint is not None:
        evolution = resume(evolution, checkpoint)
    limits = replace(relaxer.limits, pressure=evolution.fitness.pressure)
    relaxer = replace(relaxer, limits=limits)
    while evolution.generation < generations and not evolution.finished:
        started, cpu = time.perf_counter(), cpu_seconds()
        relaxed = _relax(evolution, relaxer, energy, threads)
        evolution.tell(relaxed)
        if checkpoint is not None:
            save(evolution, checkpoint)
        if progress is not None:
            progress(_figures(evolution, relaxed, started, cpu))
    while evolution.finished and relaxer.tight_window is not None:
        started, cpu = time.perf_counter(), cpu_seconds()
        relaxed = _relax_reported(evolution, relaxer, energy, threads, n_best)
        if not relaxed:
            break
        if checkpoint is not None:
            save(evolution, checkpoint)
        if progress is not None:
            progress(replace(_figures(evolution, relaxed, started, cpu), went_on=len(relaxed)))
    return evolution


def _relax_reported(
    evolution: Evolution, relaxer: Relaxer, energy: BatchEnergy, threads: int, n_best: int
) -> list[Relaxed]:
    """Relax those on that are reported and not at the tight limits; none if all of them are."""
    members = evolution.unfinished(n_best)
    if not members:
        return []
    relaxed = relax_on(
        relaxer,
        [as_relaxed(member) for member in members],
        energy,
        threads=threads,
        distances=evolution.distance_limits,
    )
    evolution.renew(members, relaxed)
    return relaxed


def _relax(
    evolution: Evolution, relaxer: Relaxer, energy: BatchEnergy, threads: int
) -> list[Relaxed]:
    """Relax one generation; those near the best of it to the tight limits, also in the first."""
    candidates = evolution.ask()
    best = evolution.best_energies()
    relaxed = relaxer.relax(
        [candidate.atoms for candidate in candidates],
        energy,
        threads=threads,
        best=best,
        distances=evolution.distance_limits,
        trust=evolution.fitness.trust,
    )
    if best is not None or (found := evolution.best_energies(relaxed)) is None:
        return relaxed
    return relax_on_nearest(
        relaxer,
        relaxed,
        energy,
        found,
        threads=threads,
        distances=evolution.distance_limits,
        trust=evolution.fitness.trust,
    )


def _figures(
    evolution: Evolution, relaxed: Sequence[Relaxed], started: float, cpu: float
) -> SearchFigures:
    """Say where a search stands after some structures were relaxed."""
    return SearchFigures(
        generation=evolution.generation,
        structures=evolution.structures,
        best_energy=evolution.best_energy,
        structures_per_second=len(relaxed) / (time.perf_counter() - started),
        distinct=len(evolution.archive),
        converged=sum(r.converged for r in relaxed) / len(relaxed),
        cpu_seconds=cpu_seconds() - cpu,
        ended=evolution.ended,
    )
