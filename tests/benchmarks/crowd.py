"""
A launchpad with very many campaigns: what every user waits for, before tallies and with them.

    python -m tests.benchmarks.crowd --campaigns 10 100 1000 --template FOLDER

``FOLDER`` is a finished campaign; without it one is run (copper by effective medium theory). Its
documents are copied with other ids, so that there are as many campaigns as asked for: two in three
are finished, the others are somewhere on the way. The servers are those of the tests: the embedded
one, or ``--db URI``. With ``--keep FOLDER`` the data of the embedded server stay there, and the
next run goes on with the campaigns in it. With ``--real-time`` this process and the embedded server
go before all others of the machine for the seconds that are measured: a busy machine says nothing
about wall times otherwise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pymongo
from fireworks import FWorker, LaunchPad

from launch.database.connections import job_store, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.launchpad import CampaignLaunchPad, indexable
from launch.report.campaign_results import CampaignResults
from launch.report.overview import overview
from launch.report.page.campaign import Origin, campaign_page
from launch.report.results import Results
from tests.benchmarks.crowd_documents import BODILESS, LIGHT, WHOLE, Template, insert

DATABASE = "crowd"
#: A busy machine lets a server wait for longer than a client does by itself.
PATIENT = "&connectTimeoutMS=600000"
#: Ids of what is made while it is measured: above those of copies.
OWN_IDS = 100_000_000


@dataclass(frozen=True)
class Clock:
    """
    Wall time and CPU time of this process and the server.

    Where a machine is busy with other things the CPU time says more.

    Attributes
    ----------
    processes : tuple of Process
        Whose CPU time counts.
    real_time : bool
        Whether they go before all others while :meth:`best_of` measures.
    """

    processes: tuple[psutil.Process, ...]
    real_time: bool = False

    def now(self) -> tuple[float, float]:
        """Wall and CPU seconds since some time."""
        return time.perf_counter(), sum(sum(p.cpu_times()[:2]) for p in self.processes)

    def best_of(self, action: Callable[[], object], repeats: int = 3) -> tuple[float, float]:
        """Smallest wall and CPU time of some repeats, in seconds."""
        found = []
        for _ in range(repeats):
            with self.first_of_all():
                begun = self.now()
                action()
                found.append(tuple(b - a for a, b in zip(begun, self.now(), strict=True)))
        return min(wall for wall, _ in found), min(cpu for _, cpu in found)

    @contextmanager
    def first_of_all(self) -> Iterator[None]:
        """Let the processes go before all others, if that is wanted; for seconds only."""
        self._schedule(os.SCHED_FIFO, 5)
        try:
            yield
        finally:
            self._schedule(os.SCHED_OTHER, 0)

    def _schedule(self, policy: int, priority: int) -> None:
        threads = [t.id for p in self.processes for t in p.threads()] if self.real_time else []
        for thread in threads:
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, os.sched_param(priority))


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
def some_server(uri: str | None, folder: Path, real_time: bool) -> Iterator[tuple[str, Clock]]:
    """Give the address of a server, and the clock of what is asked of it."""
    own = psutil.Process()
    if uri is not None:
        yield uri, Clock((own,), real_time)
        return
    with EmbeddedDatabase(folder) as database:
        server = database.running()
        assert server is not None
        # its own processes: the first of them only ends it with this one
        first = psutil.Process(server.pid)
        yield (
            database.uri + PATIENT,
            Clock((own, first, *first.children(recursive=True)), real_time),
        )


class Crowd:
    """Measures a launchpad with more and more campaigns."""

    def __init__(
        self, uri: str, clock: Clock, template: Template, folder: Path, later: str
    ) -> None:
        create_indexes(uri, DATABASE)
        own = {"next_fw_id": OWN_IDS, "next_launch_id": OWN_IDS}
        with pymongo.MongoClient(uri) as client:
            present = client[DATABASE].workflows.estimated_document_count()
            if not present:
                client[DATABASE].fw_id_assigner.update_one({}, {"$set": own})
        self.clock, self.folder, self.template = clock, folder, template
        self.pad = launchpad(uri, DATABASE)
        self.earlier = EarlierLaunchPad(host=uri, name=DATABASE, uri_mode=True, strm_lvl="ERROR")
        self.results = Results(job_store(uri, DATABASE))
        self.worker = FWorker(name="here", category="nnp")
        self.present, self.later = present, later

    def grow(self, size: int) -> tuple[float, float]:
        """Insert what is missing; wall and CPU seconds for each campaign."""
        if size <= self.present:
            return 0.0, 0.0
        begun = self.clock.now()
        numbers = range(self.present + 1, size + 1)
        content = self.later if self.present else WHOLE
        insert(self.pad.db, self.template, numbers, size, content)
        spent = [
            (b - a) / (size - self.present) for a, b in zip(begun, self.clock.now(), strict=True)
        ]
        self.present = size
        return spent[0], spent[1]

    def take(self, pad: LaunchPad) -> int:
        """Take a Firework."""
        firework, launch = pad.checkout_fw(self.worker, str(self.folder), state="RESERVED")
        assert firework is not None
        return int(launch)

    def time_take(self, pad: LaunchPad, repeats: int) -> tuple[float, float]:
        """Smallest times to take a Firework, without giving it back."""
        found = []
        for _ in range(repeats):
            with self.clock.first_of_all():
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
        "--later",
        choices=(WHOLE, BODILESS, LIGHT),
        default=WHOLE,
        help="what all but the first size are filled with: whole documents; those without what "
        "no index, tally and ranking has, which is filled quickly; or only what is read of all "
        "campaigns, which is filled at once. There is no before then",
    )
    parser.add_argument("--only-now", action="store_true", help="not as before tallies")
    parser.add_argument("--keep", type=Path, help="folder of the embedded server; it stays")
    parser.add_argument("--real-time", action="store_true", help="before all other processes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        template = Template(chosen.template or run_template(folder / "template"))
        kept = None if chosen.keep is None else chosen.keep.resolve()
        os.chdir(folder)
        where = chosen.db, kept or folder / "server", chosen.real_time
        with some_server(*where) as (uri, clock):
            crowd = Crowd(uri, clock, template, folder, chosen.later)
            with_earlier = not (chosen.only_now or chosen.later)
            for size in sorted(chosen.campaigns):
                wall, cpu = crowd.grow(size)
                number = crowd.pad.fireworks.estimated_document_count()
                print(
                    f"\n{size} campaigns, {number} Fireworks; inserted at {wall:.2f} s "
                    f"({cpu:.2f} s CPU) each; load {os.getloadavg()[0]:.1f}"
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
