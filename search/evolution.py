"""The evolutionary search as a state that is asked for structures and told their energies.

`Evolution` computes no energy and starts no job: whoever drives it relaxes what `ask` returns and
hands the outcome to `tell`. So the same search runs inside one process on a neural network
potential and as one job a structure on a density functional.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from monty.json import MSONable

from search.archive import Archive, Individual, space_group_number
from search.arrays import pack, unpack
from search.generators import GenerationError, RandomSymmetric, typical_volume
from search.geometry import DistanceLimits
from search.operators import (
    ATOMIC_ENERGIES,
    NoChildError,
    heredity,
    lattice_mutation,
    permutation,
    rattle,
)
from search.shares import OperatorShares

if TYPE_CHECKING:
    from ase import Atoms

    from search.relaxer import Relaxed

RANDOM = "random"
FARTHEST_SPACING = 4.0
"""Å; learned spacings go no farther."""
DEFAULT_SHARES = {
    RANDOM: 0.4,
    "heredity": 0.3,
    "permutation": 0.1,
    "lattice mutation": 0.1,
    "rattle": 0.1,
}


@dataclass
class EvolutionOptions(MSONable):
    """How a search varies, selects and ends."""

    formula_units: tuple[int, ...] = field(
        default=(4,), metadata={"unit": "", "help": "formula units per cell, searched together"}
    )
    population: int | None = field(
        default=None,
        metadata={"unit": "", "help": "structures per generation; none: 20-60 by cell size"},
    )
    generations: int = field(default=20, metadata={"unit": "", "help": "generations in all"})
    max_structures: int | None = field(
        default=None, metadata={"unit": "", "help": "ends the search, whatever the generation"}
    )
    parents_kept: float = field(
        default=0.6,
        metadata={"unit": "", "help": "best part of the population that may become parents"},
    )
    energy_window: float = field(
        default=0.3,
        metadata={"unit": "eV/atom", "help": "parents lie at most this far above the best"},
    )
    shares: dict[str, float] = field(
        default_factory=lambda: dict(DEFAULT_SHARES),
        metadata={"unit": "", "help": "share of each operator at the start"},
    )
    adjust_shares: bool = field(
        default=True, metadata={"unit": "", "help": "follow the success of the operators"}
    )
    volume_per_atom: float | None = field(
        default=None,
        metadata={"unit": "Å³", "help": "at the start, e.g. the glass's; none: covalent radii"},
    )
    volume_range: tuple[float, float] = field(
        default=(0.85, 1.3),
        metadata={"unit": "", "help": "random structures' volume against that of the best"},
    )
    shortest_distances: dict[str, float] | None = field(
        default=None,
        metadata={"unit": "Å", "help": "by pair, e.g. Mg-O: 1.7; none: 0.7 covalent radii"},
    )
    learned_spacing: float | None = field(
        default=0.85,
        metadata={
            "unit": "",
            "help": "new structures keep this part of the distances in the best; none: only the "
            "shortest distances",
        },
    )
    energy_tolerance: float = field(
        default=0.003, metadata={"unit": "eV/atom", "help": "duplicates differ by less"}
    )
    distance_tolerance: float = field(
        default=0.015, metadata={"unit": "", "help": "duplicates' fingerprints differ by less"}
    )
    archive_size: int = field(
        default=500, metadata={"unit": "", "help": "distinct structures kept"}
    )

    def __post_init__(self) -> None:
        self.formula_units = tuple(int(z) for z in self.formula_units)
        self.volume_range = (float(self.volume_range[0]), float(self.volume_range[1]))
        if not self.formula_units or min(self.formula_units) < 1:
            raise ValueError("formula_units needs numbers of at least 1")
        unknown = set(self.shares) - set(DEFAULT_SHARES)
        if unknown:
            names = ", ".join(DEFAULT_SHARES)
            raise ValueError(f"unknown operators {sorted(unknown)}; there are: {names}")
        if RANDOM not in self.shares or self.shares[RANDOM] <= 0:
            raise ValueError("the random generator needs a share above zero")


@dataclass
class Candidate:
    """A structure to be relaxed.

    Attributes
    ----------
    id : int
        Number in the order of creation.
    atoms : ase.Atoms
        Unrelaxed structure.
    operator : str
        What made it.
    parents : tuple of int
        Ids of its parents.
    formula_units : int
        Z of its cell.
    """

    id: int
    atoms: Atoms
    operator: str
    parents: tuple[int, ...]
    formula_units: int


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
    ) -> None:
        if not composition or min(composition.values()) < 1:
            raise ValueError("the composition needs at least one atom of each of its elements")
        self.composition = {symbol: int(n) for symbol, n in composition.items()}
        self.options = options or EvolutionOptions()
        self.seed = seed
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
        self._pending: list[Candidate] = []

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
        """Structures evaluated so far."""
        return len(self.individuals)

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
            self._pending = [self._candidate(self.structures + i) for i in range(number)]
        return self._pending

    def tell(self, relaxed: Sequence[Relaxed]) -> None:
        """Take in the outcome of the structures of the last `ask`, in the same order."""
        if len(relaxed) != len(self._pending):
            raise ValueError(f"asked for {len(self._pending)} structures, told {len(relaxed)}")
        made, successes = Counter[str](), Counter[str]()
        newcomers: list[Individual] = []
        for candidate, outcome in zip(self._pending, relaxed, strict=True):
            individual = self._individual(candidate, outcome)
            self.individuals.append(individual)
            made[candidate.operator] += 1
            if individual.atoms is not None and self._enter(individual):
                newcomers.append(individual)
        top = {member.id for member in self.archive.members[: self._parents_count()]}
        for newcomer in newcomers:
            successes[newcomer.operator] += newcomer.id in top
        self.share_history.append(self.shares.current())
        self.shares.learn(made, successes)
        self._adapt_volume()
        self._adapt_spacing()
        self._pending = []
        self.generation += 1

    # making structures

    def _candidate(self, id_: int) -> Candidate:
        """Make one structure: the operator is drawn by shares, chance steps in where it fails."""
        shares = self.shares.current()
        if len(self.archive):
            operator = str(self.rng.choice(list(shares), p=_normalised(shares.values())))
            if operator != RANDOM:
                try:
                    return self._child(id_, operator)
                except NoChildError as error:
                    self.discards[f"{operator}: {error}"] += 1
        return self._random(id_)

    def _random(self, id_: int) -> Candidate:
        """Make a random symmetric structure, in more volume if the atoms find no room."""
        spacing = self.spacing
        formula_units = int(self.rng.choice(self.options.formula_units))
        counts = {symbol: n * formula_units for symbol, n in self.composition.items()}
        per_atom = self.volume_per_atom * self.rng.uniform(*self.options.volume_range)
        for _ in range(6):
            try:
                generator = RandomSymmetric(spacing)
                atoms = generator.generate(counts, per_atom * sum(counts.values()), self.rng)
            except GenerationError:
                self.discards["random: no room for the atoms"] += 1
                per_atom *= 1.1
                spacing = spacing.scaled(0.9)
                continue
            return Candidate(id_, atoms, RANDOM, (), formula_units)
        raise GenerationError(
            f"no random structure of {counts} fits even {per_atom:.1f} Å³/atom; "
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
        elif operator == "permutation":
            child = permutation(atoms, self.spacing, self.rng)
        elif operator == "lattice mutation":
            child = lattice_mutation(atoms, self.spacing, self.rng)
        else:
            child = rattle(atoms, self.spacing, self.rng)
        return Candidate(id_, child, operator, parents, parent.formula_units)

    def _parents_count(self) -> int:
        return max(2, round(self.options.parents_kept * self.population))

    def _parent(
        self, formula_units: int | None = None, other_than: int | None = None
    ) -> Individual:
        """Draw a parent, the likelier the lower its rank."""
        ceiling = self.best_energy + self.options.energy_window
        pool = [
            member
            for member in self.archive.members[: self._parents_count()]
            if member.energy <= ceiling
            and formula_units in (None, member.formula_units)
            and member.id != other_than
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
            self.best_history.append((len(self.individuals), individual.energy))
        if twin is not None:
            self.discards["duplicate"] += 1
            lesser, kept = (individual, twin)
            if twin.energy > individual.energy:
                lesser, kept = twin, individual
            lesser.status = f"duplicate of {kept.id}"
            lesser.atoms = None
        return twin is None

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
            "rng": json.dumps(self.rng.bit_generator.state),
            "generation": self.generation,
            "volume_per_atom": self.volume_per_atom,
            "spacing": self.spacing.as_dict(),
            "best_history": [list(entry) for entry in self.best_history],
            "share_history": self.share_history,
            "shares": self.shares.state(),
            # as pairs: reasons may hold dots, which no document database takes in keys
            "discards": sorted([reason, n] for reason, n in self.discards.items()),
            "individuals": _pack_individuals(self.individuals),
            "archive": self.archive.pack(),
            "pending": [
                [c.id, c.operator, list(c.parents), c.formula_units, _pack_atoms(c.atoms)]
                for c in self._pending
            ],
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> Evolution:
        """Inverse of `as_dict`."""
        evolution = cls(d["composition"], EvolutionOptions(**d["options"]), d["seed"])
        evolution.rng.bit_generator.state = json.loads(d["rng"])
        evolution.generation = d["generation"]
        evolution.volume_per_atom = d["volume_per_atom"]
        evolution.spacing = DistanceLimits(d["spacing"])
        evolution.best_history = [(int(n), float(e)) for n, e in d["best_history"]]
        evolution.share_history = list(d["share_history"])
        evolution.shares.restore(d["shares"])
        evolution.discards = Counter(dict(d["discards"]))
        evolution.individuals = _unpack_individuals(d["individuals"])
        evolution.archive.restore(d["archive"], evolution.individuals)
        evolution._pending = [
            Candidate(id_, _unpack_atoms(atoms), operator, tuple(parents), units)
            for id_, operator, parents, units, atoms in d["pending"]
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


def _pack_atoms(atoms: Atoms) -> dict[str, Any]:
    return {
        "numbers": pack(atoms.numbers.astype(np.int16)),
        "cell": pack(np.array(atoms.cell)),
        "positions": pack(atoms.positions),
    }


def _unpack_atoms(packed: dict[str, Any]) -> Atoms:
    from ase import Atoms

    return Atoms(
        unpack(packed["numbers"]),
        unpack(packed["positions"]),
        cell=unpack(packed["cell"]),
        pbc=True,
    )


def _pack_individuals(individuals: Sequence[Individual]) -> dict[str, Any]:
    """Turn records into columns; words are stored once and referred to by number."""
    operators = sorted({i.operator for i in individuals})
    statuses = sorted({i.status for i in individuals})
    parents = [(*i.parents, -1, -1)[:2] for i in individuals]
    return {
        "operators": operators,
        "statuses": statuses,
        "operator": pack(np.array([operators.index(i.operator) for i in individuals], np.int16)),
        "status": pack(_codes([i.status for i in individuals], statuses)),
        "generation": pack(np.array([i.generation for i in individuals], np.int32)),
        "parents": pack(np.array(parents, np.int32).reshape(-1, 2)),
        "formula_units": pack(np.array([i.formula_units for i in individuals], np.int16)),
        "energy": pack(np.array([i.energy for i in individuals], np.float64)),
        "volume": pack(np.array([i.volume for i in individuals], np.float64)),
        "space_group": pack(np.array([i.space_group or 0 for i in individuals], np.int16)),
    }


def _codes(words: Sequence[str], vocabulary: Sequence[str]) -> np.ndarray:
    code = {word: i for i, word in enumerate(vocabulary)}
    return np.array([code[word] for word in words], np.int32)


def _unpack_individuals(packed: dict[str, Any]) -> list[Individual]:
    columns = {
        name: unpack(packed[name])
        for name in (
            "operator",
            "status",
            "generation",
            "parents",
            "formula_units",
            "energy",
            "volume",
            "space_group",
        )
    }
    return [
        Individual(
            id=i,
            generation=int(columns["generation"][i]),
            operator=packed["operators"][columns["operator"][i]],
            parents=tuple(int(p) for p in columns["parents"][i] if p >= 0),
            formula_units=int(columns["formula_units"][i]),
            energy=float(columns["energy"][i]),
            volume=float(columns["volume"][i]),
            status=packed["statuses"][columns["status"][i]],
            space_group=int(columns["space_group"][i]) or None,
        )
        for i in range(len(columns["energy"]))
    ]
