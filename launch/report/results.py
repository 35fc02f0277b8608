"""Results of all campaigns in a database, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from launch.report.campaign_results import CampaignResults
from launch.report.compounds import has_compound, require_compound
from launch.report.records import CandidateRecord
from search.composition_parsing import is_system
from search.state.fitness import better_first
from workflows.composition import compound, same_compound
from workflows.jobs.outputs import FORMER_CAMPAIGN
from workflows.stages.ranking import fitness_of
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from jobflow import JobStore
    from pymongo.collection import Collection

    from nnp.frames import Frames
    from nnp.potential import Potential
    from workflows.documents.base import StageDocument

#: Fields of documents that are no figures.
NO_FIGURES = ("version",)
#: What a figure may be.
PLAIN = (int, float, str, type(None))


class Results:
    """
    Results of all campaigns in one job store.

    Parameters
    ----------
    store : JobStore
        On a MongoDB.

    Examples
    --------
    >>> with Results.open() as results:
    ...     best = results.candidates(formula="Mg2SiO4", above_best=50.0)
    ...     table = to_dataframe(best)
    ...     potential = results.potential(best[0].campaign)
    """

    def __init__(self, store: JobStore) -> None:
        self.store = store
        store.connect()

    @classmethod
    def open(cls, folder: Path | None = None) -> Results:
        """
        Open the job store of a cluster's configuration.

        Parameters
        ----------
        folder : Path or None
            Configuration; default: that of the user.
        """
        from launch.cluster.configuration import Configuration

        return cls(Configuration.find(folder).job_store())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    @property
    def outputs(self) -> Collection:
        """The collection of output documents, for queries of one's own."""
        found: Collection = self.store.docs_store._collection
        return found

    def campaigns(self, formula: str | None = None) -> list[str]:
        """Names of all campaigns, or of those of one compound, that have any output."""
        counted = self._counted()
        if counted is None:
            wanted = self._of_compound(formula) if formula else {}
            return sorted(filter(None, self.outputs.distinct("metadata.campaign", wanted)))
        if formula is None:
            return sorted(counted)
        require_compound(formula)
        same = {spelt for spelt in set(counted.values()) if spelt and has_compound(spelt, formula)}
        return sorted(name for name, spelt in counted.items() if spelt in same)

    def _counted(self) -> dict[str, str] | None:
        """Formulas of the campaigns that have any output, by tallies and kept rankings."""
        from launch.database.tally_reading import read_tallies
        from launch.report.rankings import COLLECTION

        database = self.outputs.database
        tallies = read_tallies(database)
        if not tallies:
            return None
        ranked = database[COLLECTION].find({"found": True}, {"formula": 1})
        found = {row["_id"]: str(row["formula"] or "") for row in ranked}
        return found | {t.campaign: t.formula for t in tallies if t.states["COMPLETED"]}

    def formula_of(self, campaign: str) -> str | None:
        """Formula of a campaign; none if it has no output that tells."""
        found = self.outputs.find_one(
            {"metadata.campaign": campaign, "metadata.formula": {"$exists": True}},
            {"metadata.formula": 1},
        )
        return None if found is None else str(found["metadata"]["formula"])

    def candidates(
        self,
        formula: str | None = None,
        campaign: str | None = None,
        above_best: float | None = None,
        structures: bool = True,
    ) -> list[CandidateRecord]:
        """
        Ranked crystal structures, from the newest ranking of each campaign.

        Parameters
        ----------
        formula : str or None
            Of one compound, in any spelling, or of a system; none: all.
        campaign : str or None
            Its name; none: all.
        above_best : float or None
            meV/atom above the best structure of the same compound, engine and pressure among the
            campaigns looked at; none: all.
        structures : bool
            Whether to fetch the structures too.

        Returns
        -------
        list of CandidateRecord
            By compound, engine, pressure and fitness.
        """
        kept = None if structures or campaign is not None else self._kept(formula)
        rows = self._stored(formula, campaign, above_best, structures) if kept is None else kept
        found = [record_of(name, candidate) for name, candidate in rows]
        if above_best is not None:
            # no structure is nearer to the best of all campaigns than to that of its own
            found = [record for record in found if record.energy_above_best <= above_best]
        if formula is not None and not is_system(formula):  # a system has others, too
            found = [record for record in found if same_compound(record.formula, formula)]
        ranked = ranked_together(found)
        return [r for r in ranked if above_best is None or r.energy_above_best <= above_best + 1e-9]

    def _kept(self, formula: str | None) -> list[tuple[str, dict[str, Any]]] | None:
        """Campaign and candidates of the kept rankings; none where there are none kept."""
        from launch.report.rankings import read_rankings
        from workflows.documents.prediction import PredictionDocument

        rows = read_rankings(self.outputs.database)
        if rows is None:
            return None
        if formula is not None:
            require_compound(formula)
            spelt = {row["formula"] for row in rows if row["formula"]}
            same = {spelling for spelling in spelt if has_compound(spelling, formula)}
            rows = [row for row in rows if row["formula"] in same]
        for row in rows:
            if row["candidates"]:
                PredictionDocument.require_version(row)
        return [(row["campaign"], one) for row in rows for one in row["candidates"]]

    def _stored(
        self, formula: str | None, campaign: str | None, above_best: float | None, structures: bool
    ) -> list[tuple[str, dict[str, Any]]]:
        """Campaign and candidates of the newest ranking of each campaign, by their documents."""
        from workflows.documents.prediction import PredictionDocument

        wanted = self._wanted("PredictionDocument", formula, campaign)
        former = {FORMER_CAMPAIGN: wanted.pop(FORMER_CAMPAIGN)}
        steps: list[dict[str, Any]] = [
            {"$match": wanted},
            {"$match": former},  # apart: what no index answers keeps others from answering
            {"$sort": {"completed_at": -1}},
            {
                "$group": {
                    "_id": "$metadata.campaign",
                    "all": {"$first": "$output.candidates"},
                    "version": {"$first": "$output.version"},
                }
            },
            {"$unwind": "$all"},
        ]
        if above_best is not None:
            steps.append({"$match": {"all.energy_above_best": {"$lte": above_best}}})
        if not structures:
            steps.append({"$project": {"all.structure": 0, "all.relaxed": 0}})
        found = []
        for row in self.outputs.aggregate(steps):
            PredictionDocument.require_version(row)
            found.append((row["_id"], row["all"]))
        return found

    def stages(
        self, stage: str, formula: str | None = None, campaign: str | None = None
    ) -> list[dict[str, Any]]:
        """
        The figures of one stage, a row for each of its documents, newest first.

        They are the plain fields of the document, and those of its summary; what the summary has
        in groups is named by both, ``validation_rmse.force_eV_A`` for example.

        Parameters
        ----------
        stage : str
            Name of one that has a document.
        formula, campaign : str or None
            None: all.
        """
        row = STAGES[stage]
        kind = row.document_class()
        if kind is None:
            return []
        wanted = self._wanted(row.document_name, formula, campaign)
        shown = {"output": 1, "metadata.campaign": 1, "metadata.formula": 1, "_id": 0}
        rows = []
        for document in self.outputs.find(wanted, shown).sort("completed_at", -1):
            figures = _figures(kind, document["output"])
            metadata = document["metadata"]
            rows.append(
                {"campaign": metadata["campaign"], "formula": metadata.get("formula"), **figures}
            )
        return rows

    def frames(self, campaign: str, stage: str | None = None) -> Frames | None:
        """
        All labelled frames of a campaign, its training set among them; none if it has none yet.

        Parameters
        ----------
        campaign : str
            Its name.
        stage : str or None
            Only frames of that stage, e.g. ``"quench"``.
        """
        frames = CampaignResults(self.store, campaign).frames()
        if frames is None or stage is None:
            return frames
        return frames[[n for n, name in enumerate(frames.stages) if name == stage]]

    def potential(self, campaign: str) -> Potential | None:
        """Newest potential of a campaign; none if it has none yet."""
        from workflows.documents.training import TrainingDocument

        training = CampaignResults(self.store, campaign).newest(TrainingDocument)
        return training.potential if training else None

    def _of_compound(self, formula: str) -> dict[str, Any]:
        """Criteria for one compound, however campaigns spell it."""
        require_compound(formula)
        counted = self._counted()
        known = self.outputs.distinct("metadata.formula") if counted is None else counted.values()
        spelt = filter(None, set(known))
        return {"metadata.formula": {"$in": sorted(s for s in spelt if has_compound(s, formula))}}

    def _wanted(
        self, kind: str | None, formula: str | None, campaign: str | None
    ) -> dict[str, Any]:
        wanted: dict[str, Any] = {"output.@class": kind, FORMER_CAMPAIGN: {"$exists": False}}
        if formula is not None:
            wanted |= self._of_compound(formula)
        if campaign is not None:
            wanted["metadata.campaign"] = campaign
        return wanted


