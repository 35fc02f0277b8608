"""Results of one campaign, as documents and sums of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from search.composition_parsing import is_system
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import JobStore

    from launch.report.known import PhaseFound
    from nnp.frames import Frames
    from search.state.evolution import Evolution
    from workflows.documents.base import Document, StageDocument
    from workflows.jobs.stage import Stage

AnyDocument = TypeVar("AnyDocument", bound="Document")

#: Large fields of documents of melts that no summary tells of.
NOT_IN_SUMMARIES = ("structure", "points", "segments")


class CampaignResults:
    """
    What a campaign has found so far.

    Parameters
    ----------
    store : JobStore
        Job store of the campaign.
    campaign : str
        Name of the campaign.

    Examples
    --------
    >>> results = CampaignResults(store, "LiAlCl4-1a2b3c4d")
    >>> if (training := results.newest(TrainingDocument)) is not None:
    ...     training.potential.save("LiAlCl4.nnp")
    """

    def __init__(self, store: JobStore, campaign: str) -> None:
        self.store = store
        self.campaign = campaign
        self._found: dict[str, Any] = {}
        self._known: list[PhaseFound] | None = None
        store.connect()

    def newest(self, kind: type[AnyDocument]) -> AnyDocument | None:
        """
        Return the newest output document of a class, blobs included.

        Parameters
        ----------
        kind : type
            Class of the document.

        Returns
        -------
        Document or None
            None as long as there is none; read once.

        Raises
        ------
        DocumentVersionError
            If another version of the program has written it.
        UnknownClassError
            If it holds an object of a class that no job stores.
        """
        from workflows.documents.decoding import decode

        name = kind.__name__
        if self._found.get(name) is None:
            criteria = {"metadata.campaign": self.campaign, "output.@class": name}
            documents = list(
                self.store.query(
                    criteria,
                    ["output", "completed_at"],
                    sort={"completed_at": -1},
                    limit=1,
                    load=True,
                )
            )
            if documents:
                self._found[name] = decode(documents[0]["output"])
        found: AnyDocument | None = self._found.get(name)
        return found

    def known_phases(self) -> list[PhaseFound]:
        """
        Compare the newest known phases with the newest ranking.

        Returns
        -------
        list of PhaseFound
            The lowest first; empty if nobody gave any, or nothing is ranked. Compared once.
        """
        from launch.report.known import find_known
        from workflows.documents.known import KnownPhasesDocument
        from workflows.documents.prediction import PredictionDocument

        if self._known is None:
            known, ranking = self.newest(KnownPhasesDocument), self.newest(PredictionDocument)
            if known is None or ranking is None:
                return []
            self._known = find_known(known, ranking)
        return self._known

    def search_state(self) -> Evolution | None:
        """
        Return the state that a block of the search has left last; none before the first.

        Returns
        -------
        Evolution or None
            None also if it was dropped, as those of ended searches are but for the last one.
        """
        from workflows.documents.search import IslandDocument
        from workflows.stages.search_states import DroppedStateError, state_of

        island = self.newest(IslandDocument)
        try:
            return None if island is None else state_of(island, self._output)
        except DroppedStateError:
            return None

    def _output(self, uuid: str) -> Any:
        """Return the output of a job."""
        from workflows.documents.decoding import decode

        return decode(self.store.get_output(uuid, load=True))

    def jobs_of(self, kind: type[Document]) -> list[str]:
        """
        Return the ids of the jobs that left documents of a class, the oldest first.

        Parameters
        ----------
        kind : type
            Class of the document.
        """
        criteria = {"metadata.campaign": self.campaign, "output.@class": kind.__name__}
        found = self.store.query(criteria, ["uuid", "completed_at"], sort={"completed_at": 1})
        return list(dict.fromkeys(document["uuid"] for document in found))

    def of_stage(self, stage: Stage) -> StageDocument | None:
        """
        Return the newest document that sums a stage up.

        Parameters
        ----------
        stage : Stage
            A row of the table.

        Returns
        -------
        StageDocument or None
            None if there is none yet, or if the stage has none at all.
        """
        kind = stage.document_class()
        return None if kind is None else self.newest(kind)

    def documents(self) -> Iterator[tuple[Stage, StageDocument]]:
        """Yield the stages that have a document so far, in the order of the table, with it."""
        for stage in STAGES.values():
            document = self.of_stage(stage)
            if document is not None:
                yield stage, document

    def melts(self) -> list[dict[str, Any]]:
        """
        Sum up each melt, where there are several pressures, or compositions.

        Returns
        -------
        list of dict
            By composition and rising pressure: these, melting temperature and volume; empty if
            there is one melt.
        """
        from workflows.documents.dynamics import MeltingTemperatureDocument, VolumeDocument

        found: dict[tuple[str, float], dict[str, Any]] = {}
        for kind in (MeltingTemperatureDocument, VolumeDocument):
            criteria = {"metadata.campaign": self.campaign, "output.@class": kind.__name__}
            of_system = any(
                map(is_system, self.store.docs_store.distinct("metadata.formula", criteria))
            )
            pressures = self.store.docs_store.distinct("output.aimed_at", criteria)
            if len(pressures) < 2 and not of_system:
                continue  # nearly all campaigns have one melt
            shown = [f"output.{name}" for name in kind.model_fields if name not in NOT_IN_SUMMARIES]
            shown += ["output.structure"] * of_system  # which says of what composition the melt is
            rows = self.store.query(criteria, [*shown, "completed_at"], sort={"completed_at": 1})
            for row in rows:  # the last one counts
                kind.require_version(row["output"])
                document = kind.model_construct(**row["output"])
                if document.aimed_at is not None:
                    name = _composition_of(row["output"].get("structure"))
                    key = (name, document.aimed_at)
                    melt = found.setdefault(key, {"pressure_kbar": document.aimed_at})
                    melt |= document.summary()
        if len({name for name, _ in found}) > 1:
            for (name, _), melt in found.items():
                melt["formula"] = name
        return [found[key] for key in sorted(found)] if len(found) > 1 else []

    def frames(self) -> Frames | None:
        """
        Return all that the reference engine has labelled.

        Returns
        -------
        Frames or None
            The training set, and the configurations of candidates' relaxations, which are of the
            stage ``"candidate"``; none if there is neither yet.
        """
        from nnp.frames import Frames
        from workflows.documents.prediction import PredictionDocument
        from workflows.documents.training import SampleDocument

        found = [self.newest(SampleDocument), self.newest(PredictionDocument)]
        parts = [one.frames for one in found if one is not None and one.frames]
        return Frames.concatenate(parts) if parts else None

    def warnings(self) -> list[str]:
        """Return what the stages warned of; the last stage first, whose result people look at."""
        return [
            f"{stage.title}: {document.warning}"
            for stage, document in reversed(list(self.documents()))
            if document.warning
        ]


def _composition_of(structure: dict[str, Any] | None) -> str:
    """Reduced formula of a stored structure; empty where there is none."""
    if structure is None:
        return ""
    from pymatgen.core import Structure

    from workflows.documents.decoding import require_stored

    require_stored(structure)
    formula: str = Structure.from_dict(structure).composition.reduced_formula
    return formula
