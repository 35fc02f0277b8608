"""Results of a campaign as documents, read from its job store."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from jobflow import JobStore

    from workflows.schemas import (
        CheckDocument,
        ConvergenceDocument,
        Document,
        MeltingTemperatureDocument,
        PredictionDocument,
        SampleDocument,
        SearchDocument,
        TrainingDocument,
        VolumeDocument,
    )

AnyDocument = TypeVar("AnyDocument", bound="Document")


class CampaignResults:
    """
    What a campaign has found so far.

    Every property is the newest document of its kind, or None as long as there is none.

    Parameters
    ----------
    store
        Job store of the campaign.
    campaign
        Name of the campaign.
    """

    def __init__(self, store: JobStore, campaign: str) -> None:
        self.store = store
        self.campaign = campaign
        store.connect()

    def newest(self, kind: str) -> Any:
        """
        Return the newest output document of a class, blobs included.

        Parameters
        ----------
        kind
            Name of a class in :mod:`workflows.schemas`.
        """
        from monty.json import MontyDecoder

        criteria = {"metadata.campaign": self.campaign, "output.@class": kind}
        properties = ["output", "completed_at"]
        documents = list(
            self.store.query(criteria, properties, sort={"completed_at": -1}, limit=1, load=True)
        )
        return MontyDecoder().process_decoded(documents[0]["output"]) if documents else None

    @cached_property
    def convergence(self) -> ConvergenceDocument | None:
        """Cutoff and k-points, if the engine has such."""
        return self.newest("ConvergenceDocument")

    @cached_property
    def check(self) -> CheckDocument | None:
        """Training set against better calculations, if the engine can do such."""
        return self.newest("CheckDocument")

    @cached_property
    def melting_temperature(self) -> MeltingTemperatureDocument | None:
        """Melting temperature and the displacement curves behind it."""
        return self.newest("MeltingTemperatureDocument")

    @cached_property
    def volume(self) -> VolumeDocument | None:
        """Equilibrium volume and pressure."""
        return self.newest("VolumeDocument")

    @cached_property
    def sample(self) -> SampleDocument | None:
        """Training set."""
        return self.newest("SampleDocument")

    @cached_property
    def training(self) -> TrainingDocument | None:
        """Potential and its errors."""
        return self.newest("TrainingDocument")

    @cached_property
    def search(self) -> SearchDocument | None:
        """What the search found."""
        return self.newest("SearchDocument")

    @cached_property
    def prediction(self) -> PredictionDocument | None:
        """Ranked structures."""
        return self.newest("PredictionDocument")

    def warnings(self) -> list[str]:
        """What the stages warned of."""
        found = (
            ("convergence", self.convergence),
            ("melting temperature", self.melting_temperature),
            ("volume", self.volume),
            ("check of the training set", self.check),
            ("training", self.training),
        )
        return [
            f"{stage}: {document.warning}"
            for stage, document in found
            if document is not None and document.warning
        ]
