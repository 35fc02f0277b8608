"""Document of a relaxation by the reference engine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.documents.base import Blob
from workflows.documents.crystal import CrystalDocument


class RelaxDocument(CrystalDocument):
    """A relaxation of cell and positions by the reference engine."""

    structure: Structure = Field(description="relaxed, or the start if it failed")
    engine: str
    energy: float | None = Field(None, description="eV/atom")
    max_force: float | None = Field(None, description="eV/Å")
    max_stress: float | None = Field(
        None, description="that the pressure from outside does not balance (kbar)"
    )
    converged: bool = False
    steps: int = 0
    magnetic_moments: list[float] | None = Field(
        None, description="of the atoms (μB); none where the engine has none, or all are zero"
    )
    failure: str | None = Field(None, description="why it has no energy")
    frames: Annotated[Frames | None, Blob] = Field(
        None, description="every fifth configuration on the way"
    )

    @property
    def enthalpy(self) -> float | None:
        """Energy and pressure times volume (eV/atom); none where there is no energy."""
        return None if self.energy is None else self.energy + self.work

    @property
    def moments_by_element(self) -> dict[str, list[float]] | None:
        """Smallest and largest magnitude of the moments of each element (μB)."""
        if self.magnetic_moments is None:
            return None
        found: dict[str, list[float]] = {}
        for site, moment in zip(self.structure, self.magnetic_moments, strict=True):
            found.setdefault(site.specie.symbol, []).append(abs(moment))
        return {symbol: [min(moments), max(moments)] for symbol, moments in found.items()}
