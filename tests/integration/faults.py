"""What may go wrong on a cluster, done to a job that is under way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.integration.cluster import Cluster
from tests.integration.cluster_jobs import crowd, expedition
from tests.integration.slurm import kill

STEPS = 30


@dataclass
class Expedition:
    """A flow on its way, whose job is to meet with a fault."""

    cluster: Cluster
    name: str
    notes: Path

    def steps(self) -> list[str]:
        """Return the steps taken so far."""
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def job(self) -> str:
        """Return the SLURM job that climbs."""
        (firework,) = [f for f in self.cluster.fireworks() if f["name"] == "climb"
                       and f["spec"].get("campaign") == self.name
                       and f["spec"]["_category"] == "dft"]  # fmt: skip
        launches = {launch["launch_id"]: launch for launch in self.cluster.launches()}
        history = launches[firework["launches"][-1]]["state_history"]
        return next(entry["reservation_id"] for entry in history if "reservation_id" in entry)

    def process(self, module: str) -> int:
        """
        Return the process of this job that runs a module.

        Another cluster of this machine may have a job of the same number.
        """
        job, home = self.job(), str(self.cluster.home)
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            ours = f"launch.cluster.{module}" in command and any(home in word for word in command)
            if ours and process.environ().get("SLURM_JOB_ID") == job:
                return process.pid
        raise AssertionError(f"job {job} has no process launch.cluster.{module}")


def scancel(expedition: Expedition) -> None:
    expedition.cluster.slurm.command("scancel", expedition.job())


def time_limit(expedition: Expedition) -> None:
    """Its end comes closer than the signal, which SLURM sends at its next look."""
    expedition.cluster.slurm.command(
        "scontrol", "update", f"JobId={expedition.job()}", "EndTime=now+45"
    )


def requeue(expedition: Expedition) -> None:
    slurm, job = expedition.cluster.slurm, expedition.job()
    slurm.command("scontrol", "update", f"JobId={job}", "Requeue=1")
    slurm.command("scontrol", "requeue", job)
    # SLURM waits two minutes before it starts a job again
    expedition.cluster.wait(lambda: slurm.jobs()[job] == "PENDING", 60)
    slurm.command("scontrol", "update", f"JobId={job}", "StartTime=now")


def rocket_killed(expedition: Expedition) -> None:
    kill(expedition.process("rocket"))


def job_killed(expedition: Expedition) -> None:
    """Both at once, so that nobody is left who could tell."""
    pids = [expedition.process("supervisor"), expedition.process("rocket")]
    for pid in pids:
        kill(pid)


def node_lost(expedition: Expedition) -> None:
    slurm = expedition.cluster.slurm
    node = slurm.node_of(expedition.job())
    slurm.kill_node(node)
    # SLURM finds out by itself after a while; this is what its administrator does
    slurm.command("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    slurm.start_node(node)
    # it may come back by itself meanwhile
    slurm.command("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)


def network_cut(expedition: Expedition) -> None:
    """Longer than the climb, so that its end falls into the cut."""
    expedition.cluster.proxy.cut()
    time.sleep(30)
    expedition.cluster.proxy.join()


def database_killed(expedition: Expedition) -> None:
    kill_database(expedition.cluster)


def kill_database(cluster: Cluster) -> None:
    """End the server as a power cut would, and start it again."""
    database = cluster.proxy.database
    assert database._server is not None
    kill(database._server.pid)
    database.start()


@dataclass(frozen=True)
class Fault:
    """
    One kind of accident.

    Attributes
    ----------
    description : str
        For people.
    act : Callable[[Expedition], None]
        Lets it happen.
    cost : int
        Steps of :data:`STEPS` that may have to be taken again.
    kind : str or None
        The end that is recorded with the launch; none: the job goes on, or it may be any.
    seconds : float
        That the job takes by itself.
    """

    description: str
    act: Callable[[Expedition], None]
    cost: int = 1
    kind: str | None = None
    seconds: float = 15.0

    @property
    def name(self) -> str:
        """Of the fault, and of the campaign that it happens to."""
        return self.act.__name__


FAULTS = (
    Fault("`scancel`", scancel, kind="cancelled"),
    # SLURM looks at time limits twice a minute
    Fault("TIMEOUT", time_limit, kind="time", seconds=75.0),
    Fault("requeue", requeue),
    Fault("`kill -9` of the running process", rocket_killed, kind="crash"),
    Fault("`kill -9` of all processes of the job", job_killed, kind="crash"),
    Fault("`kill -9` of slurmd and all that it runs", node_lost, kind="node"),
    Fault("network cut for 30 s", network_cut, cost=0),
    Fault("`kill -9` of the database server", database_killed, cost=0),
)


@dataclass(frozen=True)
class Outcome:
    """
    How a job survived a fault.

    Attributes
    ----------
    repeated : int
        Steps that were taken twice.
    missing : int
        Steps that nobody took.
    ends : list of tuple[str, str]
        Kind and reason of each launch that ended with its job.
    seconds : float
        From the fault to the end of the campaign.
    """

    repeated: int
    missing: int
    ends: list[tuple[str, str]]
    seconds: float


def undergo(cluster: Cluster, notes: Path, fault: Fault, watched: bool = False) -> Outcome:
    """
    Let a fault happen to a job, and wait until its campaign is completed.

    Unless reconcile watches, it is called again and again, as by cron: at any time, also when
    nothing is amiss.
    """
    under_way = Expedition(cluster, fault.name, notes)
    cluster.add(expedition(notes, fault.name, STEPS, fault.seconds))
    cluster.wait(lambda: len(under_way.steps()) >= 5, 120)
    started = time.monotonic()
    fault.act(under_way)
    meanwhile: Callable[[], object] = str if watched else partial(cluster.devitrify, "reconcile")
    cluster.wait_until_completed(fault.name, 300, meanwhile=meanwhile)
    taken = Counter(step for step in under_way.steps() if step.startswith(f"{fault.name} "))
    return Outcome(
        repeated=sum(taken.values()) - len(taken),
        missing=STEPS - len(taken),
        ends=_ends(cluster, fault.name),
        seconds=time.monotonic() - started,
    )


def kill_database_during_writes(cluster: Cluster, notes: Path, name: str) -> Outcome:
    """End the server while four workers record one short Firework after the other."""
    cluster.add(crowd(notes, name, STEPS))
    cluster.wait(lambda: notes.exists() and len(notes.read_text().splitlines()) >= 5, 120)
    started = time.monotonic()
    kill_database(cluster)
    cluster.wait_until_completed(name, 300, meanwhile=lambda: cluster.devitrify("reconcile"))
    taken = Counter(notes.read_text().splitlines())
    return Outcome(
        repeated=sum(taken.values()) - len(taken),
        missing=STEPS - len(taken),
        ends=_ends(cluster, name),
        seconds=time.monotonic() - started,
    )


def _ends(cluster: Cluster, campaign: str) -> list[tuple[str, str]]:
    return [
        (str(stored["_kind"]), str(stored["_message"]))
        for stored in map(_stored, cluster.launches_of(campaign))
        if stored.get("_lost")
    ]


def _stored(launch: dict[str, Any]) -> dict[str, Any]:
    return (launch.get("action") or {}).get("stored_data") or {}