def _figures(kind: type[StageDocument], output: dict[str, Any]) -> dict[str, Any]:
    """Plain fields of a stored document and figures of its summary; blobs stay in the store."""
    from workflows.documents.decoding import decode

    kind.require_version(output)
    fields = {name: value for name, value in output.items() if not name.startswith("@")}
    figures = {
        name: value
        for name, value in fields.items()
        if name not in NO_FIGURES and isinstance(value, PLAIN)
    }
    document = kind.model_construct(**decode(_without_blobs(fields)))
    return {**figures, **dict(_flat(document.summary()))}


def _without_blobs(value: Any) -> Any:
    """Put nothing in the place of references to blobs."""
    if isinstance(value, list):
        return [_without_blobs(entry) for entry in value]
    if isinstance(value, dict):
        is_blob = "blob_uuid" in value
        return None if is_blob else {key: _without_blobs(part) for key, part in value.items()}
    return value


def _flat(summary: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the plain values of a summary, those of its groups with the names of both."""
    for name, value in summary.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, PLAIN):
            yield f"{prefix}{name}", value


def record_of(campaign: str, candidate: dict[str, Any]) -> CandidateRecord:
    """
    Make a record of a candidate as it is stored.

    Parameters
    ----------
    campaign : str
        Name of its campaign.
    candidate : dict
        Row of a stored ranking.
    """
    fields = {name: candidate[name] for name in CandidateRecord.model_fields if name in candidate}
    return CandidateRecord(campaign=campaign, **fields)


def ranked_together(records: Sequence[CandidateRecord]) -> list[CandidateRecord]:
    """
    Sort records by compound, engine, pressure and fitness, and tell how far each is above the best.

    Parameters
    ----------
    records : sequence of CandidateRecord
        Of any campaigns; their distances from the best become those among all of them.
    """
    spelling = {formula: compound(formula) for formula in {r.formula for r in records}}
    ranked = better_first(sorted(records, key=lambda r: r.campaign), fitness_of)

    def group(record: CandidateRecord) -> tuple[str, str, float]:
        return spelling[record.formula], record.engine, record.pressure

    ranked.sort(key=group)  # the best of each stay first
    best: dict[tuple[str, str, float], float] = {}
    for record in ranked:
        fitness = fitness_of(record)
        first = best.setdefault(group(record), fitness)
        record.energy_above_best = 1000 * (fitness - first)
    return ranked
