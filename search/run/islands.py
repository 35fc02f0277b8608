"""
Several populations side by side, which exchange their best between blocks of generations.

Each island is a search of its own; a single one is a search without exchange. All run a block, and
every island takes in the others' best before its next block; when all are finished, they are summed
up. This is the same for whoever runs the blocks: `search.run.processes` in processes, a workflow in
jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from search.candidate import MIGRANT
from search.composition_space import CompositionSpace
from search.create.random_crystals import typical_volume
from search.relax.pressure import compressed
from search.relax.relaxed import GIVEN_UP
from search.run.driver import load, save
from search.state.evolution import Evolution
from search.state.fitness import better_first
from search.state.other_pressures import lowest_at_other_pressures
from search.symmetry import find_space_group

if TYPE_CHECKING:
    from ase import Atoms

    from search.options import EvolutionOptions
    from search.state.fitness import Fitness
    from search.state.individual import Individual, NewBest


@dataclass(frozen=True)
class SearchSummary:
    """
    What all islands found together.

    Attributes
    ----------
    best : list of Individual
        Distinct structures with their space groups, best first; the lowest of the unknown ones
        if none is known.
    leader : Evolution
        The island with the best of them.
    generations : int
        Of the island that did most.
    structures : int
        Relaxed on all islands.
    went_on : int
        Of them, those that were relaxed on to the tight limits after the last generation.
    new_bests : list of list of NewBest
        By island: every structure that was better than all before it there.
    discards : dict of str to int
        Structures left out, by reason, in alphabetical order.
    ended : list of str
        By island: what it had done enough of, or that it found nothing new.
    unknown : list of Individual
        Distinct structures beyond what the potential knows, lowest in energy first.
    at_other_pressures : list of Individual
        Distinct structures that are not among the best, but would be the lowest of all at some
        other pressure.
    """

    best: list[Individual]
    leader: Evolution
    generations: int
    structures: int
    went_on: int
    new_bests: list[list[NewBest]]
    discards: dict[str, int]
    ended: list[str]
    unknown: list[Individual]
    at_other_pressures: list[Individual]

    @property
    def warning(self) -> str | None:
        """What to know before the result is trusted, in a sentence."""
        if not self.best or self.best[0].status != GIVEN_UP:
            return None
        return (
            "All structures are more uncertain than max_uncertainty lets pass: what is reported is "
            "the lowest of what the potential does not know. Train it on more frames, or raise "
            "max_uncertainty."
        )

    @property
    def reason(self) -> str:
        """Why there is nothing, in a sentence, for a search that found nothing."""
        reasons = sorted(self.discards.items(), key=lambda item: -item[1])[:3]
        listed = "; ".join(f"{n} times {reason}" for reason, n in reasons)
        return (
            f"No structure could be relaxed ({listed or 'none was made'}): the potential does not "
            "describe this compound, or the relaxer's settings are too strict."
        )


def set_up_islands(
    composition: Mapping[str, int] | CompositionSpace,
    options: EvolutionOptions,
    seeds: Sequence[int],
    structures: Sequence[Atoms] = (),
    fitness: Fitness | None = None,
) -> list[Evolution]:
    """
    Make the islands at their start; they share the budget of structures and what to begin with.

    Prototypes are dealt out as seeds are. Where nobody says at which volume to begin, it is that of
    covalent radii, at the pressure of the fitness smaller by as much as compounds are on average;
    the best structures correct it.

    Parameters
    ----------
    composition : mapping of str to int, or CompositionSpace
        Atoms of each element in one formula unit, or a system.
    options : EvolutionOptions
        Of all islands together: `max_structures` is divided among them.
    seeds : sequence of int
        Of random numbers, one for each island.
    structures : sequence of ase.Atoms
        To begin with, dealt out one after the other.
    fitness : Fitness or None
        What makes one structure better than another; none: energy per atom.

    Raises
    ------
    ValueError
        If the budget is smaller than the number of islands.
    """
    budgets = share_budget(options.max_structures, len(seeds))
    if fitness is not None and fitness.pressure and options.volume_per_atom is None:
        counts = (
            dict.fromkeys(composition.elements, 1)  # whose mean volume the option is
            if isinstance(composition, CompositionSpace)
            else composition
        )
        volume = typical_volume(counts) / sum(counts.values())
        options = replace(options, volume_per_atom=compressed(volume, fitness.pressure))
    islands = [
        Evolution(
            composition,
            replace(options, max_structures=budget),
            seed,
            structures[island :: len(seeds)],
            fitness,
            prototypes=() if island else None,  # those of one island are the same for all
        )
        for island, (seed, budget) in enumerate(zip(seeds, budgets, strict=True))
    ]
    prototypes = islands[0].prototypes
    for number, island in enumerate(islands):
        island.prototypes = prototypes[number :: len(islands)]
    return islands


def share_budget(budget: int | None, islands: int) -> list[int | None]:
    """
    Divide a budget of structures among islands; the first ones get what is left over.

    Parameters
    ----------
    budget : int or None
        Of all islands together; none: no limit.
    islands : int
        How many.

    Raises
    ------
    ValueError
        If it is smaller than the number of islands.
    """
    if budget is None:
        return [None] * islands
    if budget < islands:
        raise ValueError(f"{budget} structures are too few for {islands} islands")
    return [budget // islands + (island < budget % islands) for island in range(islands)]


def exchange(evolution: Evolution, others: Iterable[Sequence[Individual]]) -> None:
    """
    Let an island take in what others have best, between two of its blocks.

    Parameters
    ----------
    evolution : Evolution
        The island; a finished one stays as it is.
    others : iterable of sequences of Individual
        The best of each of the others, in the order of the islands.
    """
    if evolution.finished:
        return
    for best in others:
        evolution.add_migrants(best)


def summarise(islands: Sequence[Evolution], n_best: int) -> SearchSummary:
    """
    Sum up a search.

    Parameters
    ----------
    islands : sequence of Evolution
        As they ended.
    n_best : int
        Distinct structures wanted.
    """
    unknown = merge_unknown(islands)
    uncertain = [replace(member, fitness=member.energy) for member in unknown]
    merged = merge_archives(islands)
    best = (merged or uncertain)[:n_best]
    reported = {id(member) for member in best}
    for member in best:
        if member.space_group is None:
            member.space_group = find_space_group(member.structure).number
    discards = Counter[str]()
    for island in islands:
        discards.update(island.discards)
    return SearchSummary(
        best=best,
        leader=better_first(islands, _standing)[0],
        generations=max(island.generation for island in islands),
        structures=sum(island.structures for island in islands),
        went_on=sum(len(island.went_on) for island in islands),
        new_bests=[island.best_history for island in islands],
        discards=dict(sorted(discards.items())),
        ended=[island.ended or "not finished" for island in islands],
        unknown=unknown,
        at_other_pressures=[
            member for member in _at_other_pressures(merged) if id(member) not in reported
        ],
    )


def _standing(island: Evolution) -> float | None:
    """How far an island has come; none if it has found nothing."""
    members = island.archive.members
    return island.fitness.standing(members) if members else None


def _at_other_pressures(members: Sequence[Individual]) -> list[Individual]:
    """Lowest at other pressures of each composition."""
    by_compound: dict[object, list[Individual]] = {}
    for member in members:
        by_compound.setdefault(member.compound, []).append(member)
    found = [lowest_at_other_pressures(same) for same in by_compound.values()]
    return better_first(chain.from_iterable(found), lambda member: member.fitness)


def merge_archives(islands: Sequence[Evolution]) -> list[Individual]:
    """Distinct members of all islands' archives, best first, judged by all that they know."""
    if len(islands) == 1:  # an archive's members are distinct as they are
        return [replace(member) for member in islands[0].archive.members]
    found = [
        (replace(member), vector)
        for archive in (island.archive for island in islands)
        for member, vector in zip(archive.members, archive.fingerprints, strict=True)
        if member.operator != MIGRANT  # its own island has it too
    ]
    if (fitness := islands[0].fitness).follows:
        fitness = fitness.learned(member for member, _ in found)
        for member, _ in found:
            member.fitness = fitness.of_energy(member.energy, member.uncertainty, member.structure)
    merged = islands[0].archive.emptied()
    for member, vector in found:
        merged.add(member, vector)
    return list(merged.members)


def merge_unknown(islands: Sequence[Evolution]) -> list[Individual]:
    """Distinct structures of all islands that the potential does not know, lowest first."""
    merged = islands[0].unknown.emptied()
    for island in islands:
        for member in island.unknown.members:
            merged.add(replace(member))
    return merged.members


def island_paths(folder: Path, islands: int) -> list[Path]:
    """Files of the states of all islands."""
    return [folder / f"island_{island + 1}.json" for island in range(islands)]


def change_budget(folder: Path, islands: Sequence[Evolution]) -> None:
    """
    Let the searches that are stored in a folder go on to another number of structures.

    Parameters
    ----------
    folder : Path
        Of the states; those that are missing have not begun.
    islands : sequence of Evolution
        As they would start with the new budget.
    """
    for path, island in zip(island_paths(folder, len(islands)), islands, strict=True):
        if not path.exists():
            continue
        saved = load(path)
        if saved.options.max_structures != island.options.max_structures:
            saved.options.max_structures = island.options.max_structures
            save(saved, path)
