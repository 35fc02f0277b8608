"""Simple crystals of the ends of a chemical system, relaxed by the reference engine."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.documents.base import Blob, StageDocument
from workflows.documents.crystal import CrystalDocument


class SimpleCrystal(CrystalDocument):
    """A crystal that symmetry leaves few free parameters, relaxed by the reference engine."""

    formula: str
    energy: float = Field(description="reference engine (eV/atom)")
    space_group: str = Field(description="after the relaxation")
    free_parameters: int = Field(description="before it")
    converged: bool = False
    job: str = Field(description="id of the job that relaxed it")

    @property
    def enthalpy(self) -> float:
        """Energy and pressure times volume (eV/atom)."""
        return self.energy + self.work


class SimpleCrystalsDocument(StageDocument):
    """What the reference engine found among the simplest crystals, before any potential."""

    crystals: list[SimpleCrystal] = Field(description="of each end from the lowest upwards")
    evaluations: int = Field(description="of the reference engine")
    failures: list[str] = Field(default_factory=list)
    frames: Annotated[Frames, Blob]

    @property
    def structures(self) -> list[Structure]:
        """Of all crystals."""
        return [one.structure for one in self.crystals]

    def lowest_of(self, formula: str, window: float) -> list[SimpleCrystal]:
        """
        Crystals of a composition that are not far above the lowest of it.

        Parameters
        ----------
        formula : str
        window : float
            eV/atom.
        """
        own = [one for one in self.crystals if one.formula == formula]
        return [one for one in own if one.enthalpy <= own[0].enthalpy + window]

    def summary(self) -> dict[str, Any]:
        """Lowest crystal of each end, and what all took."""
        lowest: dict[str, SimpleCrystal] = {}
        for one in self.crystals:
            lowest.setdefault(one.formula, one)
        return {
            "reference_evaluations": self.evaluations,
            "crystals": len(self.crystals),
            "lowest": {
                formula: {"space_group": one.space_group, "energy_eV_atom": one.energy}
                for formula, one in lowest.items()
            },
            "failures": self.failures,
        }
