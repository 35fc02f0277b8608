"""Read the tallies of campaigns, and count those anew whose tally is not of the present."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from launch.database.tallies import COLLECTION, Tally, count_campaign, stamp

if TYPE_CHECKING:
    from pymongo.database import Database

CHECKS = "tally_checks"
#: By which the clocks of machines that share a database may differ.
SLACK = timedelta(minutes=5)
#: States that a workflow may get without a new time.
SILENT = ("PAUSED", "DEFUSED")
FIELDS = {"updated_on": 1, "state": 1, "metadata.campaign": 1, "nodes": {"$slice": 1}}


class Check(NamedTuple):
    """A look at all tallies: when it was, and how many workflows were of no campaign."""

    at: datetime
    others: int


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
    last = _last_check(database)
    others = 0 if last is None else last.others
    if last is not None:
        stale, _, _ = _compare(database, _changed(database, last.at), found)
        _count(database, stale, found)
    stamps = sum(len(tally.stamps) for tally in found.values())
    if last is None or stamps + others != database.workflows.estimated_document_count():
        every = database.workflows.find({}, FIELDS)
        stale, there, others = _compare(database, every, found)
        _count(database, stale | (set(found) - there), found)
    _note_check(database, Check(begun, others))
    return [found[name] for name in sorted(found)]


def _count(database: Database, stale: Iterable[str], found: dict[str, Tally]) -> None:
    """Count campaigns anew; those that are gone leave."""
    for campaign in stale:
        counted = count_campaign(database, campaign)
        if counted is None:
            found.pop(campaign, None)
        else:
            found[campaign] = counted


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


def _changed(database: Database, since: datetime) -> Iterator[dict[str, Any]]:
    """Workflows that may have changed since some time."""
    yield from database.workflows.find({"updated_on": {"$gte": since - SLACK}}, FIELDS)
    yield from database.workflows.find({"state": {"$in": list(SILENT)}}, FIELDS)


def _compare(
    database: Database, workflows: Iterable[dict[str, Any]], found: dict[str, Tally]
) -> tuple[set[str], set[str], int]:
    """Campaigns whose tally is not of these workflows, all campaigns, workflows of none."""
    stale: set[str] = set()
    there: set[str] = set()
    others = 0
    for workflow in workflows:
        campaign = (workflow.get("metadata") or {}).get("campaign")
        if campaign is None:
            campaign = _campaign_of(database, workflow["nodes"])
        if campaign is None:
            others += 1
            continue
        there.add(campaign)
        tally = found.get(campaign)
        now = stamp(workflow["updated_on"], workflow["state"])
        if tally is None or now not in tally.stamps:
            stale.add(campaign)
    return stale, there, others


def _campaign_of(database: Database, nodes: list[int]) -> str | None:
    """Campaign of a workflow that does not say it, by one of its Fireworks."""
    member = database.fireworks.find_one({"fw_id": {"$in": nodes}}, {"spec.campaign": 1})
    return None if member is None else member["spec"].get("campaign")


def _last_check(database: Database) -> Check | None:
    row = database[CHECKS].find_one({"_id": "last"})
    if row is None or not isinstance(row.get("at"), datetime):
        return None
    return Check(row["at"].replace(tzinfo=UTC), int(row.get("others") or 0))


def _note_check(database: Database, check: Check) -> None:
    """Note that tallies are right up to some time; who may only read goes without."""
    from pymongo.errors import OperationFailure

    with contextlib.suppress(OperationFailure):
        database[CHECKS].replace_one(
            {"_id": "last"}, {"at": check.at, "others": check.others}, upsert=True
        )
