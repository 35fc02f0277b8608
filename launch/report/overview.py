"""All campaigns of a shared launchpad at a glance."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from launch.database.failures import Failure, failures
from launch.database.states import ENDED, UNDER_WAY
from launch.database.tallies import NO_QUEUE, Tally
from launch.database.tally_reading import read_tallies, read_tally
from workflows.stages.table import STAGES

if TYPE_CHECKING:
    from fireworks import LaunchPad
    from rich.table import Table

RATE_HOURS = 24.0


class CampaignOverview(BaseModel):
    """One campaign among many."""

    campaign: str
    formula: str
    state: str = Field(
        description="running, waiting, completed, failed, paused, defused or archived"
    )
    stage: str = Field(description="where it is")
    states: dict[str, int] = Field(description="Fireworks by state")
    queue: dict[str, dict[str, int]] = Field(description="what is ready or runs, by queue")
    per_hour: float = Field(description="Fireworks completed an hour, over the last day")
    node_hours: float = Field(description="used so far")
    node_hours_to_go: float | None = Field(
        description="of the Fireworks known by now, by what others of their stage took; none "
        "while no such Firework has ended"
    )


class Overview(BaseModel):
    """All campaigns of a launchpad."""

    campaigns: list[CampaignOverview]
    failures: list[Failure]


def overview(pad: LaunchPad, campaign: str | None = None) -> Overview:
    """
    Read where all campaigns are.

    Parameters
    ----------
    pad : LaunchPad
        Launchpad that they share.
    campaign : str or None
        Only this one.
    """
    if campaign is None:
        tallies = read_tallies(pad.db)
    else:
        one = read_tally(pad.db, campaign)
        tallies = [] if one is None else [one]
    typical = _typical(tallies)
    campaigns = [_describe(tally, typical) for tally in tallies]
    return Overview(campaigns=campaigns, failures=failures(pad, campaign))


def _typical(tallies: Sequence[Tally]) -> dict[tuple[str, str], float]:
    """Mean node-hours of completed Fireworks by stage and queue, over all campaigns."""
    number: Counter[tuple[str, str]] = Counter()
    spent: dict[tuple[str, str], float] = defaultdict(float)
    for tally in tallies:
        for kind, count in tally.counts.items():
            number[kind.stage, kind.queue] += count.states["COMPLETED"]
            spent[kind.stage, kind.queue] += count.completed_node_hours
    return {kind: spent[kind] / n for kind, n in number.items() if n}


def _describe(tally: Tally, typical: dict[tuple[str, str], float]) -> CampaignOverview:
    queue: dict[str, dict[str, int]] = {}
    unfinished: dict[tuple[str, str], int] = {}
    for kind, count in tally.counts.items():
        for state in UNDER_WAY:
            if count.states[state]:
                name = "" if kind.queue == NO_QUEUE else kind.queue
                counts = queue.setdefault(name, {})
                counts[state] = counts.get(state, 0) + count.states[state]
        left = sum(n for state, n in count.states.items() if state not in ENDED)
        if left:
            key = kind.stage, kind.queue
            unfinished[key] = unfinished.get(key, 0) + left
    to_go = [n * typical[kind] for kind, n in unfinished.items() if kind in typical]
    return CampaignOverview(
        campaign=tally.campaign,
        formula=tally.formula,
        state=_state(tally.states),
        stage=_stage(tally),
        states={state: n for state, n in tally.states.items() if n},
        queue=queue,
        per_hour=_rate(tally),
        node_hours=_node_hours(tally),
        node_hours_to_go=sum(to_go) if any(to_go) or not unfinished else None,
    )


def _rate(tally: Tally) -> float:
    """Fireworks completed an hour, over the last day or since the first of them."""
    now = datetime.now(UTC).timestamp() / 60
    recent = {minute: n for minute, n in tally.ends.items() if minute > now - 60 * RATE_HOURS}
    hours = max(1 / 60, (now - min(recent)) / 60) if recent else 1.0
    return sum(recent.values()) / hours


def _node_hours(tally: Tally) -> float:
    """Node-hours used, with those of what runs now."""
    now = datetime.now(UTC).timestamp()
    running = sum(run.nodes * (now - run.started) / 3600 for run in tally.running.values())
    return running + sum(count.node_hours for count in tally.counts.values())


def _state(states: Counter[str]) -> str:
    if states["COMPLETED"] == states.total():
        return "completed"
    if states["RUNNING"] or states["RESERVED"]:
        return "running"
    if states["READY"]:
        return "waiting"
    if states["FIZZLED"]:
        return "failed"
    # what is left was stopped by hand; PAUSED and DEFUSED may go on, ARCHIVED may not
    for state in ("PAUSED", "DEFUSED", "ARCHIVED"):
        if states[state]:
            return state.lower()
    return "failed"


def _stage(tally: Tally) -> str:
    """Earliest stage of what is under way, else of what waits, else the last one."""
    places: dict[str, set[int]] = {"under way": set(), "unfinished": set(), "all": set()}
    for kind, count in tally.counts.items():
        if kind.stage not in STAGES:
            continue
        position = STAGES[kind.stage].position
        for state, n in count.states.items():
            if n > 0:
                places["all"].add(position)
                if state not in ENDED:
                    places["unfinished"].add(position)
                if state in UNDER_WAY:
                    places["under way"].add(position)
    if not places["all"]:
        return ""
    unfinished = places["under way"] or places["unfinished"]
    return list(STAGES)[min(unfinished) if unfinished else max(places["all"])]


def overview_table(found: Overview) -> Table:
    """Tabulate all campaigns."""
    from rich.table import Table

    table = Table()
    for heading in ("campaign", "formula", "state", "stage"):
        table.add_column(heading, no_wrap=heading != "campaign", overflow="fold")
    for heading in ("jobs", "running", "queued", "ready", "jobs/h", "node-h", "to go"):
        table.add_column(heading, justify="right")
    colours = {"completed": "green", "running": "yellow", "failed": "red", "waiting": "dim",
               "paused": "cyan", "defused": "cyan", "archived": "dim"}  # fmt: skip
    for row in found.campaigns:
        ended = sum(row.states.get(state, 0) for state in ENDED)
        to_go = row.node_hours_to_go
        table.add_row(
            row.campaign,
            row.formula,
            f"[{colours[row.state]}]{row.state}[/]",
            row.stage,
            f"{ended}/{sum(row.states.values())}",
            *(str(row.states.get(state, 0)) for state in UNDER_WAY),
            f"{row.per_hour:.1f}",
            f"{row.node_hours:.2g}",
            "" if to_go is None else f"{to_go:.2g}",
        )
    return table
