"""Add many campaigns to a launchpad, each once, however often that is begun."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from launch.database.insertion import NewWorkflows, insert, new_workflows
from launch.database.tallies import COLLECTION, count_campaign

if TYPE_CHECKING:
    from fireworks import Workflow
    from pymongo.database import Database

    from launch.database.launchpad import CampaignLaunchPad

#: Name of a campaign, and what makes its workflow.
Listed = tuple[str, "Callable[[], Workflow]"]
#: Campaigns added in one go.
BATCH = 20


def add_campaigns(
    pad: CampaignLaunchPad, campaigns: Iterable[Listed]
) -> Iterator[tuple[str, bool]]:
    """
    Add workflows, a campaign each, that are not there yet.

    Whatever a kill has left of one is taken away and added anew: none of it has run.

    Parameters
    ----------
    pad : CampaignLaunchPad
        Launchpad.
    campaigns : iterable of tuple of str and callable
        Names, and what makes the workflow of each, with the name in its metadata.

    Yields
    ------
    tuple of str and bool
        Name of each campaign, and whether it is new.
    """
    remaining = iter(campaigns)
    batch, there = _next_batch(pad.db, remaining, ())
    new = _build(pad, batch, there)
    with ThreadPoolExecutor(max_workers=1) as inserting:
        while batch:
            names = [name for name, _ in batch]
            inserted = None if new is None else inserting.submit(insert, pad, new)
            # the server inserts these while the next are built, which have other names: what is
            # half there of those is the rest of a kill
            following, there_next = _next_batch(pad.db, remaining, names)
            new_next = _build(pad, following, there_next)
            if inserted is not None:
                inserted.result()
            for name in names:
                yield name, name not in there
            batch, there, new = following, there_next, new_next


def _next_batch(
    database: Database, remaining: Iterator[Listed], before: Sequence[str]
) -> tuple[list[Listed], set[str]]:
    """Return the next campaigns, and those of them that are there, or will be before."""
    batch = list(islice(remaining, BATCH))
    return batch, _present(database, [name for name, _ in batch if name not in before]) | {*before}


def _build(
    pad: CampaignLaunchPad, batch: Sequence[Listed], there: Collection[str]
) -> NewWorkflows | None:
    """Make the documents of those that are not there; none if all are."""
    workflows = [build() for name, build in batch if name not in there]
    return new_workflows(pad, workflows) if workflows else None


def _present(database: Database, names: Sequence[str]) -> set[str]:
    """Campaigns of these that are there, whole; of others what is left is taken away."""
    rows = database[COLLECTION].find({"_id": {"$in": list(names)}}, {"_id": 1})
    counted = {row["_id"] for row in rows}
    there = set(counted)
    if there.issuperset(names):
        return there
    others = {"$in": sorted(set(names) - counted)}
    left: dict[str, list[Any]] = {}
    for firework in database.fireworks.find(
        {"spec.campaign": others}, {"spec.campaign": 1, "fw_id": 1}
    ):
        left.setdefault(firework["spec"]["campaign"], []).append(firework["fw_id"])
    nodes: dict[str, list[Any]] = {}
    for workflow in database.workflows.find(
        {"metadata.campaign": others}, {"metadata.campaign": 1, "nodes": 1}
    ):
        nodes.setdefault(workflow["metadata"]["campaign"], []).extend(workflow["nodes"])
    for name in {*left, *nodes}:
        if set(left.get(name, ())) == set(nodes.get(name, ())):  # only its tally is missing
            count_campaign(database, name)
            there.add(name)
        else:
            database.fireworks.delete_many({"spec.campaign": name})
            database.workflows.delete_many({"metadata.campaign": name})
    return there
