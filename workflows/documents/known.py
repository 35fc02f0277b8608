"""Known phases, relaxed by the reference engine of a campaign."""

from __future__ import annotations

from pydantic import Field

from workflows.documents.base import Document
from workflows.documents.prediction import CandidateDocument


class KnownPhase(Document):
    """A phase that somebody knows, as the engine relaxes it."""

    label: str = Field(description="what the user calls it: the name of its file")
    crystal: CandidateDocument = Field(description="relaxed and described as candidates are")


class KnownPhasesDocument(Document):
    """Known phases to compare a ranking with."""

    formula: str
    engine: str
    pressure: float = Field(0.0, description="from outside (kbar)")
    phases: list[KnownPhase] = Field(description="the lowest first")
    failures: list[str] = Field(default_factory=list, description="what could not be relaxed")
    evaluations: int = Field(0, description="of the engine")
