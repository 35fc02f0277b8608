"""What the database of a campaign says about its jobs while nothing runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
from pymongo.database import Database

from launch.local.campaign import Campaign


@dataclass(frozen=True)
class Ledger:
    """
    Jobs, launches and outputs.

    Attributes
    ----------
    names, states : dict of int to str
        Of the Fireworks.
    launches : dict of int to dict of int to str
        States of the launches of each Firework, of those too that were given up.
    outputs : Counter of tuple
        Outputs stored for each uuid and index.
    """

    names: dict[int, str]
    states: dict[int, str]
    launches: dict[int, dict[int, str]]
    outputs: Counter[tuple[str, int]]

    @property
    def repeated(self) -> int:
        """Launches beyond the first of each Firework."""
        return sum(max(0, len(launches) - 1) for launches in self.launches.values())

    def faults(self) -> list[str]:
        """Say what is wrong with a campaign that is complete."""
        found = [
            f"unfinished: {self.names[fw_id]} is {state}"
            for fw_id, state in self.states.items()
            if state != "COMPLETED"
        ]
        for fw_id, launches in self.launches.items():
            ended_well = list(launches.values()).count("COMPLETED")
            if ended_well != 1:
                found.append(f"computed twice: {self.names[fw_id]} has {launches}")
        found += [
            f"computed twice: {times} outputs of {uuid}, {index}"
            for (uuid, index), times in self.outputs.items()
            if times != 1
        ]
        if len(self.outputs) != len(self.states):
            found.append(f"unfinished: {len(self.outputs)} outputs, {len(self.states)} jobs")
        return found

    def faults_since(self, before: Ledger) -> list[str]:
        """Say what has become of the jobs that were done before, if it is wrong."""
        found = []
        for fw_id, state in before.states.items():
            if state != "COMPLETED":
                continue
            if self.states.get(fw_id) != "COMPLETED":
                found.append(f"lost: {before.names[fw_id]} was done, is {self.states.get(fw_id)}")
            elif self.launches[fw_id] != before.launches[fw_id]:
                found.append(f"computed twice: {before.names[fw_id]} was done and ran again")
        if missing := before.outputs.keys() - self.outputs.keys():
            found.append(f"lost: outputs {sorted(missing)}")
        return found


def read_ledger(folder: Path) -> Ledger:
    """Start the database of a campaign that does not run, and read what it holds."""
    campaign = Campaign.open(folder)
    with campaign.database() as server:
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(server.uri)
        with client:
            return ledger_of(client[campaign.document.database])


def ledger_of(database: Database[dict[str, Any]]) -> Ledger:
    """Read what a launchpad and its job store hold now."""
    fireworks = list(database.fireworks.find({}, {"fw_id": 1, "name": 1, "state": 1}))
    launches: dict[int, dict[int, str]] = {work["fw_id"]: {} for work in fireworks}
    for launch in database.launches.find({}, {"fw_id": 1, "launch_id": 1, "state": 1}):
        launches.setdefault(launch["fw_id"], {})[launch["launch_id"]] = launch["state"]
    outputs = database.outputs.find({}, {"uuid": 1, "index": 1})
    return Ledger(
        {work["fw_id"]: work["name"] for work in fireworks},
        {work["fw_id"]: work["state"] for work in fireworks},
        launches,
        Counter((document["uuid"], document["index"]) for document in outputs),
    )
