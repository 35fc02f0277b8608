"""
Run many small campaigns on one launchpad while workers, server, network and disk fail at random.

    python -m tests.soak --campaigns 1000 --minutes 60 --workers 4 --seed 1

Now and then, and at the end, it is looked whether a job that was done is lost or was done twice, at
the end also whether tallies are what counting gives, and how the memory of each process has grown.
One worker is spared by what kills the others, so that it lives long enough for that. The exit code
is 1 if anything was lost, done twice or counted wrongly.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from pymongo.errors import PyMongoError

from launch.cluster.reconcile import Deadlines, _finish
from launch.commands.shared.formula_list import to_workflow
from launch.commands.shared.prediction import PredictionOptions
from launch.database.adding import add_campaigns
from launch.database.connections import configure_fireworks, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.database.launchpad import CampaignLaunchPad
from launch.database.release import guarded, release
from launch.database.retries import Allowance, retry_launch
from launch.database.states import HELD
from launch.local.processes import WorkerProcess, worker_environment
from launch.local.worker import WorkerOptions
from launch.report.overview import overview
from tests.integration.proxy import Proxy
from tests.kills.launchpad import Ledger, ledger_of
from tests.soak.checks import Verdict, faults_at_rest
from tests.soak.faults import WEIGHTS, cut_network, fill_disk, kill_server, small_disk, start_server
from tests.soak.memory import Memory

DATABASE = "soak"
FORMULAS = ("Cu", "Ag", "Au", "Ni", "Pd", "Pt", "Al")
SETTINGS = Path(__file__).parents[1] / "integration" / "small.yaml"
#: As few and as short jobs as a campaign can have up to its training set.
OVERRIDES = ["replicas=1", "pack.n_atoms=8", "melting_temperature.duration=0.4",
             "liquid.duration=0.4", "dynamics.segment_steps=200"]  # fmt: skip
ALLOWANCE = Allowance(errors=20, database=1000)
#: How often workers are looked after, memory is noted, the status is asked for, all is compared.
LOOK_SECONDS, SAMPLE_SECONDS, STATUS_SECONDS, LEDGER_SECONDS = 1.0, 5.0, 15.0, 120.0
#: Worker that is not killed, so that one lives long enough to show whether its memory grows.
SPARED = 1
#: Bookkeeping that was begun so long ago has been left.
DEADLINES = Deadlines(grace_seconds=20.0)


class Soak:
    """
    A launchpad, its workers, and what happens to them.

    Parameters
    ----------
    folder : Path
        For everything.
    proxy : Proxy
        The cable between workers and server.
    disk : Path or None
        That can be filled; none: it cannot.
    workers : int
    seed : int
        Of the faults.
    """

    def __init__(
        self, folder: Path, proxy: Proxy, disk: Path | None, workers: int, seed: int
    ) -> None:
        self.folder, self.proxy, self.disk = folder, proxy, disk
        self.drawn = random.Random(seed)
        self.memory = Memory()
        self.faults: Counter[str] = Counter()
        self.verdict = Verdict()
        self.ledger: Ledger | None = None
        self.started = 0
        self.begun = time.monotonic()
        self.longest_status = 0.0
        self.pad = self.connect()
        self.workers = {number: self.start_worker(number) for number in range(1, workers + 1)}

    @property
    def database(self) -> EmbeddedDatabase:
        """The server's."""
        return self.proxy.database

    def connect(self) -> CampaignLaunchPad:
        """Connect past the cable that is pulled."""
        pad = launchpad(self.database.uri, DATABASE, patience=5.0)
        assert isinstance(pad, CampaignLaunchPad)
        return pad

    def start_worker(self, number: int) -> WorkerProcess:
        """Start a worker that reaches the server by the cable."""
        self.started += 1
        settings = WorkerOptions(
            name=f"worker-{number}.{self.started}", parent=os.getpid(), uri=self.proxy.uri,
            database=DATABASE, launches=str(self.folder / "launches"),
            retries=ALLOWANCE.errors, since="",
        )  # fmt: skip
        log = self.folder / f"worker-{number}.log"
        return WorkerProcess(
            settings, log, worker_environment(self.folder, len(os.sched_getaffinity(0)))
        )

    def run(self, minutes: float, every: float, grace_minutes: float) -> None:
        """Let things happen for some minutes, then let what is left run for some more."""
        next_fault, next_sample = time.monotonic() + every, 0.0
        next_ledger = time.monotonic() + LEDGER_SECONDS
        next_status = 0.0
        end = self.begun + 60 * minutes
        while (now := time.monotonic()) < end + 60 * grace_minutes:
            try:
                self.look_after()
                if now >= next_ledger:
                    self.compare()
                    next_ledger = time.monotonic() + LEDGER_SECONDS
                if now >= next_status:
                    if self.is_complete():
                        break
                    next_status = time.monotonic() + STATUS_SECONDS
            except PyMongoError:
                start_server_if_needed(self.database)
                self.pad.connection.close()
                self.pad = self.connect()
            if now >= next_sample:
                self.sample(now - self.begun)
                next_sample = now + SAMPLE_SECONDS
            if next_fault <= now < end:
                self.strike()
                next_fault = time.monotonic() + self.drawn.expovariate(1 / every)
            time.sleep(LOOK_SECONDS)

    def strike(self) -> None:
        """Let one thing fail."""
        weights = {k: w for k, w in WEIGHTS.items() if k != "disk" or self.disk is not None}
        kind = self.drawn.choices(list(weights), list(weights.values()))[0]
        self.faults[kind] += 1
        print(f"{time.monotonic() - self.begun:7.0f} s  {kind}", flush=True)
        if kind == "worker":
            mortal = [w for n, w in self.workers.items() if n != SPARED or len(self.workers) == 1]
            self.drawn.choice(mortal).kill()
        elif kind == "server":
            kill_server(self.database)
        elif kind == "network":
            cut_network(self.proxy, self.drawn)
        elif self.disk is not None:
            fill_disk(self.disk, self.drawn)
            start_server_if_needed(self.database)

    def look_after(self) -> None:
        """Replace workers that have ended, and give back what they held."""
        for number, worker in self.workers.items():
            if worker.exit_code() is not None:
                worker.close()
                self.give_back(worker.options.name)
                self.workers[number] = self.start_worker(number)
        _finish(self.pad, DEADLINES.grace_seconds)
        for failed in list(
            self.pad.fireworks.find({"state": "FIZZLED"}, {"fw_id": 1, "launches": 1})
        ):
            last = failed["launches"][-1:] or [0]
            again = partial(retry_launch, self.pad, failed["fw_id"], last[0], ALLOWANCE)
            guarded(failed["fw_id"], again)

    def give_back(self, name: str) -> None:
        """Free what a worker held that is no more."""
        held = {"fworker.name": name, "state": {"$in": list(HELD)}}
        for launch in list(self.pad.launches.find(held, {"launch_id": 1, "fw_id": 1})):
            end = (launch["launch_id"], "cancelled", "its worker was ended")
            guarded(launch["fw_id"], partial(release, self.pad, *end))

    def is_complete(self) -> bool:
        """Whether all campaigns are."""
        begun = time.monotonic()
        rows = overview(self.pad).campaigns
        self.longest_status = max(self.longest_status, time.monotonic() - begun)
        return all(row.state == "completed" for row in rows)

    def sample(self, seconds: float) -> None:
        """Note the memory of each process."""
        self.memory.note("soak", os.getpid(), seconds)
        for number, worker in self.workers.items():
            self.memory.note(f"worker {number}", worker.process.pid, seconds)
        server = self.database._server
        if server is not None:
            self.memory.note("server", server.pid, seconds)

    def compare(self) -> None:
        """Compare what is done with what was done before."""
        ledger = ledger_of(self.pad.db)
        if self.ledger is not None:
            self.verdict.note(ledger.faults_since(self.ledger))
        self.ledger = ledger
        print(
            f"{time.monotonic() - self.begun:7.0f} s  {self.jobs_done} of {len(ledger.states)} "
            f"jobs done, {ledger.repeated} launches repeated, {self.verdict.total} wrong",
            flush=True,
        )

    @property
    def jobs_done(self) -> int:
        """How many jobs were done when it was looked last."""
        return 0 if self.ledger is None else list(self.ledger.states.values()).count("COMPLETED")

    def stop(self) -> None:
        """End the workers."""
        for worker in self.workers.values():
            worker.kill()
            worker.close()

    def conclude(self) -> Verdict:
        """Say all that is wrong when nobody works any more."""
        start_server_if_needed(self.database)
        self.pad.connection.close()
        self.pad = self.connect()
        self.compare()
        self.verdict.note(faults_at_rest(self.pad.db))
        return self.verdict


