"""All campaigns of a shared launchpad at a glance."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from launch.database.failures import Failure, failures
from launch.database.states import ENDED, UNDER_WAY
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
    wanted: dict[str, Any] = {"spec.campaign": campaign or {"$exists": True}}
    fields = {
        "_id": 0, "fw_id": 1, "state": 1, "spec.campaign": 1, "spec.formula": 1,
        "spec.stage": 1, "spec._category": 1, "spec._queueadapter.nodes": 1,
    }  # fmt: skip
    by_campaign: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for firework in pad.fireworks.find(wanted, fields):
        by_campaign[firework["spec"]["campaign"]].append(firework)
    known = {f["fw_id"] for fireworks in by_campaign.values() for f in fireworks}
    # of one campaign by their numbers; of all, these would not fit into a query
    runs = _runs(pad, None if campaign is None else known)
    typical = _typical(by_campaign, runs)
    campaigns = [
        _describe(name, fireworks, runs, typical) for name, fireworks in sorted(by_campaign.items())
    ]
    found = [failure for failure in failures(pad, campaign) if failure.fw_id in known]
    return Overview(campaigns=campaigns, failures=found)


def _runs(
    pad: LaunchPad, members: set[int] | None
) -> dict[int, list[tuple[float, datetime | None]]]:
    """Seconds and end of every launch of each Firework, of some or of all."""
    runs: dict[int, list[tuple[float, datetime | None]]] = defaultdict(list)
    fields = {"_id": 0, "fw_id": 1, "time_start": 1, "time_end": 1}
    started: dict[str, Any] = {"time_start": {"$ne": None}}
    if members is not None:
        started["fw_id"] = {"$in": sorted(members)}
    now = datetime.now(UTC)
    for launch in pad.launches.find(started, fields):
        start, end = _time(launch.get("time_start")), _time(launch.get("time_end"))
        if start is not None:
            runs[launch["fw_id"]].append((((end or now) - start).total_seconds(), end))
    return runs


def _typical(
    by_campaign: dict[str, list[dict[str, Any]]],
    runs: dict[int, list[tuple[float, datetime | None]]],
) -> dict[tuple[str, str], float]:
    """Mean node-hours of completed Fireworks by stage and queue, over all campaigns."""
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for fireworks in by_campaign.values():
        for firework in fireworks:
            if firework["state"] == "COMPLETED":
                spent[_kind(firework)].append(_node_hours(firework, runs))
    return {kind: sum(values) / len(values) for kind, values in spent.items()}


def _describe(
    name: str,
    fireworks: list[dict[str, Any]],
    runs: dict[int, list[tuple[float, datetime | None]]],
    typical: dict[tuple[str, str], float],
) -> CampaignOverview:
    states = Counter(firework["state"] for firework in fireworks)
    queue: dict[str, dict[str, int]] = {}
    for firework in fireworks:
        if firework["state"] in UNDER_WAY:
            counts = queue.setdefault(firework["spec"].get("_category", ""), {})
            counts[firework["state"]] = counts.get(firework["state"], 0) + 1
    since = datetime.now(UTC) - timedelta(hours=RATE_HOURS)
    ends = [end for f in fireworks if f["state"] == "COMPLETED"
            for _, end in runs[f["fw_id"]][-1:] if end is not None]  # fmt: skip
    recent = [end for end in ends if end > since]
    hours = max(1 / 60, (datetime.now(UTC) - min(recent)).total_seconds() / 3600 if recent else 1.0)
    unfinished = [f for f in fireworks if f["state"] not in ENDED]
    to_go = [typical.get(_kind(f)) for f in unfinished]
    return CampaignOverview(
        campaign=name,
        formula=next((f["spec"]["formula"] for f in fireworks if f["spec"].get("formula")), ""),
        state=_state(states),
        stage=_stage(unfinished, fireworks),
        states=dict(states),
        queue=queue,
        per_hour=len(recent) / hours,
        node_hours=sum(_node_hours(f, runs) for f in fireworks),
        node_hours_to_go=sum(filter(None, to_go)) if any(to_go) or not to_go else None,
    )


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


def _stage(unfinished: list[dict[str, Any]], fireworks: list[dict[str, Any]]) -> str:
    """Earliest stage of what is under way, else of what waits, else the last one."""
    under_way = [f for f in unfinished if f["state"] in UNDER_WAY]
    positions = [
        STAGES[f["spec"]["stage"]].position
        for f in (under_way or unfinished or fireworks)
        if f["spec"].get("stage") in STAGES
    ]
    if not positions:
        return ""
    return list(STAGES)[min(positions) if unfinished else max(positions)]


def _kind(firework: dict[str, Any]) -> tuple[str, str]:
    return firework["spec"].get("stage", ""), firework["spec"].get("_category", "")


def _node_hours(
    firework: dict[str, Any], runs: dict[int, list[tuple[float, datetime | None]]]
) -> float:
    nodes = (firework["spec"].get("_queueadapter") or {}).get("nodes", 1)
    return float(nodes * sum(seconds for seconds, _ in runs[firework["fw_id"]]) / 3600)


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    return time if time.tzinfo else time.replace(tzinfo=UTC)


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
