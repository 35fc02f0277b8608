"""Whether a launchpad has lost a job, has done one twice or counts wrongly: a figure for each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database

from launch.database.tallies import count_campaign
from launch.database.tally_reading import read_tallies
from tests.kills.launchpad import Ledger, ledger_of

#: By how a sentence begins that says what is wrong.
LOST, TWICE, TALLY = "lost", "computed twice", "tally"
#: A job that has not been done yet is none of these.
UNFINISHED = "unfinished"


@dataclass
class Verdict:
    """
    What was found to be wrong, each once, however often it was found.

    Attributes
    ----------
    faults : dict of str to set of str
        Sentences, by how they begin.
    """

    faults: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def note(self, sentences: Iterable[str]) -> None:
        """Keep what is wrong; what is merely unfinished is not."""
        for sentence in sentences:
            kind = sentence.partition(":")[0]
            if kind != UNFINISHED:
                self.faults[kind].add(sentence)

    @property
    def total(self) -> int:
        """How much is wrong."""
        return sum(map(len, self.faults.values()))

    def lines(self, jobs: int, campaigns: int) -> list[str]:
        """Give each figure, among so many jobs that are done and tallies, and all sentences."""
        others = self.faults.keys() - {LOST, TWICE, TALLY}
        figures = [
            f"lost: {len(self.faults[LOST])} of {jobs} jobs done",
            f"done twice: {len(self.faults[TWICE])} of {jobs} jobs done",
            f"wrong tallies: {len(self.faults[TALLY])} of {campaigns}",
            *(f"{kind}: {len(self.faults[kind])}" for kind in sorted(others)),
        ]
        return figures + sorted(sentence for found in self.faults.values() for sentence in found)


def of_what_is_done(ledger: Ledger) -> Ledger:
    """Leave out the jobs that have not completed: they may have begun any number of times."""
    done = {fw_id for fw_id, state in ledger.states.items() if state == "COMPLETED"}
    return Ledger(
        ledger.names,
        {fw_id: state for fw_id, state in ledger.states.items() if fw_id in done},
        {fw_id: launches for fw_id, launches in ledger.launches.items() if fw_id in done},
        Counter(ledger.outputs),
    )


def faults_at_rest(database: Database[dict[str, Any]]) -> list[str]:
    """Say all that is wrong with a launchpad on which nobody works."""
    ledger = ledger_of(database)
    return [
        *of_what_is_done(ledger).faults(),
        *_faults_of_jobs(database, ledger),
        *_faults_of_workflows(database, ledger),
        *_faults_of_tallies(database),
    ]


def _faults_of_jobs(database: Database[dict[str, Any]], ledger: Ledger) -> list[str]:
    """Jobs that are done and have no output, and jobs that two Fireworks have done."""
    fields = {"fw_id": 1, "spec._tasks.job.uuid": 1, "spec._tasks.job.index": 1}
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for firework in database.fireworks.find({"state": "COMPLETED"}, fields):
        for task in firework["spec"]["_tasks"]:
            found[task["job"]["uuid"], task["job"]["index"]].append(firework["fw_id"])
    lost = [
        f"{LOST}: no output of Firework {found[job]}"
        for job in found.keys() - ledger.outputs.keys()
    ]
    return lost + [
        f"{TWICE}: job {job} by Fireworks {numbers}"
        for job, numbers in found.items()
        if len(numbers) > 1
    ]


def _faults_of_workflows(database: Database[dict[str, Any]], ledger: Ledger) -> list[str]:
    """Fireworks that a workflow knows and that are not there, and jobs it believes undone."""
    found = []
    for workflow in database.workflows.find({}, {"nodes": 1, "fw_states": 1, "metadata": 1}):
        campaign = workflow["metadata"].get("campaign")
        for fw_id in workflow["nodes"]:
            state, recorded = ledger.states.get(fw_id), workflow["fw_states"].get(str(fw_id))
            if state is None:
                found.append(f"{LOST}: Firework {fw_id} of {campaign}")
            elif recorded == "COMPLETED" != state:
                found.append(f"{LOST}: {ledger.names[fw_id]} of {campaign} was done, is {state}")
    return found


def _faults_of_tallies(database: Database[dict[str, Any]]) -> list[str]:
    """Tallies that are believed and are not what counting gives."""
    found = []
    for tally in read_tallies(database):
        states = +tally.states
        again = count_campaign(database, tally.campaign)
        if again is None or states != +again.states:
            counted = None if again is None else dict(again.states)
            found.append(f"{TALLY}: {tally.campaign} has {dict(states)}, counted {counted}")
    return found
