"""What a campaign at several pressures has of its phases: their enthalpies, their transitions."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import Field

from workflows.documents.base import Document


class PhasePoint(Document):
    """A phase at one of the pressures, relaxed by the reference engine."""

    pressure: float = Field(description="from outside (kbar)")
    enthalpy: float = Field(description="eV/atom")
    energy: float = Field(description="eV/atom")
    volume: float = Field(description="Å³/atom")
    above_best: float | None = Field(
        None, description="of that pressure, in enthalpy (meV/atom); none at a transition"
    )
    rank: int | None = Field(None, description="at that pressure; none at a transition")
    space_group: str
    formula_units: int = Field(description="Z of the primitive cell")


class Phase(Document):
    """One crystal structure, followed through the pressures."""

    number: int = Field(description="from 1: the one of lowest enthalpy at the lowest pressure")
    points: list[PhasePoint] = Field(
        description="by rising pressure, at transitions too; none where it became another phase"
    )

    @property
    def name(self) -> str:
        """Its number and the space group that it has at most pressures."""
        groups = Counter(point.space_group for point in self.points)
        return f"{self.number} ({groups.most_common(1)[0][0]})"

    @property
    def pressures(self) -> list[float]:
        """Of its points, kbar."""
        return [point.pressure for point in self.points]


class Transition(Document):
    """Where the phase of lowest enthalpy gives way to another one as the pressure rises."""

    below: int = Field(description="number of the phase at lower pressures")
    above: int = Field(description="number of the phase at higher pressures")
    pressure: float | None = Field(
        description="kbar; none where a phase has no point on one side, so that nothing crosses"
    )
    between: list[float] = Field(description="pressures of points between which it is (kbar)")
    volume_change: float | None = Field(None, description="relative, from below to above")

    def figures(self) -> dict[str, Any]:
        """Give the figures as JSON types; the end of a name is its unit."""
        return {
            "from_phase": self.below,
            "to_phase": self.above,
            "pressure_kbar": self.pressure,
            "between_kbar": self.between,
            "relative_volume_change": self.volume_change,
        }
