"""
A launchpad with very many campaigns: what every user waits for, before tallies and with them.

    python -m tests.benchmarks.crowd --campaigns 10 100 1000 --template FOLDER

``FOLDER`` is a finished campaign; without it one is run (copper by effective medium theory). Its
documents are copied with other ids, so that there are as many campaigns as asked for: two in three
are finished, the others are somewhere on the way. The servers are those of the tests: the embedded
one, or ``--db URI``.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import psutil
import pymongo
from fireworks import FWorker, LaunchPad

from launch.database.connections import job_store, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.launchpad import CampaignLaunchPad, indexable
from launch.database.tallies import Member, Tally, run_of, stamp
from launch.local.campaign import Campaign
from launch.report import rankings
from launch.report.campaign_results import CampaignResults
from launch.report.overview import overview
from launch.report.page.campaign import Origin, campaign_page
from launch.report.results import Results

DATABASE = "crowd"
#: Elements of copies; names as long as the template's own keep documents of the same length.
FORMULAS = ("Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al", "Pb")
UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
#: Campaigns inserted at once.
BATCH = 10
#: Copies that get blobs too: a page needs them, a status does not.
WITH_BLOBS = 3
#: Ids of what is made while it is measured: above those of copies.
OWN_IDS = 100_000_000
#: One campaign of so many is not finished.
FINISHED_OF = 3

Documents = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Clock:
    """
    Wall time and CPU time of this process and the server.

    Where a machine is busy with other things the CPU time says more.

    Attributes
    ----------
    processes : tuple of Process
        Whose CPU time counts.
    """

    processes: tuple[psutil.Process, ...]

    def now(self) -> tuple[float, float]:
        """Wall and CPU seconds since some time."""
        return time.perf_counter(), sum(sum(p.cpu_times()[:2]) for p in self.processes)

    def best_of(self, action: Callable[[], object], repeats: int = 3) -> tuple[float, float]:
        """Smallest wall and CPU time of some repeats, in seconds."""
        found = []
        for _ in range(repeats):
            begun = self.now()
            action()
            found.append(tuple(b - a for a, b in zip(begun, self.now(), strict=True)))
        return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def run_template(folder: Path) -> Path:
    """Run a campaign of about a hundred Fireworks."""
    settings = Path(__file__).parents[1] / "integration" / "small.yaml"
    changes = ("train.options.max_epochs=20", "search.block=1", "search.evolution.generations=12",
               "search.evolution.population=4", "candidates.n_candidates=10")  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "launch.cli", "run", "Cu", "--engine", "emt", "--config", settings,
         "--z", "1,2", "--seed", "1", *(w for c in changes for w in ("--set", c)),
         "--folder", folder],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


class Template:
    """
    Documents of a finished campaign, to be copied.

    Parameters
    ----------
    folder : Path
        Of the campaign.
    """

    def __init__(self, folder: Path) -> None:
        campaign = Campaign.open(folder)
        self.name = campaign.id
        names = ("fireworks", "launches", "workflows", "outputs", "progress",
                 "outputs_blobs.files", "outputs_blobs.chunks")  # fmt: skip
        with campaign.database() as server, pymongo.MongoClient(server.uri) as client:
            database = client[campaign.document.database]
            found = {name: list(database[name].find({})) for name in names}
        (self.workflow,) = found["workflows"]
        self.documents = {
            name: [bson.encode(document) for document in documents]
            for name, documents in found.items()
        }
        ends = {launch["fw_id"]: launch["launch_id"] for launch in found["launches"]}
        self.order = sorted(ends, key=lambda fw_id: ends[fw_id])
        self.tasks = {
            task["job"]["uuid"]: firework["fw_id"]
            for firework in found["fireworks"]
            for task in firework["spec"]["_tasks"]
        }
        self.most_ids = max(max(ends), max(ends.values()))
        self._pattern = re.compile(self.name.encode() + rb"|" + UUID)

    def copy(self, number: int, done: int) -> Documents:
        """
        Copy the campaign, with so many of its Fireworks done.

        Parameters
        ----------
        number : int
            Of the copy, from 1; it says what its ids are.
        done : int
            Fireworks that have completed; the next one runs or is ready, by the number.
        """
        shift = number * self.most_ids
        head = self.name.rpartition("-")[0]
        name = f"{head}-{number:08x}".encode()

        def other(match: re.Match[bytes]) -> bytes:
            text = match.group()
            if text == self.name.encode():
                return name
            first = (int(text[:8], 16) + 2654435761 * number) & 0xFFFFFFFF
            return b"%08x" % first + text[8:]

        copied: Documents = {
            name: [bson.decode(self._pattern.sub(other, raw)) for raw in raws]
            for name, raws in self.documents.items()
        }
        completed = set(self.order[:done])
        states = self._states(completed)
        formula = FORMULAS[number % len(FORMULAS)]
        age = timedelta(hours=number % 24)
        self._workflow(copied["workflows"][0], states, shift, formula, datetime.now(UTC) - age)
        for firework in copied["fireworks"]:
            fw_id = firework["fw_id"]
            firework["state"] = states[fw_id]
            firework["spec"]["formula"] = formula
            firework["fw_id"] = fw_id + shift
            kept = fw_id in completed
            for field in ("launches", "archived_launches"):
                firework[field] = [one + shift for one in firework.get(field, []) if kept]
        copied["launches"] = [one for one in copied["launches"] if one["fw_id"] in completed]
        for launch in copied["launches"]:
            launch["fw_id"] += shift
            launch["launch_id"] += shift
        done_jobs = {self._other_uuid(uuid, number) for uuid, i in self.tasks.items()
                     if i in completed}  # fmt: skip
        for name_ in ("outputs", "progress"):
            copied[name_] = [one for one in copied[name_] if one["uuid"] in done_jobs]
        for output in copied["outputs"]:
            output["metadata"]["formula"] = formula
            if (output.get("output") or {}).get("@class") == "PredictionDocument":
                for candidate in output["output"]["candidates"]:
                    candidate["formula"] = formula
        if number > WITH_BLOBS:
            copied["outputs_blobs.files"] = copied["outputs_blobs.chunks"] = []
        self._fresh_ids(copied)
        return copied

    def _other_uuid(self, uuid: str, number: int) -> str:
        first = (int(uuid[:8], 16) + 2654435761 * number) & 0xFFFFFFFF
        return f"{first:08x}{uuid[8:]}"

    def _states(self, completed: set[int]) -> dict[int, str]:
        parents = defaultdict(list)
        for parent, children in self.workflow["links"].items():
            for child in children:
                parents[child].append(int(parent))
        return {
            fw_id: "COMPLETED" if fw_id in completed
            else "READY" if all(p in completed for p in parents[fw_id]) else "WAITING"
            for fw_id in self.workflow["nodes"]
        }  # fmt: skip

    def _workflow(
        self, document: dict[str, Any], states: dict[int, str], shift: int, formula: str,
        updated: datetime,
    ) -> None:  # fmt: skip
        document["nodes"] = [node + shift for node in document["nodes"]]
        for name in ("links", "parent_links"):
            document[name] = {
                str(int(one) + shift): [other + shift for other in others]
                for one, others in document[name].items()
            }
        document["fw_states"] = {str(one + shift): state for one, state in states.items()}
        all_done = set(states.values()) == {"COMPLETED"}
        document["state"] = "COMPLETED" if all_done else "RUNNING"
        document["metadata"]["formula"] = formula
        document["updated_on"] = updated

    def _fresh_ids(self, copied: Documents) -> None:
        files = {}
        for document in copied["outputs_blobs.files"]:
            files[document["_id"]] = document["_id"] = bson.ObjectId()
        old = list(self.documents["outputs_blobs.files"])
        before = {
            bson.decode(raw)["_id"]: new for raw, new in zip(old, files.values(), strict=False)
        }
        for chunk in copied["outputs_blobs.chunks"]:
            chunk["files_id"] = before[chunk["files_id"]]
        for name, documents in copied.items():
            if name in ("outputs_blobs.files", "progress"):
                continue
            for document in documents:
                document["_id"] = bson.ObjectId()
        for document in copied["progress"]:
            document["_id"] = document["uuid"]


def insert(database: Any, template: Template, numbers: range, seed: int = 0) -> None:
    """Insert copies of a campaign."""
    drawn = random.Random(seed)
    todo = list(numbers)
    total = len(template.order)
    while todo:
        batch, todo = todo[:BATCH], todo[BATCH:]
        gathered: Documents = defaultdict(list)
        for number in batch:
            done = drawn.randrange(total) if number % FINISHED_OF == 0 else total
            for name, documents in template.copy(number, done).items():
                gathered[name] += documents
        for name, documents in gathered.items():
            if documents:
                database[name].insert_many(documents)


def insert_lightly(database: Any, template: Template, numbers: range, seed: int = 0) -> None:
    """
    Insert copies without what nobody looks at who asks for all campaigns.

    Workflows, tallies, rankings, and of Fireworks those that are ready.
    """
    drawn = random.Random(seed)
    total = len(template.order)
    for first in range(numbers.start, numbers.stop, 10 * BATCH):
        gathered: Documents = defaultdict(list)
        for number in range(first, min(first + 10 * BATCH, numbers.stop)):
            done = drawn.randrange(total) if number % FINISHED_OF == 0 else total
            copied = template.copy(number, done)
            (workflow,) = copied["workflows"]
            tally = tally_of(copied)
            gathered["workflows"].append(workflow)
            gathered["tallies"].append(tally.document())
            gathered["fireworks"] += [f for f in copied["fireworks"] if f["state"] == "READY"]
            for output in copied["outputs"]:
                if (output.get("output") or {}).get("@class") == "PredictionDocument":
                    row = rankings._row(tally.campaign, output, rankings.rankings_completed(tally))
                    gathered["rankings"].append(row)
        for name, documents in gathered.items():
            database[name].insert_many(documents)


def tally_of(copied: Documents) -> Tally:
    """Count a copy."""
    (workflow,) = copied["workflows"]
    tally = Tally(workflow["metadata"]["campaign"], workflow["metadata"]["formula"])
    tally.stamps = [stamp(workflow["updated_on"], workflow["state"])]
    runs = defaultdict(list)
    for launch in copied["launches"]:
        run = run_of(launch)
        if run is not None:
            runs[launch["fw_id"]].append(run)
    for firework in copied["fireworks"]:
        member = Member.of(firework["fw_id"], firework["spec"], runs[firework["fw_id"]])
        tally.add(member, firework["state"])
    return tally


class EarlierLaunchPad(CampaignLaunchPad):
    """As the launchpad was before tallies: by an index of queue and state."""

    def _get_a_fw_to_run(self, query: Any = None, fw_id: Any = None, checkout: bool = True) -> Any:
        split = indexable(query or {})
        assert split is not None
        first = self.fireworks.find({**split[0], "state": "READY"}, {"fw_id": 1})
        for candidate in list(first.sort("spec._priority", -1).limit(20)):
            found = LaunchPad._get_a_fw_to_run(self, {"fw_id": candidate["fw_id"]}, None, checkout)
            if found is not None:
                return found
        return None


def earlier_overview(database: Any) -> int:
    """Read what was read before tallies: some fields of every Firework and launch."""
    fields = {
        "_id": 0, "fw_id": 1, "state": 1, "spec.campaign": 1, "spec.formula": 1,
        "spec.stage": 1, "spec._category": 1, "spec._queueadapter.nodes": 1,
    }  # fmt: skip
    names = {f["spec"]["campaign"] for f in database.fireworks.find(
        {"spec.campaign": {"$exists": True}}, fields)}  # fmt: skip
    times = {"_id": 0, "fw_id": 1, "time_start": 1, "time_end": 1}
    list(database.launches.find({"time_start": {"$ne": None}}, times))
    list(database.fireworks.find({"state": "FIZZLED"}, {"fw_id": 1}))
    return len(names)


@contextmanager
def some_server(uri: str | None, folder: Path) -> Iterator[tuple[str, Clock]]:
    """Give the address of a server, and the clock of what is asked of it."""
    own = psutil.Process()
    if uri is not None:
        yield uri, Clock((own,))
        return
    with EmbeddedDatabase(folder) as database:
        server = database.running()
        assert server is not None
        yield database.uri, Clock((own, psutil.Process(server.pid)))


class Crowd:
    """Measures a launchpad with more and more campaigns."""

    def __init__(
        self, uri: str, clock: Clock, template: Template, folder: Path, light: bool
    ) -> None:
        create_indexes(uri, DATABASE)
        own = {"next_fw_id": OWN_IDS, "next_launch_id": OWN_IDS}
        with pymongo.MongoClient(uri) as client:
            client[DATABASE].fw_id_assigner.update_one({}, {"$set": own})
        self.clock, self.folder, self.template = clock, folder, template
        self.pad = launchpad(uri, DATABASE)
        self.earlier = EarlierLaunchPad(host=uri, name=DATABASE, uri_mode=True, strm_lvl="ERROR")
        self.results = Results(job_store(uri, DATABASE))
        self.worker = FWorker(name="here", category="nnp")
        self.present, self.light = 0, light

    def grow(self, size: int) -> float:
        """Insert what is missing; seconds for each campaign."""
        begun = time.perf_counter()
        how = insert_lightly if self.light and self.present else insert
        how(self.pad.db, self.template, range(self.present + 1, size + 1), seed=size)
        seconds = (time.perf_counter() - begun) / (size - self.present)
        self.present = size
        return seconds

    def take(self, pad: LaunchPad) -> int:
        """Take a Firework."""
        firework, launch = pad.checkout_fw(self.worker, str(self.folder), state="RESERVED")
        assert firework is not None
        return int(launch)

    def time_take(self, pad: LaunchPad, repeats: int) -> tuple[float, float]:
        """Smallest times to take a Firework, without giving it back."""
        found = []
        for _ in range(repeats):
            begun = self.clock.now()
            launch = self.take(pad)
            found.append(tuple(b - a for a, b in zip(begun, self.clock.now(), strict=True)))
            pad.cancel_reservation(launch)
        return min(wall for wall, _ in found), min(cpu for _, cpu in found)

    def measure(
        self, with_earlier: bool
    ) -> Iterator[tuple[str, tuple[float, float], float | None]]:
        """Yield what was done, wall and CPU seconds, and wall seconds as it was before."""
        pad, name = self.pad, f"{self.template.name.rpartition('-')[0]}-{1:08x}"
        best = self.clock.best_of

        def old(action: Callable[[], object]) -> float | None:
            return best(action, 1)[0] if with_earlier else None

        def ranked(formula: str | None = None) -> object:
            return self.results.candidates(formula, structures=False)

        yield "status, first look (counts all)", best(lambda: overview(pad), 1), None
        yield "status", best(lambda: overview(pad)), old(lambda: earlier_overview(pad.db))
        pad.cancel_reservation(self.take(pad))
        yield "status, after a Firework was taken", best(lambda: overview(pad), 1), None
        yield "status of one campaign", best(lambda: overview(pad, name)), None
        yield "results, first look (copies all)", best(ranked, 1), None
        stored = self.results._stored
        yield "results", best(ranked), old(lambda: stored(None, None, None, structures=False))
        yield "results of one formula", best(lambda: ranked("Ag")), None
        page = CampaignResults(self.results.store, name)
        yield "page of one campaign", best(lambda: campaign_page(page, Origin("Cu")), 2), None
        before = self.time_take(self.earlier, 1)[0] if with_earlier else None
        yield "take a Firework", self.time_take(pad, 5), before


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    parser.add_argument("--campaigns", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--template", type=Path, help="folder of a finished campaign")
    parser.add_argument("--db", help="URI of a server; default: the embedded one")
    parser.add_argument(
        "--light",
        action="store_true",
        help="all but the first size without what nobody looks at who asks for all campaigns: "
        "quickly inserted; there is no before then",
    )
    parser.add_argument("--only-now", action="store_true", help="not as before tallies")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        template = Template(chosen.template or run_template(folder / "template"))
        os.chdir(folder)
        with some_server(chosen.db, folder / "server") as (uri, clock):
            crowd = Crowd(uri, clock, template, folder, chosen.light)
            with_earlier = not (chosen.only_now or chosen.light)
            for size in sorted(chosen.campaigns):
                seconds = crowd.grow(size)
                number = crowd.pad.fireworks.estimated_document_count()
                print(
                    f"\n{size} campaigns, {number} Fireworks; inserted at {seconds:.2f} s each; "
                    f"load {os.getloadavg()[0]:.1f}"
                )
                print(
                    f"{'':<36}{'wall, s':>9}{'CPU, s':>9}{'before, s':>11}{'ratio':>7}", flush=True
                )
                for name, (wall, cpu), before in crowd.measure(with_earlier):
                    earlier = "" if before is None else f"{before:11.3f}{before / wall:7.0f}"
                    print(f"{name:<36}{wall:9.3f}{cpu:9.3f}{earlier}", flush=True)
            crowd.pad.connection.close()


if __name__ == "__main__":
    main()
