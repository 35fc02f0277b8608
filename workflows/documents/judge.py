"""Output documents of a potential that was judged by crystals it has not been trained on."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from nnp.frames import Frames
from workflows.documents.base import Blob, Document, StageDocument
from workflows.documents.search import SearchDocument


class JudgeSearchDocument(SearchDocument):
    """What a search by the reference engine found for a test; no result of a campaign."""

    relaxation_steps: int = Field(0, description="of all its structures together")


class JudgePoint(Document):
    """
    One crystal of a test, relaxed by the reference engine, and what a potential says of it.

    At a pressure, all energies are enthalpies.
    """

    label: str = Field(description="file of a known phase, or origin and number")
    origin: str = Field(description="known, random or search")
    formula_units: int = Field(description="Z")
    space_group: str
    reference_energy: float = Field(description="eV/atom")
    potential_energy: float = Field(description="at the reference geometry (eV/atom)")
    uncertainty: float = Field(description="of it, zero for a single network (eV/atom)")
    relaxed_energy: float | None = Field(
        None, description="of the potential, relaxed by it (eV/atom); none if that failed"
    )
    relaxation: str = Field("", description="how the relaxation by the potential ended")
    stays: bool | None = Field(None, description="whether it is the same structure after that")
    covered: float = Field(description="fraction of its atoms within the training set")
    in_training: bool = Field(
        False, description="whether the training set has it: it counts in no figure then"
    )


class EarlierPotential(Document):
    """What a potential says of the same crystals that was trained before."""

    training_job: str = Field(description="id of the job that trained it")
    energies: list[float] = Field(
        description="at the reference geometries, in the order of the points (eV/atom)"
    )
    single_points: list[dict[str, float | None]] = Field(description="as in JudgeDocument")


class JudgeDocument(StageDocument):
    """How well a potential ranks crystals that it has not been trained on."""

    formula: str
    engine: str
    pressure: float = Field(
        0.0, description="from outside (kbar); where it is not zero, energies are enthalpies"
    )
    training_job: str = Field(description="id of the job that trained the potential")
    n_tested: int = Field(description="crystals that training has not seen")
    n_in_training: int = Field(description="others, which count in no figure")
    points: list[JudgePoint] = Field(description="lowest reference energy first")
    single_points: list[dict[str, float | None]] = Field(
        description="within windows above the lowest reference energy (meV/atom), at the reference "
        "geometries: number, Pearson and Spearman coefficients, mean error, RMSE and MAE (meV/atom)"
    )
    relaxed: list[dict[str, float | None]] = Field(description="the same, relaxed by the potential")
    earlier: list[EarlierPotential] = Field(
        default_factory=list, description="of earlier rounds of learning, the first one first"
    )
    lowest: dict[str, str | None] = Field(
        description="label of the lowest structure by the reference, by the potential, and by the "
        "potential relaxed by it; and of the lowest known phase by the reference"
    )
    stays: float | None = Field(description="fraction that is the same when relaxed by it")
    coverage: dict[str, dict[str, float]] = Field(
        description="by origin and element: fraction of atoms within the training set"
    )
    reference_evaluations: dict[str, int] = Field(
        description="steps of relaxations by the reference engine, by origin; search: to the "
        "limits of the search, and from there to those of the test"
    )
    potential_seconds: float = Field(
        description="of energy, forces and stress by the potential on one thread (s/atom)"
    )
    failures: list[str] = Field(default_factory=list)
    frames: Annotated[Frames, Blob] = Field(
        description="reference geometries and energies, in the order of the points"
    )

    @property
    def tested(self) -> list[JudgePoint]:
        """Points that training has not seen."""
        return [point for point in self.points if not point.in_training]

    def summary(self) -> dict[str, Any]:
        """Correlations and errors by window, and whether the known phase is the lowest."""
        return {
            "judge": {
                "structures": self.n_tested,
                "in_training": self.n_in_training,
                "lowest": self.lowest,
                "stays": self.stays,
                "single_points": self.single_points,
                "relaxed_by_potential": self.relaxed,
            }
        }
