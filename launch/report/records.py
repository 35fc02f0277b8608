"""Candidates as flat rows, of one campaign or of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from pandas import DataFrame
    from pymatgen.core import Structure

#: Fields of records that are structures.
STRUCTURES = {"structure", "relaxed"}
#: Fields that only candidates of a system have.
OF_SYSTEMS = {"formation_energy", "above_hull", "reaction", "known"}


class CandidateRecord(BaseModel):
    """A ranked crystal structure and the campaign that found it."""

    campaign: str
    formula: str
    formula_units: int = Field(description="Z of the primitive cell")
    conventional_units: int | None = Field(None, description="Z of the conventional cell")
    space_group: str
    space_group_number: int
    symmetry_tolerance: float | None = Field(
        None, description="Å within which the relaxed structure has the space group"
    )
    pressure: float = Field(0.0, description="from outside (kbar)")
    energy: float = Field(description="reference engine (eV/atom)")
    enthalpy: float | None = Field(
        None, description="reference engine (eV/atom); none without a pressure"
    )
    fitness: float | None = Field(None, description="what ranks it (eV/atom); none: the energy")
    energy_above_best: float = Field(
        0.0, description="in fitness (meV/atom), among what was looked at"
    )
    formation_energy: float | None = Field(
        None, description="from the blocks of a system (eV/atom); none of a formula"
    )
    above_hull: float | None = Field(
        None, description="of the system (meV/atom); none of a formula, or out of its reach"
    )
    reaction: str | None = Field(None, description="what it becomes; none: on the hull")
    known: str | None = Field(None, description="label of the known phase of a system that it is")
    potential_energy: float | None = Field(
        None,
        description="neural network potential that found it, relaxed by it (eV/atom); none if none "
        "was searched on",
    )
    single_point: float | None = Field(
        None, description="last neural network potential, at this geometry (eV/atom)"
    )
    expected_error: float | None = Field(
        None, description="that this potential expects of that energy (eV/atom)"
    )
    magnetic_moments: dict[str, list[float]] | None = Field(
        None, description="by element, smallest and largest magnitude (μB); none: all are zero"
    )
    density: float = Field(description="g/cm³")
    volume: float = Field(description="Å³/atom")
    found_by: str = Field("", description="operator of the search that made it")
    of_prototype: bool = Field(
        False, description="whether it, or an ancestor, came from a known structure type"
    )
    rank: int | None = Field(description="in its campaign")
    motif: int | None = Field(None, description="of its local structure, by rank in its campaign")
    converged: bool
    engine: str
    job: str = Field("", description="id of the job that relaxed it; its output has the frames")
    structure: dict[str, Any] | None = Field(None, description="pymatgen's dictionary")
    relaxed: dict[str, Any] | None = Field(None, description="as relaxed; pymatgen's dictionary")

    def to_structure(self) -> Structure:
        """Return the structure as an object."""
        if self.structure is None:
            raise ValueError("the structure was not fetched; ask for structures=True")
        return _read(self.structure)

    def to_relaxed(self) -> Structure | None:
        """Return the structure as relaxed; None where it was not fetched, or not kept."""
        return None if self.relaxed is None else _read(self.relaxed)


def _read(stored: dict[str, Any]) -> Structure:
    from pymatgen.core import Structure

    from workflows.documents.decoding import require_stored

    require_stored(stored)
    return Structure.from_dict(stored)


def to_dataframe(records: Sequence[CandidateRecord] | Sequence[dict[str, Any]]) -> DataFrame:
    """Tabulate records; structures are left out."""
    from pandas import DataFrame

    rows = [r if isinstance(r, dict) else r.model_dump(exclude=STRUCTURES) for r in records]
    return DataFrame(rows)
