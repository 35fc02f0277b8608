"""What can be chosen about a search."""

from __future__ import annotations

from dataclasses import dataclass, field

from monty.json import MSONable

from search.create.registry import OPERATORS, RANDOM, default_shares
from search.create.space_groups import ALL_GROUPS, LAST_GROUP, read_space_groups


@dataclass
class NicheOptions(MSONable):
    """How the population is kept diverse."""

    antiseeds: bool = field(
        default=True, metadata={"unit": "", "help": "repel the search from what it has exploited"}
    )
    height: float = field(
        default=0.3,
        metadata={
            "range": (0.0, 100.0),
            "unit": "",
            "help": "of an antiseed, against the spread of the fitness",
        },
    )
    width: float = field(
        default=0.5,
        metadata={
            "range": (0.001, 100.0),
            "unit": "",
            "help": "of an antiseed, against the typical fingerprint distance",
        },
    )
    radius: float = field(
        default=0.04,
        metadata={
            "range": (0.0, 1.0),
            "unit": "",
            "help": "fingerprint distance within which structures share a niche",
        },
    )
    per_niche: int = field(
        default=2,
        metadata={
            "range": (1, 1000),
            "unit": "",
            "help": "members of the population from one niche",
        },
    )


@dataclass
class EvolutionOptions(MSONable):
    """How a search varies, selects and ends."""

    formula_units: tuple[int, ...] = field(
        default=(4,),
        metadata={"unit": "", "help": "formula units per cell, searched together", "hidden": True},
    )
    population: int | None = field(
        default=None,
        metadata={
            "range": (2, 10_000),
            "unit": "",
            "help": "structures per generation; none: 20-60 by cell size",
        },
    )
    generations: int = field(
        default=20, metadata={"range": (1, 1_000_000), "unit": "", "help": "generations in all"}
    )
    max_structures: int | None = field(
        default=None,
        metadata={
            "range": (1, 1_000_000_000),
            "unit": "",
            "help": "ends the search, whatever the generation",
        },
    )
    parents_kept: float = field(
        default=0.6,
        metadata={
            "range": (0.01, 1.0),
            "unit": "",
            "help": "best part of the population that may become parents",
        },
    )
    energy_window: float = field(
        default=0.3,
        metadata={
            "range": (0.001, 100.0),
            "unit": "eV/atom",
            "help": "parents' fitness is at most this far above the best",
        },
    )
    restart_after: int | None = field(
        default=12,
        metadata={
            "range": (1, 1_000_000),
            "unit": "generations",
            "help": "without a better fitness, then the search starts afresh beside what it found; "
            "none: never",
        },
    )
    patience: int | None = field(
        default=None,
        metadata={
            "range": (1, 1_000_000),
            "unit": "generations",
            "help": "without a new structure among the best 20, then the search ends; more than "
            "restart_after includes a fresh start; none: it goes on",
        },
    )
    shares: dict[str, float] = field(
        default_factory=default_shares,
        metadata={"range": (0.0, 100.0), "unit": "", "help": "share of each operator at the start"},
    )
    adjust_shares: bool = field(
        default=True, metadata={"unit": "", "help": "follow the success of the operators"}
    )
    prototypes: str | None = field(
        default=None,
        metadata={
            "unit": "",
            "help": "known structure types to substitute: aflow, or a folder of CIF files; none: "
            "no prototypes",
        },
    )
    space_groups: str = field(
        default=ALL_GROUPS,
        metadata={
            "unit": "",
            "help": "that structures from nothing are made in: numbers, ranges and symbols, e.g. "
            "2,14-15,Pnma",
        },
    )
    volume_per_atom: float | None = field(
        default=None,
        metadata={
            "range": (1.0, 1000.0),
            "unit": "Å³",
            "help": "at the start, e.g. the glass's; none: covalent radii",
        },
    )
    volume_range: tuple[float, float] = field(
        default=(0.75, 1.1),
        metadata={
            "range": (0.1, 10.0),
            "unit": "",
            "help": "random structures' volume against that of the best",
        },
    )
    shortest_distances: dict[str, float] | None = field(
        default=None,
        metadata={
            "unit": "Å",
            "help": "by pair, e.g. Mg-O: 1.7; none: 0.7 covalent radii",
            "hidden": True,
        },
    )
    learned_spacing: float | None = field(
        default=0.85,
        metadata={
            "range": (0.0, 1.0),
            "unit": "",
            "help": "new structures keep this part of the distances in the best; none: only the "
            "shortest distances",
        },
    )
    energy_tolerance: float = field(
        default=0.002,
        metadata={"range": (0.0, 1.0), "unit": "eV/atom", "help": "duplicates differ by less"},
    )
    distance_tolerance: float = field(
        default=0.08,
        metadata={
            "range": (0.0, 1.0),
            "unit": "",
            "help": "duplicates' fingerprints differ by less",
        },
    )
    archive_size: int = field(
        default=500,
        metadata={"range": (1, 1_000_000), "unit": "", "help": "distinct structures kept"},
    )
    niches: NicheOptions = field(
        default_factory=NicheOptions, metadata={"unit": "", "help": "diversity of the population"}
    )

    def __post_init__(self) -> None:
        self.formula_units = tuple(int(z) for z in self.formula_units)
        if isinstance(self.niches, dict):
            self.niches = NicheOptions(**self.niches)
        self.volume_range = (float(self.volume_range[0]), float(self.volume_range[1]))
        if not self.formula_units or min(self.formula_units) < 1:
            raise ValueError("formula_units needs numbers of at least 1")
        read_space_groups(self.space_groups)
        unknown = set(self.shares) - set(OPERATORS)
        if unknown:
            names = ", ".join(OPERATORS)
            raise ValueError(f"unknown operators {sorted(unknown)}; there are: {names}")
        if RANDOM not in self.shares or self.shares[RANDOM] <= 0:
            raise ValueError("the random generator needs a share above zero")

    def validate(self) -> None:
        """Raise a ValueError if numbers do not fit together."""
        low, high = self.volume_range
        if low > high:
            raise ValueError(f"volume_range begins at {low:g}, above its end at {high:g}")

    @property
    def groups(self) -> tuple[int, ...] | None:
        """Numbers of the space groups, where they are not all."""
        numbers = read_space_groups(self.space_groups)
        return None if len(numbers) == LAST_GROUP else numbers

    def usable_shares(self, of_system: bool = False) -> dict[str, float]:
        """
        Shares of the operators that have all they need.

        Parameters
        ----------
        of_system : bool
            Whether compositions may change: then the operators that change them are used, too, at
            shares of their own where none are given.
        """
        given = {**default_shares(changes_composition=True), **self.shares}
        return {
            name: share
            for name, share in (given if of_system else self.shares).items()
            if (of_system or not OPERATORS[name].changes_composition)
            and (not (needs := OPERATORS[name].needs) or getattr(self, needs) is not None)
        }
