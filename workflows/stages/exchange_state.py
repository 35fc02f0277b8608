"""What the jobs that relax crystals at other pressures hand on."""

from __future__ import annotations

from pydantic import Field

from workflows.documents.base import Document
from workflows.documents.prediction import CandidateDocument
from workflows.documents.search import SearchCandidate


class Attempt(Document):
    """A crystal that is relaxed at another pressure than that at which it was found."""

    row: str = Field(description="key of the crystal it begins from")
    start: SearchCandidate = Field(description="that, at the pressure it is relaxed at")
    job: str = Field(description="that relaxes it")
    result: str | None = Field(
        None, description="key of the relaxed crystal if that is the same phase; none: it is not"
    )


class ExchangeState(Document):
    """What is known after some rounds of relaxations."""

    rankings: list[str | None] = Field(
        description="jobs that ranked what was found at each pressure; none where they failed"
    )
    rows: list[CandidateDocument] = Field(
        default_factory=list, description="relaxed crystals of all pressures"
    )
    attempts: list[Attempt] = Field(default_factory=list)
    rounds: int = 0
    failures: list[str] = Field(default_factory=list)
    evaluations: int = Field(0, description="of the engine in these relaxations")
