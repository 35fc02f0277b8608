"""
The evolutionary search as a state that is asked for structures and told their energies.

`Evolution` computes no energy and starts no job: whoever drives it relaxes what `ask` returns and
hands the outcome to `tell`. So the same search runs inside one process on a neural network
potential and as one job a structure on a density functional.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from search.candidate import MIGRANT, SEED, Candidate
from search.create.registry import PROTOTYPE
from search.options import EvolutionOptions
from search.relax.relaxer import GIVEN_UP
from search.relax.trust import UNKNOWN
from search.state.above_hull import fitness_for
from search.state.acceptance import accept, checked_seed, may_go_on, renew
from search.state.antiseeds import Antiseeds
from search.state.archive import Archive
from search.state.contents import (
    SystemContents,
    contents_of,
    pack_composition,
    unpack_composition,
)
from search.state.fitness import Fitness
from search.state.individual import DUPLICATE, Individual, NewBest, note_best
from search.state.individual_table import IndividualTable
from search.state.lineages import Lineages
from search.state.novelty import Novelty
from search.state.population import select
from search.state.shares import OperatorShares, ShareHistory
from search.state.storage import StoredState
from search.state.system_adaptation import adaptation_of
from search.state.unknown import UnknownStructures
from search.state.variation import Variation
from search.symmetry import find_space_group

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from search.composition_space import CompositionSpace
    from search.geometry import DistanceLimits
    from search.relax.relaxer import Relaxed

FUTILE_CHILD = 0.1
"""Strength of the antiseed that a parent becomes for a child that was no success."""


class Evolution(StoredState):
    """
    An evolutionary search for the crystal structures of a composition, or of a whole system.

    Parameters
    ----------
    composition : mapping of str to int, or CompositionSpace
        Atoms of each element in one formula unit, or the system whose compositions are searched.
    options : EvolutionOptions
        How it varies, selects and ends.
    seed : int
        The same seed gives the same search.
    seeds : sequence of ase.Atoms
        Structures of any number of formula units to begin with, relaxed in the first generation.
    fitness : Fitness or None
        What makes one structure better than another; none: energy per atom, in a system above
        its hull.
    prototypes : sequence of ase.Atoms or None
        Known structure types to go on with; none: those that the options ask for are made.

    Examples
    --------
    >>> evolution = Evolution({"Mg": 1, "O": 1}, EvolutionOptions(formula_units=(2, 4)), seed=1)
    >>> while not evolution.finished:
    ...     candidates = evolution.ask()
    ...     evolution.tell(relaxer.relax([c.atoms for c in candidates], energy))
    >>> evolution.best(5)
    """

    def __init__(
        self,
        composition: Mapping[str, int] | CompositionSpace,
        options: EvolutionOptions | None = None,
        seed: int = 0,
        seeds: Sequence[Atoms] = (),
        fitness: Fitness | None = None,
        prototypes: Sequence[Atoms] | None = None,
    ) -> None:
        self.options = options or EvolutionOptions()
        self.seed = seed
        self.contents = contents_of(composition, self.options)
        self.seeds = [checked_seed(atoms, self.contents) for atoms in seeds]
        self.fitness = fitness_for(composition, fitness)
        self.migrants = 0
        self.rng = np.random.default_rng(seed)
        self.generation = 0
        self.individuals = IndividualTable()
        self.best_history: list[NewBest] = []
        self.discards: Counter[str] = Counter()
        self.adaptation = adaptation_of(self.contents, self.options)
        self.variation = Variation(self.contents, self.options, self.adaptation, self.discards)
        made = self.variation.first_prototypes() if prototypes is None else prototypes
        self.prototypes = list(made)
        self.lineages = Lineages(
            Archive(
                sorted(self.elements),
                self.options.energy_tolerance,
                self.options.distance_tolerance,
                self.options.archive_size,
                of_system=self.is_of_system,
            )
        )
        self.novelty = Novelty(self.options.energy_tolerance / 2, self.options.energy_window)
        self.unknown = UnknownStructures(self.archive.elements, self.options.distance_tolerance)
        self.shares = self._first_shares()
        self.share_history = ShareHistory(list(self.shares.prior))
        self.antiseeds = Antiseeds()
        self.went_on: set[int] = set()
        self.pending: list[Candidate] = []
        self._population: list[Individual] | None = None

    @property
    def composition(self) -> dict[str, int] | CompositionSpace:
        """Atoms of each element in one formula unit, or the system."""
        return self.contents.composition

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of all elements there may be."""
        return self.contents.elements

    @property
    def is_of_system(self) -> bool:
        """Whether compositions differ."""
        return isinstance(self.contents, SystemContents)

    @property
    def population(self) -> int:
        """Structures per generation."""
        if self.options.population is not None:
            return self.options.population
        usual = int(np.clip(self.contents.largest // 2, 20, 60))
        # each composition is a search of its own, though they help one another
        return min(usual + 10 * len(self.elements), 80) if self.is_of_system else usual

    @property
    def structures(self) -> int:
        """Structures evaluated so far, those of other islands not counted."""
        return len(self.individuals) - self.migrants

    @property
    def archive(self) -> Archive:
        """Distinct structures found so far."""
        return self.lineages.archive

    @property
    def lineage(self) -> Archive:
        """Those of the present lineage, from which parents come."""
        return self.lineages.present

    @property
    def best_fitness(self) -> float:
        """Fitness of the best structure so far, eV/atom; NaN before the first."""
        return float(self.archive.fitness[0]) if len(self.archive) else float("nan")

    @property
    def best_energy(self) -> float:
        """
        Energy of the best structure so far, eV/atom; NaN before the first.

        Of a system the lowest energy of formation.
        """
        members = self.archive.members
        return self.fitness.figure(members) if members else float("nan")

    @property
    def distance_limits(self) -> DistanceLimits:
        """Shortest distances a structure may have."""
        return self.adaptation.limits

    @property
    def ended(self) -> str | None:
        """Why the search is finished: what it has done enough of; none if it is not."""
        budget, patience = self.options.max_structures, self.options.patience
        if self.generation >= self.options.generations:
            return "generations"
        if budget is not None and self.structures >= budget:
            return "structures"
        waited = self.generation - self.novelty.since
        if patience is not None and waited >= patience:
            return f"nothing new for {patience} generations"
        return None

    @property
    def finished(self) -> bool:
        """Whether there is no further generation."""
        return self.ended is not None

    def best(self, n: int = 10) -> list[Individual]:
        """Return the `n` best distinct structures, with their space groups determined."""
        members = self.archive.members[:n]
        for member in members:
            if member.space_group is None and member.atoms is not None:
                member.space_group = find_space_group(member.atoms).number
                self.individuals.update(member)
        return members

    def ask(self) -> list[Candidate]:
        """
        Make the structures of the next generation.

        Asked again before `tell`, it returns the same ones.
        """
        if not self.pending:
            number = self.population
            if self.options.max_structures is not None:
                number = min(number, max(self.options.max_structures - self.structures, 0))
            first = len(self.individuals)
            self.pending = [self._candidate(first + i) for i in range(number)]
        return self.pending

    def best_energies(self, relaxed: Sequence[Relaxed] = ()) -> NDArray[np.float64] | None:
        """
        Energies (n,) in eV/atom at which the structures of the last `ask` would equal the best.

        None while there is no best one, neither told of nor among those `relaxed` now.
        """
        usable = [r for r in relaxed if r.usable and self.fitness.knows(r)]
        fitness = self.fitness.learned_from(usable) if usable else self.fitness
        known = [fitness.of(r) for r in usable] + [self.best_fitness]
        best = min((value for value in known if np.isfinite(value)), default=None)
        if best is None:
            return None
        return np.array([fitness.energy_at(best, c.atoms) for c in self.pending])

    def unfinished(self, n: int) -> list[Individual]:
        """Return those of the `n` best that may be relaxed on, at most a generation of them."""
        best = self.archive.members[:n]
        return [m for m in best if m.id not in self.went_on and may_go_on(m)][: self.population]

    def renew(self, members: Sequence[Individual], relaxed: Sequence[Relaxed]) -> None:
        """Take in what members of the archive became that were relaxed on."""
        for member, result in zip(members, relaxed, strict=True):
            self.went_on.add(member.id)
            if member.atoms is None:  # it is a duplicate of one before it by now
                continue
            renew(member, result, self.fitness)
            if not self.fitness.knows(result):
                self._set_aside(member)
            self._learn([])
            self.individuals.update(member)
            if member.atoms is not None:
                self._enter(member, None)
        self._population = None

    def add_migrants(self, individuals: Sequence[Individual]) -> int:
        """
        Take in relaxed structures of other islands; returns how many were new here.

        To be called between `tell` and `ask`.

        Parameters
        ----------
        individuals : sequence of Individual
            With their structures.

        Raises
        ------
        RuntimeError
            If structures were asked for that have not been told of yet.
        """
        if self.pending:
            raise RuntimeError("structures can come in only between tell and ask")
        new = 0
        first = len(self.individuals)
        arrived = [
            replace(
                foreign,
                id=first + number,
                generation=self.generation,
                operator=MIGRANT,
                parents=(),
                atoms=foreign.structure.copy(),
            )
            for number, foreign in enumerate(individuals)
        ]
        self._learn(arrived)
        for individual in arrived:
            self.individuals.append(individual)
            self.migrants += 1
            new += self._enter(individual, self.generation)
        self._population = None
        return new

    def tell(self, relaxed: Sequence[Relaxed]) -> None:
        """Take in the outcome of the structures of the last `ask`, in the same order."""
        if len(relaxed) != len(self.pending):
            raise ValueError(f"asked for {len(self.pending)} structures, told {len(relaxed)}")
        if len(self.lineage):
            self.antiseeds.strengthen(self._parents()[0].id, 1.0)
        judged = [
            accept(candidate, result, self.generation, self.distance_limits, self.fitness)
            for candidate, result in zip(self.pending, relaxed, strict=True)
        ]
        self._learn([individual for individual, reason in judged if reason is None])
        born: list[Individual] = []
        newcomers: set[int] = set()
        for candidate, result, (individual, reason) in zip(
            self.pending, relaxed, judged, strict=True
        ):
            self._note_use(candidate, result, individual, reason)
            self.individuals.append(individual)
            born.append(individual)
            if individual.atoms is not None and self._enter(individual, self.generation + 1):
                newcomers.add(individual.id)
        self._credit_operators(born, newcomers)
        self.adaptation.adapt(self.pending, born, self.lineage)
        self.antiseeds.keep({member.id for member in self.lineage.members})
        self.pending, self._population = [], None
        self.generation += 1
        if self.seeds or self.prototypes:  # which are news when their turn comes
            self.novelty.since = self.generation
        self._restart_if_stuck()

    def _restart_if_stuck(self) -> None:
        """Begin a new lineage where the present one has not become better for long."""
        patience, tolerance = self.options.restart_after, self.options.energy_tolerance / 2
        if patience is not None and self.lineages.is_stuck(
            self.generation, patience, tolerance, self.fitness
        ):
            self.lineages.restart(self.generation)
            self.shares = self._first_shares()
            self.adaptation.forget()
            self.antiseeds = Antiseeds()

    def _first_shares(self) -> OperatorShares:
        shares = self.options.usable_shares(self.is_of_system)
        return OperatorShares(shares, self.options.adjust_shares)

    def _candidate(self, id_: int) -> Candidate:
        """
        Make one structure.

        A seed while there are some, then a prototype, else by an operator that is drawn by shares.
        """
        if self.seeds:
            atoms = self.seeds.pop(0)
            return Candidate(id_, atoms, SEED, (), self.contents.units_of(atoms))
        if self.prototypes:
            atoms = self.prototypes.pop(0)
            return Candidate(id_, atoms, PROTOTYPE, (), self.contents.units_of(atoms))
        parents = self._parents() if len(self.lineage) else []
        return self.variation.create_by_shares(id_, self.shares.current(), parents, self.rng)

    def _parents_count(self) -> int:
        return max(2, round(self.options.parents_kept * self.population))

    def _parents(self) -> list[Individual]:
        """Those that may become parents in this generation, fittest first."""
        if self._population is None:
            self._population = select(
                self.lineage,
                self.antiseeds,
                self._parents_count(),
                self.options.energy_window,
                self.options.niches,
            )
        return self._population

    # taking in results

    def _is_of_prototype(self, candidate: Candidate) -> bool:
        """Whether a structure may have come from a known type: a seed of such a search may, too."""
        if candidate.operator == SEED:
            return self.options.prototypes is not None
        return candidate.operator == PROTOTYPE or any(
            self.individuals[parent].of_prototype for parent in candidate.parents
        )

    def _note_use(
        self, candidate: Candidate, relaxed: Relaxed, individual: Individual, reason: str | None
    ) -> None:
        """Note where a relaxed candidate came from, and why it is of no use if it is not."""
        individual.of_prototype = self._is_of_prototype(candidate)
        if reason is not None:
            self.discards[reason] += 1
        if reason == UNKNOWN:
            self.unknown.add(replace(individual, atoms=relaxed.atoms.copy()))

    def _learn(self, newcomers: Sequence[Individual]) -> None:
        """Let the fitness follow what is known, and what comes in now; judge all of it anew."""
        if not self.fitness.follows:
            return
        fitness = self.fitness.learned([*self.archive.members, *newcomers])
        if fitness is not self.fitness:
            self.fitness = fitness
            for member in self.lineages.refit(fitness):
                self.individuals.update(member)
        for newcomer in newcomers:
            newcomer.fitness = self.fitness.of_energy(
                newcomer.energy, newcomer.uncertainty, newcomer.structure
            )

    def _set_aside(self, member: Individual) -> None:
        """Let a member go that was known until it relaxed on, and keep its structure aside."""
        self.lineages.discard(member)
        member.status, member.fitness = GIVEN_UP, float("nan")
        self.discards[UNKNOWN] += 1
        if self._is_noted(member):
            self.best_history = [new for new in self.best_history if new.id != member.id]
        elif self.best_history and self.best_history[-1].id == member.id:
            self.best_history.pop()
        self.unknown.add(replace(member))
        member.forget_structure()

    def _enter(self, individual: Individual, generations: int | None) -> bool:
        """
        Offer an individual to the archive; whether it is new there.

        It may be news after so many generations; none: a finished search stays finished.
        """
        before = self.best_fitness
        entry = self.lineages.add(individual, self.archive.fingerprint_of(individual))
        is_first = self.archive.members[0] is individual
        improves = entry.better is None and self.fitness.improves(individual, is_first, before)
        if improves and not self._is_noted(individual):
            note_best(self.best_history, individual, self.structures)
            individual.space_group = find_space_group(individual.structure).number
            self.individuals.update(individual)
        if generations is not None:
            self.novelty.note(individual, entry, self.archive, generations)
        if entry.better is None:
            self._merge_duplicates(entry.replaced, individual)
        else:
            self._merge_duplicates([individual], entry.better)
        return entry.is_new

    def _is_noted(self, individual: Individual) -> bool:
        """Whether one of several best structures has been written down as such before."""
        return self.fitness.follows and any(new.id == individual.id for new in self.best_history)

    def _merge_duplicates(self, duplicates: Sequence[Individual], kept: Individual) -> None:
        """Drop the structures of duplicates; what repelled from them repels from the one kept."""
        for duplicate in duplicates:
            self.discards[DUPLICATE] += 1
            duplicate.status = f"{DUPLICATE} of {kept.id}"
            duplicate.forget_structure()
            self.individuals.update(duplicate)
            self.antiseeds.move(duplicate.id, kept.id)

    def _credit_operators(self, born: Sequence[Individual], newcomers: set[int]) -> None:
        """Credit operators for children that are new and fit, and hold failures against parents."""
        made, successes = Counter[str](), Counter[str]()
        top = {member.id for member in self.lineage.members[: self._parents_count()]}
        for individual in born:
            success = individual.id in newcomers and individual.id in top
            made[individual.operator] += 1
            successes[individual.operator] += success
            if not success:
                for parent in individual.parents:
                    self.antiseeds.strengthen(parent, FUTILE_CHILD)
        self.share_history.append(self.shares.current(), made, successes)
        self.shares.learn(made, successes)

    # storage

    def as_dict(self) -> dict[str, Any]:
        """Return the whole state, ready for JSON; a few MB after ten thousand structures."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            "composition": pack_composition(self.composition),
            "options": asdict(self.options),
            "seed": self.seed,
            "fitness": self.fitness.as_dict(),
            **self.pack(),
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Evolution:
        """Inverse of `as_dict`."""
        evolution = cls(
            unpack_composition(d["composition"]),
            EvolutionOptions(**d["options"]),
            d["seed"],
            fitness=Fitness.read(d["fitness"]),
            prototypes=(),  # those that are left are in the state
        )
        evolution.restore(d)
        return evolution
