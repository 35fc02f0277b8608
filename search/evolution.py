"""The evolutionary search as a state that is asked for structures and told their energies.

`Evolution` computes no energy and starts no job: whoever drives it relaxes what `ask` returns and
hands the outcome to `tell`. So the same search runs inside one process on a neural network
potential and as one job a structure on a density functional.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.json import MSONable

from search.archive import Archive, Individual, space_group_number
from search.generators import GenerationError, RandomSymmetric, typical_volume
from search.geometry import DistanceLimits
from search.operators import (
    ATOMIC_ENERGIES,
    NoChildError,
    heredity,
    lattice_mutation,
    permutation,
    plain_sorted,
    rattle,
)
from search.options import IMMIGRANT, RANDOM, SEED, TOPOLOGICAL, EvolutionOptions
from search.population import select
from search.records import (
    Candidate,
    pack_atoms,
    pack_individuals,
    unpack_atoms,
    unpack_individuals,
)
from search.shares import OperatorShares
from search.soft import soft_mutation
from search.symmetric import orbit_mutation, orbit_permutation
from search.topology import net_structure
from search.wyckoff import ORDERS

if TYPE_CHECKING:
    from ase import Atoms

    from search.relaxer import Relaxed

FUTILE_CHILD = 0.1
"""Strength of the antiseed that a parent becomes for a child that was no success."""
FARTHEST_SPACING = 4.0
"""Å; learned spacings go no farther."""
MUTATIONS: dict[str, Callable[[Atoms, DistanceLimits, np.random.Generator], Atoms]] = {
    "orbit mutation": orbit_mutation,
    "orbit permutation": orbit_permutation,
    "permutation": permutation,
    "soft mutation": soft_mutation,
    "lattice mutation": lattice_mutation,
    "rattle": rattle,
}


class Evolution(MSONable):
    """An evolutionary search for the crystal structures of a composition.

    Parameters
    ----------
    composition : mapping of str to int
        Atoms of each element in one formula unit.
    options : EvolutionOptions
        How it varies, selects and ends.
    seed : int
        The same seed gives the same search.
    seeds : sequence of ase.Atoms
        Structures of any number of formula units to begin with, relaxed in the first generation.

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
        composition: Mapping[str, int],
        options: EvolutionOptions | None = None,
        seed: int = 0,
        seeds: Sequence[Atoms] = (),
    ) -> None:
        if not composition or min(composition.values()) < 1:
            raise ValueError("the composition needs at least one atom of each of its elements")
        self.composition = {symbol: int(n) for symbol, n in composition.items()}
        self.options = options or EvolutionOptions()
        self.seed = seed
        self.seeds = [self._checked_seed(atoms) for atoms in seeds]
        self.immigrants = 0
        self.rng = np.random.default_rng(seed)
        self.generation = 0
        self.individuals: list[Individual] = []
        self.best_history: list[tuple[int, float]] = []
        self.share_history: list[dict[str, float]] = []
        self.discards: Counter[str] = Counter()
        self.volume_per_atom = self.options.volume_per_atom or (
            typical_volume(self.composition) / sum(self.composition.values())
        )
        self.limits = (
            DistanceLimits(self.options.shortest_distances)
            if self.options.shortest_distances
            else DistanceLimits.from_radii(list(self.composition))
        )
        if set(self.limits.elements) != set(self.composition):
            raise ValueError("shortest distances and composition are of different elements")
        self.spacing = self.limits
        self.archive = Archive(
            sorted(self.composition),
            self.options.energy_tolerance,
            self.options.distance_tolerance,
            self.options.archive_size,
        )
        self.shares = OperatorShares(self.options.shares, self.options.adjust_shares)
        self.symmetry_shares = OperatorShares(
            Counter(str(order) for order in ORDERS), self.options.adjust_shares
        )
        self.antiseeds: dict[int, float] = {}
        self._pending: list[Candidate] = []
        self._population: list[Individual] | None = None

    # what a driver needs

    @property
    def population(self) -> int:
        """Structures per generation."""
        if self.options.population is not None:
            return self.options.population
        atoms = max(self.options.formula_units) * sum(self.composition.values())
        return int(np.clip(2 * atoms, 20, 60))

    @property
    def structures(self) -> int:
        """Structures evaluated so far, those of other islands not counted."""
        return len(self.individuals) - self.immigrants

    @property
    def best_energy(self) -> float:
        """Lowest energy so far, eV/atom; NaN before the first."""
        return float(self.archive.energies[0]) if len(self.archive) else float("nan")

    @property
    def finished(self) -> bool:
        """Whether the generations or structures asked for are done."""
        budget = self.options.max_structures
        return self.generation >= self.options.generations or (
            budget is not None and self.structures >= budget
        )

    def best(self, n: int = 10) -> list[Individual]:
        """Return the `n` lowest distinct structures, with their space groups determined."""
        members = self.archive.members[:n]
        for member in members:
            if member.space_group is None and member.atoms is not None:
                member.space_group = space_group_number(member.atoms)
        return members

    def ask(self) -> list[Candidate]:
        """Make the structures of the next generation.

        Asked again before `tell`, it returns the same ones.
        """
        if not self._pending:
            number = self.population
            if self.options.max_structures is not None:
                number = min(number, max(self.options.max_structures - self.structures, 0))
            first = len(self.individuals)
            self._pending = [self._candidate(first + i) for i in range(number)]
        return self._pending

    def immigrate(self, individuals: Sequence[Individual]) -> int:
        """Take in relaxed structures of other islands; returns how many were new here.

        To be called between `tell` and `ask`.
        """
        if self._pending:
            raise RuntimeError("structures can come in only between tell and ask")
        new = 0
        for foreign in individuals:
            individual = replace(
                foreign,
                id=len(self.individuals),
                generation=self.generation,
                operator=IMMIGRANT,
                parents=(),
                atoms=_structure(foreign).copy(),
            )
            self.individuals.append(individual)
            self.immigrants += 1
            new += self._enter(individual)
        self._population = None
        return new

    def tell(self, relaxed: Sequence[Relaxed]) -> None:
        """Take in the outcome of the structures of the last `ask`, in the same order."""
        if len(relaxed) != len(self._pending):
            raise ValueError(f"asked for {len(self._pending)} structures, told {len(relaxed)}")
        made, successes = Counter[str](), Counter[str]()
        if len(self.archive):
            self._repel(self._parents()[0].id, 1.0)
        newcomers: set[int] = set()
        born: list[Individual] = []
        for candidate, outcome in zip(self._pending, relaxed, strict=True):
            individual = self._individual(candidate, outcome)
            self.individuals.append(individual)
            born.append(individual)
            made[candidate.operator] += 1
            if individual.atoms is not None and self._enter(individual):
                newcomers.add(individual.id)
        top = {member.id for member in self.archive.members[: self._parents_count()]}
        for individual in born:
            success = individual.id in newcomers and individual.id in top
            successes[individual.operator] += success
            if not success:
                for parent in individual.parents:
                    self._repel(parent, FUTILE_CHILD)
        self.share_history.append(self.shares.current())
        self.shares.learn(made, successes)
        self._learn_symmetry(born)
        self._adapt_volume()
        self._adapt_spacing()
        self._pending, self._population = [], None
        self.generation += 1

    # making structures

    def _candidate(self, id_: int) -> Candidate:
        """Make one structure: the operator is drawn by shares, chance steps in where it fails."""
        if self.seeds:
            atoms = self.seeds.pop(0)
            units = len(atoms) // sum(self.composition.values())
            return Candidate(id_, atoms, SEED, (), units)
        shares = self.shares.current()
        if not len(self.archive):
            shares = {name: shares[name] for name in (RANDOM, TOPOLOGICAL) if name in shares}
        operator = str(self.rng.choice(list(shares), p=_normalised(shares.values())))
        try:
            if operator == TOPOLOGICAL:
                return self._net(id_)
            if operator != RANDOM:
                return self._child(id_, operator)
        except (NoChildError, GenerationError) as error:
            self.discards[f"{operator}: {error}"] += 1
        return self._random(id_)

    def _drawn_size(self) -> tuple[int, dict[str, int], float]:
        """Draw formula units, with the counts of the elements and a volume (Å³) for the cell."""
        formula_units = int(self.rng.choice(self.options.formula_units))
        counts = {symbol: n * formula_units for symbol, n in self.composition.items()}
        per_atom = self.volume_per_atom * self.rng.uniform(*self.options.volume_range)
        return formula_units, counts, per_atom * sum(counts.values())

    def _net(self, id_: int) -> Candidate:
        """Make a decorated net."""
        formula_units, counts, size = self._drawn_size()
        atoms = net_structure(counts, size, self.spacing, self.rng)
        return Candidate(id_, atoms, TOPOLOGICAL, (), formula_units)

    def _checked_seed(self, atoms: Atoms) -> Atoms:
        """Return a plain copy of a seed, or complain if it is of another composition."""
        units = len(atoms) // sum(self.composition.values())
        wanted = {symbol: n * units for symbol, n in self.composition.items()}
        if not len(atoms) or dict(Counter(atoms.symbols)) != wanted:
            raise ValueError(f"the seed {atoms.get_chemical_formula()} is of another composition")
        return plain_sorted(atoms)

    def _random(self, id_: int) -> Candidate:
        """Make a random symmetric structure, in more volume if the atoms find no room."""
        spacing = self.spacing
        formula_units, counts, size = self._drawn_size()
        for _ in range(6):
            try:
                generator = RandomSymmetric(spacing, weights=self._group_weights())
                atoms = generator.generate(counts, size, self.rng)
            except GenerationError:
                self.discards["random: no room for the atoms"] += 1
                size *= 1.1
                spacing = spacing.scaled(0.9)
                continue
            group = int(atoms.info.pop("space_group"))
            return Candidate(id_, atoms, RANDOM, (), formula_units, group)
        raise GenerationError(
            f"no random structure of {counts} fits even {size:.0f} Å³; "
            f"shortest distances: {spacing.as_dict()}"
        )

    def _child(self, id_: int, operator: str) -> Candidate:
        parent = self._parent()
        parents: tuple[int, ...] = (parent.id,)
        atoms = _structure(parent)
        if operator == "heredity":
            mate = self._parent(formula_units=parent.formula_units, other_than=parent.id)
            parents = (parent.id, mate.id)
            child = heredity(atoms, _structure(mate), self.spacing, self.rng)
        else:
            child = MUTATIONS[operator](atoms, self.spacing, self.rng)
        return Candidate(id_, child, operator, parents, parent.formula_units)

    def _parents_count(self) -> int:
        return max(2, round(self.options.parents_kept * self.population))

    def _parents(self) -> list[Individual]:
        """Those that may become parents in this generation, fittest first."""
        if self._population is None:
            self._population = select(
                self.archive,
                self.antiseeds,
                self._parents_count(),
                self.options.energy_window,
                self.options.niches,
            )
        return self._population

    def _parent(
        self, formula_units: int | None = None, other_than: int | None = None
    ) -> Individual:
        """Draw a parent, the likelier the fitter."""
        pool = [
            member
            for member in self._parents()
            if formula_units in (None, member.formula_units) and member.id != other_than
        ]
        if not pool:
            raise NoChildError("no second parent")
        weights = np.arange(len(pool), 0, -1, dtype=float)
        return pool[int(self.rng.choice(len(pool), p=weights / weights.sum()))]

    # taking in results

    def _individual(self, candidate: Candidate, outcome: Relaxed) -> Individual:
        """Record an outcome; only usable ones keep their structure."""
        n = len(outcome.atoms)
        individual = Individual(
            id=candidate.id,
            generation=self.generation,
            operator=candidate.operator,
            parents=candidate.parents,
            formula_units=candidate.formula_units,
            energy=outcome.energy / n,
            volume=float(outcome.atoms.get_volume()) / n,
            status=outcome.status,
        )
        expected = {s: k * candidate.formula_units for s, k in self.composition.items()}
        if not outcome.usable:
            self.discards[_category(outcome.status)] += 1
        elif dict(Counter(outcome.atoms.symbols)) != expected:
            raise ValueError(f"structure {candidate.id} came back with another composition")
        elif not np.isfinite(outcome.energy):
            individual.status = "aborted: energy is not finite"
            self.discards["energy is not finite"] += 1
        elif self.limits.violated(outcome.atoms):
            individual.status = f"aborted: short bond {self.limits.describe(outcome.atoms)}"
            self.discards["short bond"] += 1
        else:
            individual.atoms = outcome.atoms.copy()
            if outcome.atomic_energies is not None:
                individual.atoms.set_array(ATOMIC_ENERGIES, outcome.atomic_energies)
        return individual

    def _enter(self, individual: Individual) -> bool:
        """Offer an individual to the archive; whether it is new there."""
        before = self.best_energy
        twin = self.archive.add(individual)
        if self.archive.members[0] is individual and not before <= individual.energy:
            self.best_history.append((self.structures, individual.energy))
        if twin is not None:
            self.discards["duplicate"] += 1
            lesser, kept = (individual, twin)
            if twin.energy > individual.energy:
                lesser, kept = twin, individual
            lesser.status = f"duplicate of {kept.id}"
            lesser.atoms = None
            self._repel(kept.id, self.antiseeds.pop(lesser.id, 0.0))
        return twin is None

    def _repel(self, id_: int, strength: float) -> None:
        """Make a member of the archive repel parents near it more strongly."""
        if strength > 0.0:
            self.antiseeds[id_] = self.antiseeds.get(id_, 0.0) + strength

    def _learn_symmetry(self, born: Sequence[Individual]) -> None:
        """Credit the orders of space groups for the lowest quarter of the random structures."""
        orders_of = {
            candidate.id: str(ORDERS[candidate.space_group - 1])
            for candidate in self._pending
            if candidate.space_group is not None
        }
        energies = sorted(i.energy for i in born if i.id in orders_of and i.atoms is not None)
        if not energies:
            return
        ceiling = energies[(len(energies) - 1) // 4]
        good = [i.id for i in born if i.atoms is not None and i.energy <= ceiling]
        self.symmetry_shares.learn(
            Counter(orders_of.values()), Counter(orders_of[i] for i in good if i in orders_of)
        )

    def _group_weights(self) -> tuple[float, ...]:
        """Chance of each space group, by the success of the groups of its order."""
        number = Counter(ORDERS.tolist())
        shares = self.symmetry_shares.current()
        weights = np.array([shares[str(order)] / number[order] for order in ORDERS.tolist()])
        return tuple(weights / weights.sum())

    def _adapt_volume(self) -> None:
        """Make random structures at the median volume of the best, once there are some."""
        known = len(self.archive)
        if known >= 5:
            best = self.archive.members[: int(np.clip(known // 4, 3, 20))]
            self.volume_per_atom = float(np.median([member.volume for member in best]))

    def _adapt_spacing(self) -> None:
        """Keep new structures' atoms about as far apart as the best ones do.

        Covalent radii say little about like charges; the best structures so far know how near two
        oxygen atoms come. What starts with such bonds relaxes in fewer steps and far lower.
        """
        known = len(self.archive)
        if self.options.learned_spacing is None or known < 10:
            return
        best = self.archive.members[: int(np.clip(known // 4, 5, 20))]
        wide = DistanceLimits(dict.fromkeys(self.limits.as_dict(), FARTHEST_SPACING))
        shortest = np.median([wide.shortest(_structure(member)) for member in best], axis=0)
        shortest = self.options.learned_spacing * np.minimum(shortest, FARTHEST_SPACING)
        wide.matrix = np.maximum(shortest, self.limits.matrix)
        self.spacing = wide

    # storage

    def as_dict(self) -> dict[str, Any]:
        """State for storage: arrays as compressed text, the generator's state as JSON text."""
        return {
            "@module": type(self).__module__,
            "@class": type(self).__name__,
            "composition": self.composition,
            "options": asdict(self.options),
            "seed": self.seed,
            "seeds": [pack_atoms(atoms) for atoms in self.seeds],
            "immigrants": self.immigrants,
            "rng": json.dumps(self.rng.bit_generator.state),
            "generation": self.generation,
            "volume_per_atom": self.volume_per_atom,
            "spacing": self.spacing.as_dict(),
            "best_history": [list(entry) for entry in self.best_history],
            "share_history": self.share_history,
            "shares": self.shares.state(),
            "symmetry_shares": self.symmetry_shares.state(),
            "antiseeds": sorted([id_, strength] for id_, strength in self.antiseeds.items()),
            # as pairs: reasons may hold dots, which no document database takes in keys
            "discards": sorted([reason, n] for reason, n in self.discards.items()),
            "individuals": pack_individuals(self.individuals),
            "archive": self.archive.pack(),
            "pending": [
                [
                    c.id,
                    pack_atoms(c.atoms),
                    c.operator,
                    list(c.parents),
                    c.formula_units,
                    c.space_group,
                ]
                for c in self._pending
            ],
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Evolution:
        """Inverse of `as_dict`."""
        seeds = [unpack_atoms(atoms) for atoms in d["seeds"]]
        evolution = cls(d["composition"], EvolutionOptions(**d["options"]), d["seed"])
        evolution.seeds = seeds
        evolution.immigrants = d["immigrants"]
        evolution.rng.bit_generator.state = json.loads(d["rng"])
        evolution.generation = d["generation"]
        evolution.volume_per_atom = d["volume_per_atom"]
        evolution.spacing = DistanceLimits(d["spacing"])
        evolution.best_history = [(int(n), float(e)) for n, e in d["best_history"]]
        evolution.share_history = list(d["share_history"])
        evolution.shares.restore(d["shares"])
        evolution.symmetry_shares.restore(d["symmetry_shares"])
        evolution.antiseeds = {int(id_): float(strength) for id_, strength in d["antiseeds"]}
        evolution.discards = Counter(dict(d["discards"]))
        evolution.individuals = unpack_individuals(d["individuals"])
        evolution.archive.restore(d["archive"], evolution.individuals)
        evolution._pending = [
            Candidate(id_, unpack_atoms(atoms), operator, tuple(parents), units, group)
            for id_, atoms, operator, parents, units, group in d["pending"]
        ]
        return evolution


def _normalised(values: Any) -> np.ndarray:
    array = np.array(list(values), dtype=float)
    return array / array.sum()


def _structure(individual: Individual) -> Atoms:
    if individual.atoms is None:
        raise ValueError(f"individual {individual.id} has no structure")
    return individual.atoms


def _category(status: str) -> str:
    """Return the reason of an abort without its particulars."""
    reason = status.removeprefix("aborted: ")
    return "short bond" if reason.startswith("short bond") else reason
