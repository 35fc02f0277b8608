"""Rankings of campaigns as they are shared: structures, and what they were computed by."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.errors import CampaignError
from launch.report.exchange_formats import write_ase_database, write_optimade
from launch.report.records import STRUCTURES, CandidateRecord
from launch.versions import own_version
from nnp.storage.files import open_text_atomically, write_atomically

if TYPE_CHECKING:
    from jobflow import JobStore

#: Of the layout of the JSON document.
JSON_VERSION = 1


@dataclass(frozen=True)
class SharedRanking:
    """
    The newest ranking of a campaign.

    Attributes
    ----------
    campaign : str
    records : list of CandidateRecord
        With structures.
    versions : dict of str to str
        Of what computed it.
    modified : datetime
        When it was made (UTC).
    summary : dict
        Figures of all stages.
    """

    campaign: str
    records: list[CandidateRecord]
    versions: dict[str, str]
    modified: datetime
    summary: dict[str, Any] = field(default_factory=dict)


def read_ranking(store: JobStore, campaign: str) -> SharedRanking:
    """
    Read the newest ranking of a campaign.

    Parameters
    ----------
    store : JobStore
    campaign : str
        Its name.

    Raises
    ------
    CampaignError
        If it has none.
    """
    from launch.report.campaign_results import CampaignResults
    from launch.report.files import summarise
    from launch.report.results import ranked_together, record_of
    from workflows.documents.prediction import PredictionDocument

    wanted = {"metadata.campaign": campaign, "output.@class": "PredictionDocument"}
    shown = ("candidates", "provenance", "version")
    fields = [*(f"output.{name}" for name in shown), "completed_at"]
    newest = list(store.query(wanted, fields, sort={"completed_at": -1}, limit=1))
    if not newest:
        raise CampaignError(
            f"The campaign {campaign} has no ranking yet; --format zip exports what there is."
        )
    output = newest[0]["output"]
    PredictionDocument.require_version(output)
    provenance = output.get("provenance") or {}
    summary = summarise(CampaignResults(store, campaign))
    return SharedRanking(
        campaign=campaign,
        records=ranked_together([record_of(campaign, one) for one in output["candidates"]]),
        versions={name: found for name, found in provenance.items() if name != "campaign"},
        modified=_time(newest[0]["completed_at"]),
        summary={name: found for name, found in summary.items() if name != "candidates"},
    )


def write_rankings(rankings: Sequence[SharedRanking], form: str, path: Path) -> None:
    """
    Write rankings to a file.

    Parameters
    ----------
    rankings : sequence of SharedRanking
    form : str
        One of :data:`FORMATS`.
    path : Path
        Replaced once it is whole.
    """
    FORMATS[form](rankings, path)


def _write_json(rankings: Sequence[SharedRanking], path: Path) -> None:
    document = {
        "version": JSON_VERSION,
        "devitrify": own_version(),
        "campaigns": [
            {
                "campaign": one.campaign,
                "modified": one.modified.isoformat(),
                "versions": one.versions,
                "summary": one.summary,
                "candidates": [record.model_dump() for record in one.records],
            }
            for one in rankings
        ],
    }
    write_atomically(path, json.dumps(document, indent=1) + "\n")


def _write_csv(rankings: Sequence[SharedRanking], path: Path) -> None:
    names = [name for name in CandidateRecord.model_fields if name not in STRUCTURES]
    with open_text_atomically(path) as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for record in _all(rankings):
            writer.writerow(record.model_dump(exclude=STRUCTURES))


def _write_ase(rankings: Sequence[SharedRanking], path: Path) -> None:
    write_ase_database(_all(rankings), {one.campaign: one.versions for one in rankings}, path)


def _write_optimade(rankings: Sequence[SharedRanking], path: Path) -> None:
    write_optimade(_all(rankings), {one.campaign: one.modified for one in rankings}, path)


def _all(rankings: Sequence[SharedRanking]) -> list[CandidateRecord]:
    return [record for one in rankings for record in one.records]


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    found: datetime = time if time.tzinfo else time.replace(tzinfo=UTC)
    return found


#: What writes each format.
FORMATS = {
    "ase-db": _write_ase,
    "optimade-jsonl": _write_optimade,
    "json": _write_json,
    "csv": _write_csv,
}
