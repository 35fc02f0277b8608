"""The convex hull of a chemical system at one pressure."""

from __future__ import annotations

from pydantic import Field

from workflows.documents.base import Document


class Reference(Document):
    """The most stable crystal of an element or a block, from which formation is counted."""

    formula: str
    energy: float = Field(description="reference engine, at a pressure enthalpy (eV/atom)")
    space_group: str
    known: str | None = Field(None, description="its label, if it is a known phase")


class HullDocument(Document):
    """Which compounds of a system are stable against all others, by one engine."""

    engine: str
    pressure: float = Field(0.0, description="from outside (kbar)")
    blocks: list[str] = Field(description="formulas between which the system is")
    fractions: dict[str, list[float]] = Field(
        description="of the atoms that are in each block, by the formulas of the crystals"
    )
    references: list[Reference] = Field(description="of the blocks that there is a crystal of")
    stable: list[str] = Field(description="formulas on the hull")
    notes: list[str] = Field(
        default_factory=list, description="what the hull does not tell: sentences without full stop"
    )
