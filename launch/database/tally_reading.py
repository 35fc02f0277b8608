"""Read the tallies of campaigns, and count those anew whose tally is not of the present."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from launch.database.tallies import COLLECTION, Tally, count_campaign, stamp

if TYPE_CHECKING:
    from pymongo.database import Database

CHECKS = "tally_checks"
#: By which the clocks of machines that share a database may differ.
SLACK = timedelta(minutes=5)
#: States that a workflow may get without a new time.
SILENT = ("PAUSED", "DEFUSED")
FIELDS = {"updated_on": 1, "state": 1, "metadata.campaign": 1, "nodes": {"$slice": 1}}


def read_tallies(database: Database) -> list[Tally]:
    """
    Return the tallies of all campaigns, each of what its workflows are now.

    Only workflows that have changed since the last look are compared with their tallies.

    Parameters
    ----------
    database : Database
        Of the launchpad.

    Returns
    -------
    list of Tally
        By name.
    """
    begun = datetime.now(UTC)
    found = {row["_id"]: Tally.read(row) for row in database[COLLECTION].find({})}
    stamps = sum(len(tally.stamps) for tally in found.values())
    whole = stamps != database.workflows.estimated_document_count()
    since = None if whole else _last_check(database)
    stale, there = _compare(database, _changed(database, since), found)
    if since is None:  # every workflow was looked at
        stale |= set(found) - there
    for campaign in stale:
        counted = count_campaign(database, campaign)
        if counted is None:
            found.pop(campaign, None)
        else:
            found[campaign] = counted
    _note_check(database, begun)
    return [found[name] for name in sorted(found)]


def read_tally(database: Database, campaign: str) -> Tally | None:
    """
    Return the tally of one campaign, of what its workflows are now; none if there is none.

    Parameters
    ----------
    database : Database
        Of the launchpad.
    campaign : str
        Its name.
    """
    row = database[COLLECTION].find_one({"_id": campaign})
    tally = None if row is None else Tally.read(row)
    workflows = database.workflows.find({"metadata.campaign": campaign}, FIELDS)
    stamps = [stamp(workflow["updated_on"], workflow["state"]) for workflow in workflows]
    if tally is None or not stamps or sorted(stamps) != sorted(tally.stamps):
        return count_campaign(database, campaign)
    return tally


def _changed(database: Database, since: datetime | None) -> Iterator[dict[str, Any]]:
    """Workflows that may have changed since some time; all if there is none."""
    if since is None:
        yield from database.workflows.find({}, FIELDS)
        return
    yield from database.workflows.find({"updated_on": {"$gte": since - SLACK}}, FIELDS)
    yield from database.workflows.find({"state": {"$in": list(SILENT)}}, FIELDS)


def _compare(
    database: Database, workflows: Iterable[dict[str, Any]], found: dict[str, Tally]
) -> tuple[set[str], set[str]]:
    """Campaigns whose tally is not of these workflows, and all campaigns that they are of."""
    stale, there = set(), set()
    for workflow in workflows:
        campaign = (workflow.get("metadata") or {}).get("campaign")
        if campaign is None:
            campaign = _campaign_of(database, workflow["nodes"])
        if campaign is None:
            continue
        there.add(campaign)
        tally = found.get(campaign)
        now = stamp(workflow["updated_on"], workflow["state"])
        if tally is None or now not in tally.stamps:
            stale.add(campaign)
    return stale, there


def _campaign_of(database: Database, nodes: list[int]) -> str | None:
    """Campaign of a workflow that does not say it, by one of its Fireworks."""
    member = database.fireworks.find_one({"fw_id": {"$in": nodes}}, {"spec.campaign": 1})
    return None if member is None else member["spec"].get("campaign")


def _last_check(database: Database) -> datetime | None:
    row = database[CHECKS].find_one({"_id": "last"})
    if row is None or not isinstance(row.get("at"), datetime):
        return None
    at: datetime = row["at"]
    return at.replace(tzinfo=UTC)


def _note_check(database: Database, at: datetime) -> None:
    """Note that tallies are right up to some time; who may only read goes without."""
    from pymongo.errors import OperationFailure

    with contextlib.suppress(OperationFailure):
        database[CHECKS].replace_one({"_id": "last"}, {"at": at}, upsert=True)
