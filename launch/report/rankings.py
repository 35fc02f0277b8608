"""
The newest ranking of each campaign, without its structures, in one small document.

A ranking is a document of a hundred kilobytes, most of them structures. Whoever looks at the
rankings of all campaigns reads these copies. A copy knows how many jobs of the ranking stage had
completed when it was made; the tally of its campaign says how many have by now.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from launch.database.connections import OUTPUTS
from launch.database.tally_reading import read_tallies
from workflows.documents.prediction import PredictionDocument
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from pymongo.database import Database

    from launch.database.tallies import Tally

COLLECTION = "rankings"
#: Notes that campaigns without a tally were looked for.
BEGUN = {"_id": "begun", "of": "all campaigns"}
DOCUMENT = PredictionDocument.__name__
WITHOUT_STRUCTURES = {"output.candidates.structure": 0, "output.candidates.relaxed": 0}


def read_rankings(database: Database) -> list[dict[str, Any]] | None:
    """
    Return the newest ranking of each campaign.

    Parameters
    ----------
    database : Database
        Of job store and launchpad.

    Returns
    -------
    list of dict or None
        ``campaign``, ``formula``, ``version`` of the document, and ``candidates`` without their
        structures. None where the database has no campaigns to run, so that nobody can say which
        rankings are new.
    """
    tallies = read_tallies(database)
    if not tallies:
        return None
    kept = {row["_id"]: row for row in database[COLLECTION].find({})}
    if kept.pop(BEGUN["_id"], None) is None:
        kept |= _begin(database)
    for tally in tallies:
        completed = rankings_completed(tally)
        row = kept.get(tally.campaign)
        if completed != (0 if row is None else row["completed"]):
            kept[tally.campaign] = keep_ranking(database, tally.campaign, completed)
    return [_read(kept[name]) for name in sorted(kept)]


def rankings_completed(tally: Tally) -> int:
    """How many jobs of a campaign have completed that may have ranked something."""
    ranking = {stage.name for stage in STAGES.values() if stage.document_name == DOCUMENT}
    return sum(
        count.states["COMPLETED"] for kind, count in tally.counts.items() if kind.stage in ranking
    )


def keep_ranking(database: Database, campaign: str, completed: int = 0) -> dict[str, Any]:
    """
    Copy the newest ranking of a campaign.

    Parameters
    ----------
    database : Database
        Of job store and launchpad.
    campaign : str
        Its name.
    completed : int
        Jobs that may have ranked something.
    """
    wanted = {"metadata.campaign": campaign, "output.@class": DOCUMENT}
    newest = database[OUTPUTS].find(wanted, {"completed_at": 1}).sort("completed_at", -1).limit(1)
    found = next(newest, None)
    document: Mapping[str, Any] = {}
    if found is not None:
        by_id = {"_id": found["_id"]}
        document = database[OUTPUTS].find_one(by_id, WITHOUT_STRUCTURES) or {}
    return _keep(database, campaign, document, completed)


def forget_ranking(database: Database, campaign: str) -> None:
    """Let the ranking of a campaign be copied anew when it is asked for."""
    database[COLLECTION].delete_one({"_id": campaign})


def _begin(database: Database) -> dict[str, dict[str, Any]]:
    """Copy the rankings of all campaigns, also of those whose Fireworks are gone."""
    rows: dict[str, dict[str, Any]] = {}
    newest: dict[str, str] = {}
    wanted = {"output.@class": DOCUMENT}
    for document in database[OUTPUTS].find(wanted, WITHOUT_STRUCTURES):
        campaign = document.get("metadata", {}).get("campaign")
        time = str(document.get("completed_at"))
        if campaign is not None and time > newest.get(campaign, ""):
            newest[campaign] = time
            # how many jobs it has is not known here: if it has a tally it is copied once more
            rows[campaign] = _row(campaign, document, -1)
    for row in rows.values():
        _write(database, row)
    _write(database, BEGUN)
    return rows


def _keep(
    database: Database, campaign: str, document: Mapping[str, Any], completed: int
) -> dict[str, Any]:
    row = _row(campaign, document, completed)
    _write(database, row)
    return row


def _write(database: Database, row: dict[str, Any]) -> None:
    """Keep a copy; who may only read goes without."""
    from pymongo.errors import OperationFailure

    with contextlib.suppress(OperationFailure):
        database[COLLECTION].replace_one({"_id": row["_id"]}, row, upsert=True)


def _row(campaign: str, document: Mapping[str, Any], completed: int) -> dict[str, Any]:
    output = document.get("output") or {}
    candidates = [
        {name: value for name, value in one.items() if name not in ("structure", "relaxed")}
        for one in output.get("candidates") or []
    ]
    return {
        "_id": campaign,
        "completed": completed,
        "formula": (document.get("metadata") or {}).get("formula"),
        "version": output.get("version"),
        "found": bool(output),
        # one text: a server decodes it in no time
        "candidates": json.dumps(candidates),
    }


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "campaign": row["_id"],
        "formula": row["formula"],
        "version": row["version"],
        "found": row["found"],
        "candidates": json.loads(row["candidates"]),
    }
