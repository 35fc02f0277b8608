"""Documents of the ranked crystal structures of a campaign."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pymatgen.core import Structure

from nnp.frames import Frames
from workflows.documents.agreement import Agreement
from workflows.documents.base import Blob, StageDocument
from workflows.documents.crystal import CrystalDocument
from workflows.documents.hull import HullDocument
from workflows.documents.phases import Phase, Transition
from workflows.documents.search import pressures_told


class CandidateDocument(CrystalDocument):
    """
    A crystal structure, relaxed by the reference engine and refined to its symmetry.

    ``structure`` and all that is said of it is the refined one in the standard primitive cell;
    ``relaxed`` is what the relaxation left, in the cell of the search.
    """

    formula: str
    chemical_system: str
    formula_units: int = Field(description="Z of the primitive cell")
    conventional_units: int | None = Field(None, description="Z of the conventional cell")
    space_group: str
    space_group_number: int
    symmetry_tolerance: float | None = Field(
        None, description="Å within which the relaxed structure has the space group"
    )
    energy: float | None = Field(description="reference engine (eV/atom)")
    enthalpy: float | None = Field(
        None, description="reference engine (eV/atom); none without a pressure, or an energy"
    )
    fitness: float | None = Field(None, description="what ranks it (eV/atom); none: the energy")
    energy_above_best: float | None = Field(None, description="in fitness (meV/atom)")
    potential_energy: float | None = Field(
        None,
        description="neural network potential, relaxed by it (eV/atom); none if it did not search",
    )
    potential_enthalpy: float | None = Field(
        None, description="the same; none without a pressure, or a potential (eV/atom)"
    )
    single_point: float | None = Field(
        None, description="neural network potential at this geometry (eV/atom)"
    )
    expected_error: float | None = Field(
        None, description="that the potential expects of that energy (eV/atom)"
    )
    magnetic_moments: dict[str, list[float]] | None = Field(
        None, description="by element, smallest and largest magnitude (μB); none: all are zero"
    )
    density: float = Field(description="g/cm³")
    volume: float = Field(description="Å³/atom")
    rank: int | None = Field(None, description="at its pressure")
    motif: int | None = Field(
        None, description="of its local structure: 1 is that of the best, numbered by the ranking"
    )
    converged: bool = False
    max_force: float | None = Field(None, description="eV/Å")
    max_stress: float | None = Field(
        None, description="that the pressure from outside does not balance (kbar)"
    )
    steps: int = 0
    found_by: str = Field("", description="operator that made it")
    found_at: int = Field(0, description="its number among the structures of its island")
    of_prototype: bool = Field(
        False, description="whether it, or an ancestor, came from a known structure type"
    )
    failure: str | None = Field(None, description="why it has no energy")
    engine: str
    job: str = Field("", description="id of the job that relaxed it; its output has the frames")
    refined_by: str = Field(
        "", description="id of the job that evaluated the refined structure; none: as relaxed"
    )
    relaxed_energy: float | None = Field(None, description="as relaxed (eV/atom)")
    relaxed: Structure | None = Field(None, description="as relaxed")
    known: str | None = Field(
        None, description="label of the known phase of a system that it is; none: of none"
    )
    formation_energy: float | None = Field(
        None, description="from the blocks of a system, at a pressure enthalpy (eV/atom)"
    )
    above_hull: float | None = Field(
        None, description="of all crystals of a system at its pressure, known ones too (meV/atom)"
    )
    above_known: float | None = Field(
        None,
        description="of the hull of known phases alone (meV/atom): below zero it is more stable; "
        "none where they cannot make it",
    )
    reaction: str | None = Field(
        None, description="what it becomes in equilibrium; none: it is on the hull"
    )


class PredictionDocument(StageDocument):
    """The ranked crystal structures of a campaign."""

    formula: str
    engine: str
    pressure: float = Field(0.0, description="from outside (kbar); of several the lowest")
    pressures: list[float] = Field(
        default_factory=list, description="all of them (kbar), if there are several"
    )
    candidates: list[CandidateDocument] = Field(
        description="by rank; where there are several pressures, ranked at each by itself"
    )
    phases: list[Phase] = Field(
        default_factory=list, description="followed through several pressures"
    )
    transitions: list[Transition] = Field(
        default_factory=list, description="between the phases of lowest enthalpy"
    )
    known: list[CandidateDocument] = Field(
        default_factory=list, description="phases of a system that the user gave, relaxed alike"
    )
    hulls: list[HullDocument] = Field(
        default_factory=list, description="of a system, one at each pressure"
    )
    failures: list[str] = Field(default_factory=list)
    notes: list[str] = Field(
        default_factory=list, description="what the engine cannot say of this compound"
    )
    provenance: dict[str, Any] = Field(default_factory=dict)
    agreement: Agreement | None = Field(
        None, description="of the potential with the engine at the engine's geometries"
    )
    evaluations: int = Field(0, description="of the engine in this stage")
    n_frames: int = Field(0, description="labelled configurations of these relaxations")
    frames: Annotated[Frames | None, Blob] = Field(
        None, description='the configurations, of the stage "candidate"; none: an earlier ranking'
    )

    def summary(self) -> dict[str, Any]:
        """The ranking without its structures, what failed, and how good the potential was."""
        left_out = {"relaxed", "structure", "version"}
        return {
            **pressures_told(self.pressure, self.pressures),
            "candidates": [candidate.model_dump(exclude=left_out) for candidate in self.candidates],
            "failures": self.failures,
            "notes": self.notes,
            "relaxation_evaluations": self.evaluations,
            "relaxation_frames": self.n_frames,
            "agreement": None if self.agreement is None else self.agreement.figures(),
            **self._of_phases(),
            **self._of_system(left_out),
        }

    def hull_at(self, pressure: float) -> HullDocument | None:
        """Hull of a system at one of its pressures (kbar); none of a formula."""
        return next((hull for hull in self.hulls if hull.pressure == pressure), None)

    def by_pressure(self) -> list[PredictionDocument]:
        """Return the ranking at each pressure, as if it were that of a campaign of its own."""
        if not self.pressures:
            return [self]
        return [
            self.model_copy(
                update={
                    "pressure": pressure,
                    "pressures": [],
                    "candidates": [one for one in self.candidates if one.pressure == pressure],
                    "known": [one for one in self.known if one.pressure == pressure],
                    "hulls": [one for one in self.hulls if one.pressure == pressure],
                }
            )
            for pressure in self.pressures
        ]

    def _of_system(self, left_out: set[str]) -> dict[str, Any]:
        """Hulls and known phases as JSON types, of a system."""
        if not self.hulls:
            return {}
        return {
            "hulls": [hull.model_dump(exclude={"version"}) for hull in self.hulls],
            "known_phases": [one.model_dump(exclude=left_out) for one in self.known],
        }

    def _of_phases(self) -> dict[str, Any]:
        """Phases and transitions as JSON types, where there are several pressures."""
        if not self.pressures:
            return {}
        return {
            "phases": [
                {
                    "phase": phase.number,
                    "points": [point.model_dump(exclude={"version"}) for point in phase.points],
                }
                for phase in self.phases
            ],
            "transitions": [one.figures() for one in self.transitions],
        }
