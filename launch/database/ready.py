"""
Find what is READY, of campaigns without number.

FireWorks asks for the READY Firework of the highest priority in the whole launchpad. MongoDB
answers that by an index; SecantusDB reads all that are READY first. Tallies say which campaign has
something READY of the highest priority, and of one campaign there are few.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launch.database.tallies import COLLECTION, NO_QUEUE, count_campaign
from workflows.jobs.stage import POTENTIAL_QUEUE, REFERENCE_QUEUE
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from pymongo.database import Database

#: Fireworks looked at when the next is taken; others may take some of them meanwhile.
CANDIDATES = 20
#: Campaigns looked into, until one has something that its tally does not know is gone.
CAMPAIGNS = 8
QUEUE, PRIORITY = "spec._category", "spec._priority"
QUEUES = (REFERENCE_QUEUE, POTENTIAL_QUEUE, NO_QUEUE)
FIELDS = {"_id": 0, "fw_id": 1, QUEUE: 1, PRIORITY: 1, "spec._fworker": 1, "spec.campaign": 1,
          "spec.stage": 1, "spec._queueadapter": 1}  # fmt: skip
#: What is above all stages was given by hand, and goes first whatever campaign it is of.
HIGHEST = 10 * len(STAGES)
LOWEST = -1e9


def ready_fireworks(
    database: Database, asked: Mapping[str, Any], campaigns: int = CAMPAIGNS
) -> Iterator[dict[str, Any]]:
    """
    Yield READY Fireworks of queues, the highest priorities first, by campaigns.

    Parameters
    ----------
    database : Database
        Of the launchpad.
    asked : mapping
        Query of a worker, of which the queue counts here.
    campaigns : int
        At most so many are looked into.

    Yields
    ------
    dict
        Number, campaign, stage, queue, priority and worker of a Firework, and what it asks for.
    """
    queues = queues_of(asked)
    if queues is None:
        return
    own = {QUEUE: asked[QUEUE]} if QUEUE in asked else {}
    urgent = {**own, "state": "READY", PRIORITY: {"$gt": HIGHEST}}
    yield from sorted(database.fireworks.find(urgent, FIELDS), key=_priority, reverse=True)
    for campaign in _campaigns(database, queues)[:campaigns]:
        found = database.fireworks.find({"spec.campaign": campaign, "state": "READY"}, FIELDS)
        of_queue = [f for f in found if (f["spec"].get("_category") or NO_QUEUE) in queues]
        yield from sorted(of_queue, key=_priority, reverse=True)


def queues_of(asked: Mapping[str, Any]) -> Sequence[str] | None:
    """Queues that a worker's query asks for; none if it asks in another way."""
    wanted = asked.get(QUEUE)
    if QUEUE not in asked:
        return QUEUES
    if isinstance(wanted, str):
        return [wanted]
    if isinstance(wanted, Mapping) and list(wanted) == ["$in"]:
        return list(wanted["$in"])
    return None


def missed(database: Database, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Find what is READY though no tally says so, and count these campaigns anew.

    Parameters
    ----------
    database : Database
        Of the launchpad.
    asked : mapping
        Query of a worker.
    """
    first = database.fireworks.find({**asked, "state": "READY"}, FIELDS)
    found = list(first.sort(PRIORITY, -1).limit(CANDIDATES))
    for campaign in {f["spec"].get("campaign") for f in found} - {None}:
        count_campaign(database, campaign)
    return found


def _campaigns(database: Database, queues: Sequence[str]) -> list[str]:
    """
    Campaigns with something READY, that of the highest priority first.

    Among equals by chance: workers that go to one campaign wait for its lock.
    """
    highest: dict[str, float] = {}
    for queue in queues:
        name = f"ready.{queue}"
        for row in database[COLLECTION].find({name: {"$gte": LOWEST}}, {"ready": 1}):
            there = row["ready"][queue]
            highest[row["_id"]] = max(there, highest.get(row["_id"], there))
    return sorted(highest, key=lambda name: (-highest[name], random.random()))


def _priority(firework: Mapping[str, Any]) -> float:
    return float(firework["spec"].get("_priority") or 0)
