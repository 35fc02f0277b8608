"""Documents of an evolutionary search, and of its islands on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from search.state.changes import StateChanges
from search.state.evolution import Evolution
from workflows.documents.base import Blob, Document, StageDocument
from workflows.documents.crystal import CrystalDocument

#: In the place of an engine's name: the energies are those of the trained potential.
POTENTIAL = "potential"
#: In the place of an operator of the search: somebody knew the crystal.
KNOWN = "known"


class SearchCandidate(CrystalDocument):
    """A low-energy crystal structure of the search, relaxed in it."""

    energy: float = Field(description="eV/atom")
    energy_of: str = Field(POTENTIAL, description='whose: "potential", or an engine')
    uncertainty: float | None = Field(
        None, description="error to expect of the energy (eV/atom); none where it is not known"
    )
    formula_units: int = Field(description="Z")
    found_by: str = Field(description="operator that made it")
    found_at: int = Field(description="its number among the structures of its island")
    of_prototype: bool = Field(
        False, description="whether it, or an ancestor, came from a known structure type"
    )
    converged: bool = Field(True, description="under all limits of the search, the tight ones too")
    above_hull: float | None = Field(
        None,
        description="of what the search has found, by the same energies (eV/atom); none where the "
        "composition is one",
    )

    @property
    def enthalpy(self) -> float:
        """Energy and pressure times volume (eV/atom)."""
        return self.energy + self.work


class SearchDocument(StageDocument):
    """What an evolutionary search found, and how."""

    formula: str
    formula_units: list[int]
    generations: int
    n_structures: int
    ended: list[str] = Field(
        default_factory=list,
        description="by island: what it had done enough of, or that it found nothing new",
    )
    n_went_on: int = Field(
        0, description="of them, those relaxed on to the tight limits in the end"
    )
    energies_of: str = Field(POTENTIAL, description='whose: "potential", or an engine')
    pressure: float = Field(0.0, description="from outside (kbar)")
    pressures: list[float] = Field(
        default_factory=list,
        description="all of them (kbar) where searches at several are joined: what is said of the "
        "best is at the lowest then; none: one search",
    )
    best_energy: float = Field(description="of the best one (eV/atom)")
    best_enthalpy: float | None = Field(
        None, description="of the best one (eV/atom); none without a pressure"
    )
    candidates: list[SearchCandidate]
    unknown: list[SearchCandidate] = Field(
        default_factory=list,
        description="beyond what the potential knows, as they were given up; lowest first",
    )
    histories: list[dict[str, list[float]]] = Field(
        description="by island: structures relaxed, and the best energy (eV/atom) by then; the "
        "best enthalpy where there is a pressure; which one, where there are several"
    )
    shares: list[dict[str, float]] = Field(
        description="share of every operator in each generation of the best island"
    )
    discarded: list[tuple[str, int]] = Field(description="structures left out, by reason")
    cpu_seconds: float

    def summary(self) -> dict[str, Any]:
        """What was relaxed and how fast, and what was left out."""
        return {
            **pressures_told(self.pressure, self.pressures),
            "structures_relaxed": self.n_structures,
            "relaxed_on_to_tight_limits": self.n_went_on,
            "ended": "; ".join(dict.fromkeys(self.ended)),
            "structures_per_cpu_second": self.n_structures / self.cpu_seconds,
            "unknown_structures": len(self.unknown),
            "discarded": dict(self.discarded),
        }


class IslandDocument(Document):
    """State of one population between two blocks of generations."""

    generation: int
    n_structures: int
    best_energy: float = Field(description="eV/atom; an enthalpy where there is a pressure")
    finished: bool
    cpu_seconds: float
    relaxation_steps: int = Field(0, description="of all structures, by the reference engine")
    evolution: Annotated[Evolution | None, Blob] = Field(
        None, description="the whole state; none where it is told by changes, or was dropped"
    )
    previous: str | None = Field(None, description="job of the block before; none of the first")
    changes: Annotated[StateChanges | None, Blob] = Field(
        None, description="of the state since the block before"
    )
    changes_since_whole: int = Field(0, description="blocks since the last whole state")
    bytes_since_whole: int = Field(0, description="of their changes")
    bytes_whole: int = Field(0, description="of the last whole state")


def pressures_told(pressure: float, pressures: Sequence[float]) -> dict[str, Any]:
    """Pressure of a summary, or all of them; nothing where there is none."""
    if pressures:
        return {"pressures_kbar": list(pressures)}
    return {"pressure_kbar": pressure} if pressure else {}
