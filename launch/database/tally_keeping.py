"""Bring tallies up to date after a workflow was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launch.database.tallies import (
    COLLECTION,
    Member,
    Run,
    Tally,
    count_campaign,
    moment,
    seconds,
    stamp,
)

if TYPE_CHECKING:
    from fireworks import Workflow
    from pymongo.database import Database


@dataclass(frozen=True)
class Before:
    """
    What a workflow was when it was read.

    Attributes
    ----------
    moment : str
        Its time, as the first part of its stamp.
    states : dict of int to str
        Of its Fireworks.
    """

    moment: str
    states: dict[int, str]

    @classmethod
    def of(cls, workflow: Workflow) -> Before:
        """Note it down."""
        return cls(moment(workflow.updated_on), dict(workflow.fw_states))


def tally_added(database: Database, workflows: Sequence[Workflow]) -> None:
    """
    Count workflows that were just added.

    Parameters
    ----------
    database : Database
        Of the launchpad.
    workflows : sequence of Workflow
        With the ids that their Fireworks have got. Those of no campaign are not counted.
    """
    named = [(_campaign_of(workflow), workflow) for workflow in workflows]
    names = sorted({campaign for campaign, _ in named if campaign is not None})
    rows = database[COLLECTION].find({"_id": {"$in": names}}, {"_id": 1})
    known = {row["_id"] for row in rows}
    new: dict[str, Tally] = {}
    for campaign, workflow in named:
        if campaign is None:
            continue
        if campaign in known:  # it has another workflow already
            count_campaign(database, campaign)
            continue
        tally = new.setdefault(campaign, Tally(campaign))
        tally.stamps.append(stamp(workflow.updated_on, workflow.state))
        for firework in workflow.fws:
            tally.formula = tally.formula or str(firework.spec.get("formula") or "")
            tally.add(_member(firework), workflow.fw_states[firework.fw_id])
    if new:
        database[COLLECTION].insert_many([tally.document() for tally in new.values()])


def tally_changed(database: Database, workflow: Workflow, before: Before) -> None:
    """
    Count what has changed of a workflow that was just written.

    A tally that was not of the workflow as it was before is left: who reads it finds out.

    Parameters
    ----------
    database : Database
        Of the launchpad.
    workflow : Workflow
        As it was written.
    before : Before
        As it was read.
    """
    campaign = _campaign_of(workflow)
    row = None if campaign is None else database[COLLECTION].find_one({"_id": campaign})
    if campaign is None or row is None:
        return
    tally = Tally.read(row)
    earlier = [one for one in tally.stamps if one.startswith(f"{before.moment}/")]
    if not earlier:
        return
    for fw_id, state in workflow.fw_states.items():
        previous = before.states.get(fw_id)
        if previous == state:
            continue
        member = _member(workflow.id_fw[fw_id])
        if previous is None:
            tally.add(member, state)
        elif not tally.move(member, previous, state):
            count_campaign(database, campaign)
            return
    tally.stamps.remove(earlier[0])
    tally.stamps.append(stamp(workflow.updated_on, workflow.state))
    tally.version += 1
    database[COLLECTION].replace_one(
        {"_id": campaign, "version": tally.version - 1}, tally.document()
    )


def _campaign_of(workflow: Workflow) -> str | None:
    """Campaign of a workflow, by what it says or by one of its Fireworks."""
    named = (workflow.metadata or {}).get("campaign")
    if named is None and workflow.id_fw:
        named = next(iter(workflow.id_fw.values())).spec.get("campaign")
    return named if isinstance(named, str) else None


def _member(firework: Any) -> Member:
    """Describe a Firework, or a lazy one, with all its launches."""
    launches = [*firework.archived_launches, *firework.launches]
    runs = [
        Run(started, seconds(launch.time_end))
        for launch in launches
        if (started := seconds(launch.time_start)) is not None
    ]
    return Member.of(firework.fw_id, firework.spec, runs)
