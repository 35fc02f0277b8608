"""What documents of crystals have in common: the pressure they are under."""

from __future__ import annotations

from pydantic import Field
from pymatgen.core import Structure

from search.relax.pressure import work_of
from workflows.documents.base import Document


class CrystalDocument(Document):
    """A crystal at a pressure; energies are without pressure times volume, enthalpies with it."""

    structure: Structure
    pressure: float = Field(0.0, description="from outside (kbar)")

    @property
    def work(self) -> float:
        """Pressure times volume (eV/atom)."""
        return work_of(self.pressure, self.structure.volume) / len(self.structure)
