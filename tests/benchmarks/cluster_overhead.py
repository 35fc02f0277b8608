"""What FireWorks, jobflow and the database add to a search of many short blocks."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import bson
import pymongo
from fireworks import FWorker, LaunchPad
from fireworks.core.rocket_launcher import launch_rocket
from jobflow import SETTINGS, Flow
from jobflow.managers.fireworks import flow_to_workflow
from monty.json import MSONable
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

import workflows.stages.search
from launch.database.connections import job_store, launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from search.relax.relaxer import Relaxer
from search.run.driver import run_generations
from tests.search.pair_energy import PairEnergy, rock_salt
from workflows.composition import parse_target
from workflows.jobs.checkpoints import remove_checkpoints
from workflows.stages.search import SearchMaker

DATABASE = "overhead"
BOOKKEEPING = {"endSessions", "hello", "ping", "saslStart", "saslContinue", "getLastError"}


class RockSalt(PairEnergy, MSONable):
    """A compiled pair potential of ions, which a job can be given."""

    def __init__(self) -> None:
        vars(self).update(vars(rock_salt()))

    def as_dict(self) -> dict[str, str]:
        """Its class says all."""
        return {"@module": type(self).__module__, "@class": type(self).__name__}


class Traffic(CommandListener):
    """
    Count what is asked of the database, and how much is sent both ways.

    Attributes
    ----------
    commands : Counter
        By name.
    sent, received : int
        Bytes of commands and replies, as BSON.
    seconds : float
        Spent on counting.
    """

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()
        self.sent = self.received = 0
        self.seconds = 0.0

    def started(self, event: CommandStartedEvent) -> None:
        """Count a command."""
        if event.command_name not in BOOKKEEPING:
            self.commands[event.command_name] += 1
            self.sent += self._size(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count a reply."""
        if event.command_name not in BOOKKEEPING:
            self.received += self._size(event.reply)

    def failed(self, event: CommandFailedEvent) -> None:
        """Failures have no reply to count."""

    def _size(self, document: Mapping[str, Any]) -> int:
        begun = time.perf_counter()
        size = len(bson.encode(document))
        self.seconds += time.perf_counter() - begun
        return size


@dataclass
class Useful:
    """Wall and CPU seconds of the generations themselves."""

    wall: float = 0.0
    cpu: float = 0.0
    blocks: list[float] = field(default_factory=list)


@contextmanager
def timed_generations() -> Iterator[Useful]:
    """Time what the search does in the jobs of this process."""
    useful = Useful()

    def timed(*arguments: Any, **options: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return run_generations(*arguments, **options)
        finally:
            useful.blocks.append(time.perf_counter() - wall)
            useful.wall += useful.blocks[-1]
            useful.cpu += time.process_time() - cpu

    workflows.stages.search.run_generations = timed
    try:
        yield useful
    finally:
        workflows.stages.search.run_generations = run_generations


def search_flow(generations: int, block: int, population: int) -> Flow:
    """Return a search of rock salt in small cells."""
    options = EvolutionOptions(population=population, generations=generations, restart_after=None)
    maker = SearchMaker(
        evolution=options, relaxer=Relaxer(RelaxationLimits(max_steps=20)), block=block, threads=1
    )
    target = parse_target("NaCl", frozenset({"Na", "Cl"}), "pair", (1, 2), None)
    distances = {"Cl-Cl": 2.8, "Cl-Na": 2.2, "Na-Na": 2.8}
    return Flow([maker.make(RockSalt(), target, 22.0, distances, seed=1)])


def overhead(generations: int, block: int, population: int) -> None:
    """Run a search as a campaign does, and print what is not the search itself."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedDatabase(folder) as database,
        timed_generations() as useful,
    ):
        os.chdir(folder)
        create_indexes(database.uri, DATABASE)
        traffic = Traffic()
        pymongo.monitoring.register(traffic)
        pad = launchpad(database.uri, DATABASE)
        SETTINGS.JOB_STORE = job_store(database.uri, DATABASE)
        pad.add_wf(flow_to_workflow(search_flow(generations, block, population)))
        worker = FWorker(name="here")
        begun, cpu = time.perf_counter(), time.process_time()
        around: list[float] = []
        count = 0
        while True:
            started, before = time.perf_counter(), useful.wall
            if not launch_rocket(pad, worker, strm_lvl="ERROR"):
                break
            remove_checkpoints()
            count += 1
            if useful.wall > before:
                around.append(time.perf_counter() - started - (useful.wall - before))
        wall = time.perf_counter() - begun - traffic.seconds
        cpu = time.process_time() - cpu - traffic.seconds
        states = pad.fireworks.distinct("state")
        assert states == ["COMPLETED"], states
        _describe_times(useful, around, count, wall, cpu)
        _describe_database(pad, traffic, count)
        pad.connection.close()
        os.chdir("/")


def _describe_times(
    useful: Useful, around: list[float], count: int, wall: float, cpu: float
) -> None:
    blocks, over = len(useful.blocks), wall - useful.wall
    print(f"{blocks} blocks, {count} Fireworks")
    print(f"wall {wall:.1f} s, useful {useful.wall:.1f} s: {over / useful.wall:.3f}")
    print(f"CPU {cpu:.1f} s, useful {useful.cpu:.1f} s: {(cpu - useful.cpu) / useful.cpu:.3f}")
    print(f"{over / blocks:.2f} s a block and {over / count:.2f} s a Firework are not useful")
    tenth = max(1, blocks // 10)
    first, last = sum(around[:tenth]) / tenth, sum(around[-tenth:]) / tenth
    print(f"around a block's own Firework: {first:.2f} s in the first tenth, {last:.2f} s in the "
          "last")  # fmt: skip


def _describe_database(pad: LaunchPad, traffic: Traffic, count: int) -> None:
    found = pad.db.outputs.find_one({"output.@class": "SearchDocument"}, {"output.n_structures": 1})
    structures = found["output"]["n_structures"]
    operations = sum(traffic.commands.values())
    print(f"{structures} structures; {operations} operations: {operations / count:.1f} a Firework, "
          f"{operations / structures:.2f} a structure")  # fmt: skip
    print("  " + ", ".join(f"{name} {n}" for name, n in traffic.commands.most_common(8)))
    print(f"sent {traffic.sent / 1e6:.1f} MB, received {traffic.received / 1e6:.1f} MB: "
          f"{traffic.sent / structures:.0f} and {traffic.received / structures:.0f} bytes a "
          "structure")  # fmt: skip
    total = 0
    for name in sorted(pad.db.list_collection_names()):
        figures = pad.db.command("collStats", name)
        total += figures["size"]
        print(f"  {name:<22} {figures['count']:7d} documents {figures['size'] / 1e6:8.2f} MB")
    print(f"stored: {total / structures:.0f} bytes a structure")