def start_server_if_needed(database: EmbeddedDatabase) -> None:
    """Start the server unless it answers."""
    if not database.alive():
        start_server(database)


def add(pad: CampaignLaunchPad, number: int) -> float:
    """Add so many campaigns; seconds that it took."""
    options = PredictionOptions(
        formula="Cu", engine="emt", config=SETTINGS, z="1", overrides=[*OVERRIDES, "until=sample"]
    )
    predictions = {f: replace(options, formula=f).prediction() for f in FORMULAS}

    def build(n: int, name: str) -> object:
        prediction = predictions[FORMULAS[n % len(FORMULAS)]]
        maker = replace(prediction.maker, seed=n)
        return to_workflow(replace(prediction, maker=maker), name, options)

    names = {n: f"{FORMULAS[n % len(FORMULAS)]}-{n:06d}" for n in range(number)}
    begun = time.perf_counter()
    for _ in add_campaigns(pad, ((name, partial(build, n, name)) for n, name in names.items())):
        pass
    return time.perf_counter() - begun


def main() -> int:
    """Run from the command line; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--campaigns", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=60.0, help="in which things fail")
    parser.add_argument("--grace", type=float, default=5.0, help="minutes after that, without")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between two faults")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disk", type=int, default=4000, help="MB of the disk that is filled")
    chosen = parser.parse_args()
    configure_fireworks()
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = Path(temporary)
        (folder / "launches").mkdir()
        with small_disk(folder / "disk", chosen.disk) as can_be_filled:
            disk = folder / "disk" if can_be_filled else None
            with EmbeddedDatabase(folder / "disk" / "server") as database, Proxy(database) as proxy:
                create_indexes(database.uri, DATABASE)
                pad = launchpad(database.uri, DATABASE)
                seconds = add(pad, chosen.campaigns)
                print(f"{chosen.campaigns} campaigns, {pad.fireworks.estimated_document_count()} "
                      f"Fireworks added in {seconds:.0f} s", flush=True)  # fmt: skip
                pad.connection.close()
                soak = Soak(folder, proxy, disk, chosen.workers, chosen.seed)
                try:
                    soak.run(chosen.minutes, chosen.every, chosen.grace)
                finally:
                    soak.stop()
                verdict = soak.conclude()
                described = ", ".join(f"{kind} {n}" for kind, n in soak.faults.items())
                print(f"faults: {described or 'none'}; the disk "
                      f"{'could' if disk else 'could not'} be filled")  # fmt: skip
                print(f"status took {soak.longest_status:.2f} s at most")
                print("\n".join(soak.memory.lines()))
                print("\n".join(verdict.lines(soak.jobs_done, chosen.campaigns)))
                soak.pad.connection.close()
    return 1 if verdict.total else 0


if __name__ == "__main__":
    sys.exit(main())
