"""What rounds of learning leave: figures of each round, and what the engine relaxed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from nnp.frames import Frames
from workflows.documents.agreement import Agreement
from workflows.documents.base import Blob, Document, StageDocument
from workflows.documents.crystal import CrystalDocument
from workflows.documents.search import SearchCandidate


class RelaxedStructure(CrystalDocument):
    """A structure that the reference engine has relaxed in a round."""

    energy: float = Field(description="reference engine (eV/atom)")
    engine: str
    converged: bool = False
    max_force: float | None = Field(None, description="eV/Å")
    max_stress: float | None = Field(
        None, description="that the pressure from outside does not balance (kbar)"
    )
    steps: int = 0
    magnetic_moments: list[float] | None = Field(
        None, description="of the atoms (μB); none where the engine has none, or all are zero"
    )
    job: str = Field(description="id of the job that relaxed it; its output has the frames")
    found: SearchCandidate = Field(description="as the search had found it")
    single_point: float | None = Field(
        None, description="potential that found it, at this geometry (eV/atom)"
    )
    expected_error: float | None = Field(
        None, description="that this potential expected of that energy (eV/atom)"
    )

    @property
    def enthalpy(self) -> float:
        """Energy and pressure times volume, reference engine (eV/atom)."""
        return self.energy + self.work


class RoundDocument(Document):
    """One round: what was labelled after a search, and what the labels said of the potential."""

    number: int = Field(description="from 1")
    potential: str = Field(description="job that trained the potential of this round's search")
    n_labels: int = Field(0, description="static runs of the reference engine")
    labels_by_kind: dict[str, int] = Field(
        default_factory=dict, description="static runs by what they are of"
    )
    n_relaxed: int = Field(0, description="structures relaxed by it")
    relaxation_steps: int = Field(0, description="its evaluations in them")
    failed: int = Field(0, description="relaxations without a result")
    before: Agreement = Field(
        description="of the potential that found them, at the engine's geometries"
    )
    after: Agreement = Field(
        description="of the potential that has learnt from them, on them and on all before"
    )
    lowest_energy: float | None = Field(
        None,
        description="lowest energy, at a pressure enthalpy, by the reference engine so far "
        "(eV/atom); of several pressures the mean; of a system that of the hull in its middle",
    )

    @property
    def evaluations(self) -> int:
        """Evaluations of the reference engine in all."""
        return self.n_labels + self.relaxation_steps


class ChoiceDocument(StageDocument):
    """Structures of a search, chosen to be labelled."""

    n_chosen: int
    by_kind: dict[str, int] = Field(
        description="minima, unknown and strained structures, frames of a melt-quench"
    )
    shortest_distances: dict[str, float] = Field(description="as of the training set, by pair (Å)")
    volume_per_atom: float = Field(description="of the glass (Å³)")
    series: dict[str, list[float]] = Field(description="as in SampleDocument")
    frames: Annotated[Frames, Blob]


class ImproveDocument(StageDocument):
    """The rounds of learning from what the search found, and where they ended."""

    formula: str
    rounds: list[RoundDocument]
    reason: str = Field(description="why there is no further round")
    trusted: bool = Field(description="whether the potential resolves its best candidates")
    potential: str = Field(description="job that trained the last potential")
    first: Agreement = Field(
        description="of the potential before the rounds, on all that the engine has relaxed"
    )
    last: Agreement = Field(description="of the last potential, on the same")
    candidates: list[SearchCandidate] = Field(description="of the last search")
    relaxed: list[RelaxedStructure] = Field(description="by the reference engine, in all rounds")

    def summary(self) -> dict[str, Any]:
        """Evaluations, errors and lowest energy of each round, and why they ended."""
        quantity = "enthalpy" if any(one.pressure for one in self.relaxed) else "energy"
        return {
            "rounds": [
                {
                    "round": row.number,
                    "reference_evaluations": row.evaluations,
                    "labels": row.n_labels,
                    "labels_by_kind": row.labels_by_kind,
                    "relaxed": row.n_relaxed,
                    "before": row.before.figures(),
                    "after": row.after.figures(),
                    f"lowest_{quantity}_eV_atom": row.lowest_energy,
                }
                for row in self.rounds
            ],
            "first_potential": self.first.figures(),
            "last_potential": self.last.figures(),
            "rounds_ended": self.reason,
            "trusted": self.trusted,
        }
