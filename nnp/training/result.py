"""What training reports while it runs and what it leaves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from monty.json import MSONable

from nnp.metrics import Errors
from nnp.potential import Potential
from nnp.storage.documents import decoded


@dataclass(frozen=True)
class TrainingStep(MSONable):
    """
    Errors after one epoch.

    Parameters
    ----------
    epoch : int
        Counted from one.
    seconds : float
        Since training began, interruptions not counted.
    training, validation : Errors
        Root-mean-square errors in meV/atom, eV/Å and kbar.
    member : int
        Which network of the ensemble, from zero; epochs start again with each.
    limit : int
        Epoch at which training ends at the latest.
    """

    epoch: int
    seconds: float
    training: Errors
    validation: Errors
    member: int = 0
    limit: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TrainingStep:
        """Undo :meth:`as_dict`."""
        return cls(
            d["epoch"],
            d["seconds"],
            Errors(**d["training"]),
            Errors(**d["validation"]),
            d["member"],
            d.get("limit", 0),
        )


@dataclass(frozen=True, eq=False)
class TrainingResult(MSONable):
    """
    What training gives.

    Parameters
    ----------
    potential : Potential
        Best on validation; its ``record`` says how it was made.
    history : list of TrainingStep
        Every epoch of every member.
    training, validation : Errors
        Errors of that potential in meV/atom, eV/Å and kbar.
    reached : bool
        Whether all thresholds were met on validation.
    reason : str
        Why training stopped.
    training_frames, validation_frames : list of int
        Indices of the frames that trained and validated.
    """

    potential: Potential
    history: list[TrainingStep]
    training: Errors
    validation: Errors
    reached: bool
    reason: str
    training_frames: list[int]
    validation_frames: list[int]

    def as_dict(self) -> dict[str, Any]:
        """Document with the potential's arrays compressed."""
        return {
            "@module": type(self).__module__,
            "@class": "TrainingResult",
            "potential": self.potential.as_dict(),
            "history": [step.as_dict() for step in self.history],
            "training": asdict(self.training),
            "validation": asdict(self.validation),
            "reached": self.reached,
            "reason": self.reason,
            "training_frames": self.training_frames,
            "validation_frames": self.validation_frames,
        }

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> TrainingResult:
        """Undo :meth:`as_dict`."""
        return cls(
            decoded(Potential, d["potential"]),
            [TrainingStep.from_dict(step) for step in d["history"]],
            Errors(**d["training"]),
            Errors(**d["validation"]),
            d["reached"],
            d["reason"],
            d["training_frames"],
            d["validation_frames"],
        )
