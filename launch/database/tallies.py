"""
A tally a campaign: how many Fireworks of which kind are in which state, in one small document.

Whoever looks at all campaigns reads their tallies, and not each Firework. The launchpad keeps them:
a tally is brought up to date right after the workflow. Workflows are changed by others too
(FireWorks' own commands), and a process may be killed between the two writes. So a tally names the
version of each workflow that it is of, its stamp. A tally whose stamps are not those of the
campaign's workflows is never believed: :mod:`launch.database.tally_reading` counts it anew.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pymongo.database import Database

COLLECTION = "tallies"
#: Completed Fireworks are counted by the minute for so long, for rates.
KEPT_MINUTES = 24 * 60
#: Fireworks that ask for no queue count in this one.
NO_QUEUE = "none"


class Kind(NamedTuple):
    """Fireworks that count together."""

    stage: str
    queue: str
    priority: float


@dataclass
class Count:
    """
    Fireworks of one kind.

    Attributes
    ----------
    states : Counter of str
        How many are in each state.
    node_hours : float
        Of all launches that have ended.
    completed_node_hours : float
        Of all launches of completed Fireworks.
    """

    states: Counter[str] = field(default_factory=Counter)
    node_hours: float = 0.0
    completed_node_hours: float = 0.0


class Running(NamedTuple):
    """A launch that has not ended: nodes, and when it started (s since the epoch)."""

    nodes: int
    started: float


class Run(NamedTuple):
    """A launch: when it started and ended (s since the epoch); it may not have."""

    started: float
    ended: float | None


@dataclass
class Member:
    """
    A Firework as a tally sees it.

    Attributes
    ----------
    fw_id : int
    kind : Kind
    nodes : int
        That it asks for.
    runs : list of Run
        Its launches, the latest last; those before it was run again among them.
    """

    fw_id: int
    kind: Kind
    nodes: int
    runs: list[Run]

    @classmethod
    def of(cls, fw_id: int, spec: Mapping[str, Any], runs: list[Run]) -> Member:
        """Make it of the spec of a Firework."""
        queue = str(spec.get("_category") or NO_QUEUE)
        kind = Kind(str(spec.get("stage", "")), queue, spec.get("_priority") or 0)
        return cls(fw_id, kind, (spec.get("_queueadapter") or {}).get("nodes") or 1, sorted(runs))

    def node_hours(self, runs: Iterable[Run]) -> float:
        """Node-hours of launches that have ended."""
        ended = sum(run.ended - run.started for run in runs if run.ended is not None)
        return self.nodes * ended / 3600


@dataclass
class Tally:
    """
    What is counted of a campaign.

    Attributes
    ----------
    campaign : str
        Its name.
    formula : str
    stamps : list of str
        Versions of its workflows that this is of, see :func:`stamp`.
    counts : dict of Kind to Count
    running : dict of int to Running
        Launches that have not ended, by Firework.
    ends : Counter of int
        Fireworks completed in each minute since the epoch, of the last day.
    version : int
        Grows with each change.
    """

    campaign: str
    formula: str = ""
    stamps: list[str] = field(default_factory=list)
    counts: dict[Kind, Count] = field(default_factory=dict)
    running: dict[int, Running] = field(default_factory=dict)
    ends: Counter[int] = field(default_factory=Counter)
    version: int = 0

    @property
    def states(self) -> Counter[str]:
        """How many Fireworks are in each state."""
        total: Counter[str] = Counter()
        for count in self.counts.values():
            total.update(count.states)
        return total

    @property
    def ready(self) -> dict[str, float]:
        """Highest priority of what is READY in each queue."""
        found: dict[str, float] = {}
        for kind, count in self.counts.items():
            if count.states["READY"] > 0:
                found[kind.queue] = max(kind.priority, found.get(kind.queue, kind.priority))
        return found

    def add(self, member: Member, state: str) -> None:
        """Count a Firework that was not counted before."""
        count = self.counts.setdefault(member.kind, Count())
        count.states[state] += 1
        count.node_hours += member.node_hours(member.runs)
        last = member.runs[-1] if member.runs else None
        if state == "COMPLETED":
            count.completed_node_hours += member.node_hours(member.runs)
            if last is not None and last.ended is not None:
                self.ends[int(last.ended // 60)] += 1
        if last is not None and last.ended is None:
            self.running[member.fw_id] = Running(member.nodes, last.started)

    def move(self, member: Member, before: str, after: str) -> bool:
        """
        Count a Firework in its new state; say whether that can be done without counting anew.

        What a completed one has added to the hours is not known one by one.
        """
        count = self.counts.get(member.kind)
        if count is None or count.states[before] < 1 or before == "COMPLETED":
            return False
        count.states[before] -= 1
        self.running.pop(member.fw_id, None)
        if before == "RUNNING" and member.runs:
            count.node_hours += member.node_hours(member.runs[-1:])
        count.states[after] += 1
        last = member.runs[-1] if member.runs else None
        if after == "RUNNING" and last is not None:
            self.running[member.fw_id] = Running(member.nodes, last.started)
        if after == "COMPLETED":
            count.completed_node_hours += member.node_hours(member.runs)
            if last is not None and last.ended is not None:
                self.ends[int(last.ended // 60)] += 1
        return True

    def document(self) -> dict[str, Any]:
        """
        Return it for the database.

        What is only read as a whole is one text: a server decodes it in no time.
        """
        newest = max(self.ends, default=0)
        figures = {
            "counts": [
                [*kind, {s: n for s, n in count.states.items() if n}, count.node_hours,
                 count.completed_node_hours]
                for kind, count in self.counts.items()
            ],
            "running": [[fw_id, *run] for fw_id, run in self.running.items()],
            "ends": [[m, n] for m, n in sorted(self.ends.items()) if m > newest - KEPT_MINUTES],
        }  # fmt: skip
        return {
            "_id": self.campaign,
            "formula": self.formula,
            "stamps": self.stamps,
            "ready": self.ready,
            "version": self.version,
            "figures": json.dumps(figures),
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Tally:
        """Make it of a document; one that cannot be read has no stamps, and is not believed."""
        tally = cls(
            document["_id"], str(document.get("formula") or ""),
            list(document.get("stamps") or []), version=int(document.get("version") or 0),
        )  # fmt: skip
        try:
            figures = json.loads(document["figures"])
            for stage, queue, priority, states, hours, completed in figures["counts"]:
                count = Count(Counter(states), hours, completed)
                tally.counts[Kind(stage, queue, priority)] = count
            tally.running = {fw_id: Running(*run) for fw_id, *run in figures["running"]}
            tally.ends = Counter(dict(figures["ends"]))
        except (KeyError, TypeError, ValueError):
            tally.stamps, tally.counts = [], {}
        return tally


def stamp(updated_on: Any, state: object) -> str:
    """
    Return the version of a workflow.

    FireWorks writes a new time with nearly every change. What is paused or defused keeps its time,
    but not its state.
    """
    return f"{moment(updated_on)}/{state}"


def moment(time: Any) -> str:
    """Return a time as the database keeps it: to the millisecond, UTC."""
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    if not isinstance(time, datetime):
        return ""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    utc = aware.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}"


def seconds(time: Any) -> float | None:
    """Return a time of FireWorks' in s since the epoch; none if it is none."""
    if time is None:
        return None
    found = datetime.fromisoformat(time) if isinstance(time, str) else time
    return float((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def run_of(launch: Mapping[str, Any]) -> Run | None:
    """Return the run of a launch's document; none if it has not started."""
    started = seconds(launch.get("time_start"))
    return None if started is None else Run(started, seconds(launch.get("time_end")))


def count_campaign(database: Database, campaign: str) -> Tally | None:
    """
    Count a campaign by its documents, and keep the tally.

    The states are those that its workflows record: these are written last, so they count.

    Parameters
    ----------
    database : Database
        Of the launchpad.
    campaign : str
        Its name.

    Returns
    -------
    Tally or None
        None if there is no such campaign; then it has no tally any more.
    """
    fields = {"spec.stage": 1, "spec._category": 1, "spec._priority": 1, "fw_id": 1, "state": 1,
              "spec._queueadapter.nodes": 1, "spec.formula": 1}  # fmt: skip
    before = database[COLLECTION].find_one({"_id": campaign}, {"version": 1})
    # the workflows first: what changes meanwhile has another stamp
    workflows = _workflows_of(database, campaign)
    fireworks = list(database.fireworks.find({"spec.campaign": campaign}, fields))
    if not fireworks:
        _keep(database, campaign, None)
        return None
    recorded = {fw_id: s for found in workflows for fw_id, s in found["fw_states"].items()}
    runs = _runs(database, [firework["fw_id"] for firework in fireworks])
    tally = Tally(campaign, version=int((before or {}).get("version") or 0) + 1)
    tally.formula = next((f["spec"]["formula"] for f in fireworks if "formula" in f["spec"]), "")
    tally.stamps = [stamp(found["updated_on"], found["state"]) for found in workflows]
    for firework in fireworks:
        fw_id = firework["fw_id"]
        member = Member.of(fw_id, firework["spec"], runs.get(fw_id, []))
        tally.add(member, recorded.get(str(fw_id), firework["state"]))
    _keep(database, campaign, tally)
    return tally


def _keep(database: Database, campaign: str, tally: Tally | None) -> None:
    """Keep a tally, or none; who may only read goes without."""
    from pymongo.errors import OperationFailure

    with contextlib.suppress(OperationFailure):
        if tally is None:
            database[COLLECTION].delete_one({"_id": campaign})
        else:
            database[COLLECTION].replace_one({"_id": campaign}, tally.document(), upsert=True)


def _workflows_of(database: Database, campaign: str) -> list[dict[str, Any]]:
    """Workflows of a campaign; of those that do not say it, by one of their Fireworks."""
    fields = {"updated_on": 1, "state": 1, "fw_states": 1}
    found = list(database.workflows.find({"metadata.campaign": campaign}, fields))
    if not found:
        any_ = database.fireworks.find_one({"spec.campaign": campaign}, {"fw_id": 1})
        if any_ is not None:
            found = list(database.workflows.find({"nodes": any_["fw_id"]}, fields))
    return found


def _runs(database: Database, fw_ids: Collection[int]) -> dict[int, list[Run]]:
    """Runs of Fireworks, those of earlier attempts too."""
    fields = {"_id": 0, "fw_id": 1, "time_start": 1, "time_end": 1}
    found: dict[int, list[Run]] = {}
    for launch in database.launches.find({"fw_id": {"$in": sorted(fw_ids)}}, fields):
        run = run_of(launch)
        if run is not None:
            found.setdefault(launch["fw_id"], []).append(run)
    return found
