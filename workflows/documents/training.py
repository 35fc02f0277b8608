"""Documents of the frames that a potential learns from, and of what it has learnt."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from nnp.frames import Frames
from nnp.potential import Potential
from workflows.documents.base import Blob, Document, StageDocument


class SampleDocument(StageDocument):
    """The training set that a melt-quench-anneal trajectory gave."""

    formula: str
    n_frames: int
    n_atoms: int
    frames_by_stage: dict[str, int]
    frames_left_out: int = Field(0, description="not finite, or with atoms on top of each other")
    evaluations: int | None = Field(
        None, description="static runs of the reference engine, if it only labels"
    )
    failures: list[str] = Field(
        default_factory=list, description="frames that the reference engine could not label"
    )
    shortest_distances: dict[str, float] = Field(description="by pair of elements (Å)")
    volume_per_atom: float = Field(description="of the glass (Å³)")
    series: dict[str, list[float]] = Field(
        description="along the trajectory: time (ps), temperature (K), energy (eV/atom), "
        "pressure (kbar); of several compositions the share of each element, by its symbol"
    )
    frames: Annotated[Frames, Blob]

    def summary(self) -> dict[str, Any]:
        """Frames by stage, and what their labels took if the reference engine only labels."""
        labels: dict[str, Any] = (
            {}
            if self.evaluations is None
            else {"reference_evaluations": self.evaluations, "failed_labels": self.failures}
        )
        return {"frames": self.frames_by_stage, **labels}


class SelectionDocument(StageDocument):
    """Frames of a fast engine's trajectory, chosen to be labelled."""

    n_pool: int = Field(description="frames to choose from")
    n_chosen: int
    n_scaled: int = Field(description="of them at other volumes than the trajectory's")
    stopped_runs: int = Field(description="segments that ended where the potential knew nothing")
    uncertainty: float | None = Field(
        None, description="of the pool's energies, root mean square (eV/atom)"
    )
    chosen_uncertainty: float | None = Field(None, description="of the chosen frames' (eV/atom)")
    shortest_distances: dict[str, float] = Field(description="of the trajectory, by pair (Å)")
    volume_per_atom: float = Field(description="of its glass (Å³)")
    series: dict[str, list[float]] = Field(description="as in SampleDocument")
    frames: Annotated[Frames, Blob]


class LabelDocument(Document):
    """A batch of frames, labelled by the reference engine."""

    engine: str
    n_labelled: int
    failures: list[str] = Field(description="frames that could not be labelled, and why")
    frames: Annotated[Frames, Blob]


class TrainingDocument(StageDocument):
    """A trained potential and how well it fits."""

    formula: str
    n_training: int
    n_validation: int
    validation_split: str
    converged: bool = Field(description="whether the validation thresholds were reached")
    energy_rmse: float = Field(description="validation (meV/atom)")
    force_rmse: float = Field(description="validation (eV/Å)")
    stress_rmse: float = Field(description="validation (kbar)")
    epochs: int
    history: list[dict[str, float]]
    parity: dict[str, list[float]] = Field(
        description="validation set: reference and predicted energies (eV/atom), and a sample "
        "of force components (eV/Å)"
    )
    potential: Annotated[Potential, Blob]

    def summary(self) -> dict[str, Any]:
        """Errors on the validation set."""
        return {
            "validation_rmse": {
                "energy_meV_atom": self.energy_rmse,
                "force_eV_A": self.force_rmse,
                "stress_kbar": self.stress_rmse,
            }
        }


class LearningCurvePoint(Document):
    """Errors of a potential trained on part of the frames, on the same validation frames."""

    fraction: float = Field(description="of the training frames")
    n_training: int
    energy_rmse: float = Field(description="validation (meV/atom)")
    force_rmse: float = Field(description="validation (eV/Å)")
    stress_rmse: float = Field(description="validation (kbar)")


class LearningCurveDocument(StageDocument):
    """Whether more frames would help: errors against the size of the training set."""

    points: list[LearningCurvePoint] = Field(description="smallest part first")
