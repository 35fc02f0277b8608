"""What the search's jobs leave behind, whether it runs on a potential or at the reference level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search.run.islands import SearchSummary, summarise
from search.state.evolution import Evolution
from search.state.fitness import Fitness
from search.state.individual import Individual
from workflows.composition import Target
from workflows.conversion import to_structure
from workflows.documents.search import IslandDocument, SearchCandidate, SearchDocument
from workflows.stages.at_pressures import above_lowest


class NothingFoundError(RuntimeError):
    """A search has no structure to go on with; the message says why."""


def island_document(
    evolution: Evolution, cpu_seconds: float, relaxation_steps: int = 0
) -> IslandDocument:
    """
    Describe one population between two blocks of generations.

    Parameters
    ----------
    evolution : Evolution
        Its state.
    cpu_seconds : float
        That it took so far.
    relaxation_steps : int
        Steps of its relaxations, if an engine makes them.
    """
    return IslandDocument(
        generation=evolution.generation,
        n_structures=evolution.structures,
        best_energy=evolution.best_energy,
        finished=evolution.finished,
        cpu_seconds=cpu_seconds,
        relaxation_steps=relaxation_steps,
        evolution=evolution,
    )


def search_document(
    target: Target, islands: Sequence[IslandDocument], n_best: int, energies_of: str
) -> SearchDocument:
    """
    Collect the best distinct structures of all islands, and how they were found.

    With them come those that would be the best at other pressures: the densest and the most open of
    the good ones, of which a potential is to know as much as of the lowest.

    Parameters
    ----------
    target : Target
        What was looked for.
    islands : sequence of IslandDocument
        As they ended.
    n_best : int
        Distinct structures that are reported.
    energies_of : str
        Whose energies they are: ``"potential"``, or the name of an engine.

    Raises
    ------
    NothingFoundError
        If no structure could be relaxed.
    """
    states = [island.evolution for island in islands if island.evolution is not None]
    summary = summarise(states, n_best)
    if not summary.best:
        raise NothingFoundError(summary.reason)
    fitness, best = states[0].fitness, summary.best[0]
    return SearchDocument(
        formula=target.formula,
        formula_units=list(target.formula_units),
        energies_of=energies_of,
        generations=summary.generations,
        n_structures=summary.structures,
        ended=summary.ended,
        n_went_on=summary.went_on,
        pressure=fitness.pressure,
        **_of_best(target, summary.leader, best),
        candidates=_candidates(target, summary, energies_of, fitness),
        unknown=[_candidate(member, energies_of, fitness) for member in summary.unknown],
        histories=[
            {
                "structures": [float(new.structures) for new in history],
                f"best_{fitness.quantity}": [new.energy for new in history],
            }
            for history in summary.new_bests
            if not target.is_system  # energies of several compositions have no lowest one
        ],
        shares=summary.leader.share_history.shares(),
        discarded=list(summary.discards.items()),
        warning=summary.warning,
        cpu_seconds=sum(island.cpu_seconds for island in islands),
    )


def _of_best(target: Target, leader: Evolution, best: Individual) -> dict[str, Any]:
    """Energy and enthalpy of the best structure; of a system the lowest of formation."""
    fitness = leader.fitness
    if target.is_system:
        lowest = leader.best_energy
        return {"best_energy": lowest, "best_enthalpy": lowest if fitness.pressure else None}
    energy = fitness.without_pressure(best.energy, best.volume)
    return {"best_energy": energy, "best_enthalpy": best.energy if fitness.pressure else None}


def _candidates(
    target: Target, summary: SearchSummary, energies_of: str, fitness: Fitness
) -> list[SearchCandidate]:
    """Describe what is reported; of a system from the hull upwards."""
    members = [*summary.best, *summary.at_other_pressures]
    found = [_candidate(member, energies_of, fitness) for member in members]
    if not target.is_system:
        return found
    above = above_lowest(found)
    return [
        found[k].model_copy(update={"above_hull": above[k]})
        for k in sorted(range(len(found)), key=above.__getitem__)
    ]


def _candidate(member: Individual, energies_of: str, fitness: Fitness) -> SearchCandidate:
    """Describe a structure of the search."""
    return SearchCandidate(
        structure=to_structure(member.structure),
        pressure=fitness.pressure,
        energy=fitness.without_pressure(member.energy, member.volume),
        energy_of=energies_of,
        uncertainty=member.uncertainty,
        formula_units=member.formula_units,
        found_by=member.operator,
        found_at=member.id + 1,
        of_prototype=member.of_prototype,
        converged=member.converged,
    )
