"""Documents on whether the plane waves and k-points of the reference engine are enough."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from workflows.documents.base import Blob, Document, StageDocument
from workflows.documents.plane_waves import PlaneWaves


class ConvergencePoint(Document):
    """What one cutoff and k-mesh gave for the snapshots."""

    plane_waves: Annotated[PlaneWaves, Blob]
    energies: list[float] = Field(description="by snapshot (meV/atom)")
    pressures: list[float] = Field(description="by snapshot (kbar)")
    largest_forces: list[float] = Field(description="by snapshot (eV/Å)")


class ConvergenceDocument(StageDocument):
    """Cutoff and k-points that are enough for the melt."""

    plane_waves: Annotated[PlaneWaves, Blob]
    points: list[ConvergencePoint]
    changes: list[dict[str, float]] = Field(
        description="from each point to the next two: cutoffs (eV) and meshes, energy (meV/atom), "
        "pressure (kbar), force (eV/Å)"
    )


class CheckDocument(StageDocument):
    """Frames of the training set against calculations with more plane waves and k-points."""

    plane_waves: Annotated[PlaneWaves, Blob] = Field(description="of the better calculations")
    n_frames: int
    energy_error: float = Field(description="mean absolute error (meV/atom)")
    energy_error_shifted: float = Field(
        description="the same after the mean difference is taken away (meV/atom)"
    )
    force_error: float = Field(description="mean absolute error of components (eV/Å)")
    stress_error: float = Field(description="mean absolute error of components (kbar)")
    failed: int = Field(0, description="frames that could not be computed")
