"""What a batch job may run in the time that its first Firework has left over."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fireworks import FWorker

from launch.database.launchpad import indexable
from launch.database.ready import ready_fireworks
from launch.errors import CampaignError
from workflows.jobs.site import SiteError, walltime_seconds

if TYPE_CHECKING:
    from fireworks import Firework, LaunchPad

    from launch.cluster.configuration import Configuration

#: A Firework may well take longer than the longest of its kind before.
RESERVE = 1.5
#: Campaigns whose Fireworks are looked at before all that is ready is.
CAMPAIGNS = 50
STAGE, NODES, WALLTIME = "spec.stage", "spec._queueadapter.nodes", "spec._queueadapter.walltime"


@dataclass(frozen=True)
class Kind:
    """
    Fireworks that ask for the same.

    Attributes
    ----------
    stage : str or None
        Of the campaign.
    nodes : int or None
        As the queue adapter has it; none: its default.
    walltime : str or None
        Likewise.
    """

    stage: str | None
    nodes: int | None
    walltime: str | None

    @classmethod
    def of(cls, firework: Firework) -> Kind:
        """What a Firework is and asks for."""
        return cls.of_spec(firework.spec)

    @classmethod
    def of_spec(cls, spec: Mapping[str, Any]) -> Kind:
        """What the spec of a Firework says."""
        adapter = spec.get("_queueadapter") or {}
        return cls(spec.get("stage"), adapter.get("nodes"), adapter.get("walltime"))

    @property
    def query(self) -> dict[str, Any]:
        """Finds Fireworks of this kind."""
        return {STAGE: self.stage, NODES: self.nodes, WALLTIME: self.walltime}


class ConfinedWorker(FWorker):
    """A worker that takes one kind of its Fireworks; its launches do not carry the query along."""

    def __init__(self, whole: FWorker, kind: Kind) -> None:
        super().__init__(whole.name, whole.category, env=whole.env)
        self.whole = whole
        self.kind = kind

    @property
    def query(self) -> dict[str, Any]:
        """Finds what the worker takes."""
        return {**self.whole.query, **self.kind.query}


@dataclass
class RemainingTime:
    """
    Chooses Fireworks that fit into the rest of a batch job.

    One fits if it asks for no more nodes than the job has, and for no more time than is left; or if
    others of its stage that ask for the same have run in this job, and there is time for another:
    what a stage asks for is an upper limit, and often a generous one.

    Attributes
    ----------
    nodes : int
        Of the job.
    default_nodes : int
        Of Fireworks that do not say.
    default_walltime : str or None
        Likewise.
    longest : dict of Kind to float
        Seconds that each kind took in this job, at most.
    """

    nodes: int
    default_nodes: int = 1
    default_walltime: str | None = None
    longest: dict[Kind, float] = field(default_factory=dict)

    @classmethod
    def of_job(cls, configuration: Configuration, queue: str) -> RemainingTime:
        """Of the SLURM job that this process belongs to."""
        try:
            adapter = configuration.read(f"{queue}/my_qadapter.yaml")
        except CampaignError:
            adapter = {}
        nodes = os.environ.get("SLURM_JOB_NUM_NODES", "1")
        return cls(int(nodes), int(adapter.get("nodes") or 1), adapter.get("walltime"))

    def note(self, firework: Firework, seconds: float) -> None:
        """Remember how long a Firework took."""
        kind = Kind.of(firework)
        self.longest[kind] = max(seconds, self.longest.get(kind, 0.0))

    def fits(self, kind: Kind, seconds: float) -> bool:
        """Whether Fireworks of a kind may begin with that much time left."""
        if (kind.nodes or self.default_nodes) > self.nodes:
            return False
        if kind in self.longest and RESERVE * self.longest[kind] <= seconds:
            return True
        try:
            return walltime_seconds(kind.walltime or self.default_walltime or "") <= seconds
        except SiteError:  # of a form that only SLURM knows
            return False

    def worker(self, pad: LaunchPad, fworker: FWorker, seconds: float) -> FWorker | None:
        """
        Return the worker, confined to the first kind that fits; none if nothing ready does.

        Parameters
        ----------
        pad : LaunchPad
            Launchpad.
        fworker : FWorker
            Of the queue.
        seconds : float
            That are left.
        """
        split = indexable(fworker.query)
        asked = fworker.query if split is None else split[0]
        for ready_one in ready_fireworks(pad.db, asked, CAMPAIGNS):
            kind = Kind.of_spec(ready_one["spec"])
            if self.fits(kind, seconds):
                return ConfinedWorker(fworker, kind)
        same = {"stage": f"${STAGE}", "nodes": f"${NODES}", "walltime": f"${WALLTIME}"}
        first = {"$max": "$spec._priority"}
        ready = [
            {"$match": {**asked, "state": "READY"}},
            {"$group": {"_id": same, "priority": first}},
        ]
        priorities = {
            Kind(*(row["_id"].get(key) for key in same)): row["priority"] or 0
            for row in pad.fireworks.aggregate(ready)
        }
        fitting = [kind for kind in priorities if self.fits(kind, seconds)]
        if not fitting:
            return None
        return ConfinedWorker(fworker, max(fitting, key=lambda kind: priorities[kind]))
