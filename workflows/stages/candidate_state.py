"""What the jobs that relax, refine and rank candidates hand on."""

from __future__ import annotations

from dataclasses import dataclass, field

from monty.json import MSONable
from pydantic import Field

from workflows.composition import Target
from workflows.documents.base import Document
from workflows.documents.improvement import RelaxedStructure
from workflows.documents.search import SearchCandidate
from workflows.engines.base import Engine
from workflows.stages.agreement import Gate


@dataclass
class CandidateChain(MSONable):
    """
    What all of them have in common.

    Attributes
    ----------
    target : Target
        What was looked for.
    engine : Engine
        Reference engine.
    potential : str or None
        Job that trained the potential that is compared with the engine; none: there is none.
    gate : Gate
        What is asked of it.
    """

    target: Target
    engine: Engine
    potential: str | None = None
    gate: Gate = field(default_factory=Gate)


class AskedCandidates(Document):
    """The structures in question: those to be relaxed, and those that were before."""

    candidates: list[SearchCandidate] = Field(
        default_factory=list, description="to be relaxed, as the search gave them"
    )
    jobs: list[str] = Field(default_factory=list, description="that relax them")
    known: list[str] = Field(
        default_factory=list,
        description="labels of the last of them, which are known phases of a system",
    )
    tried: dict[str, int] = Field(
        default_factory=dict,
        description="simple crystals of the ends of a system that the engine has relaxed",
    )
    before: list[RelaxedStructure] = Field(
        default_factory=list, description="relaxed by the rounds of learning, and not again"
    )
