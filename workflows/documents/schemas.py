"""
Documents by the module that campaigns of version 3 know them by.

Their jobs and outputs name the classes with the modules in which these were, and are resumed by it.
"""

from __future__ import annotations

from workflows.documents.convergence import (
    CheckDocument,
    ConvergenceDocument,
    ConvergencePoint,
)
from workflows.documents.dynamics import (
    MeltingTemperatureDocument,
    MobilityPoint,
    PressurePoint,
    SegmentDocument,
    VolumeDocument,
)
from workflows.documents.prediction import (
    CandidateDocument,
    PredictionDocument,
)
from workflows.documents.relaxation import (
    RelaxDocument,
)
from workflows.documents.search import (
    IslandDocument,
    SearchCandidate,
    SearchDocument,
)
from workflows.documents.training import (
    LabelDocument,
    LearningCurveDocument,
    LearningCurvePoint,
    SampleDocument,
    SelectionDocument,
    TrainingDocument,
)

__all__ = [
    "CandidateDocument",
    "CheckDocument",
    "ConvergenceDocument",
    "ConvergencePoint",
    "IslandDocument",
    "LabelDocument",
    "LearningCurveDocument",
    "LearningCurvePoint",
    "MeltingTemperatureDocument",
    "MobilityPoint",
    "PredictionDocument",
    "PressurePoint",
    "RelaxDocument",
    "SampleDocument",
    "SearchCandidate",
    "SearchDocument",
    "SegmentDocument",
    "SelectionDocument",
    "TrainingDocument",
    "VolumeDocument",
]
