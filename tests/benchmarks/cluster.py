"""
What many campaigns in one launchpad cost, and what the database does for one structure.

    python -m tests.benchmarks.cluster crowd --campaigns 10 100 1000
    python -m tests.benchmarks.cluster size CAMPAIGN_FOLDER
    python -m tests.benchmarks.cluster overhead --generations 1000 --block 10
    python -m tests.benchmarks.cluster faults

``crowd`` adds that many campaigns of the quick protocol to an embedded database and measures, at
each size, what every user waits for: adding one more, taking the next Firework (by our launchpad,
and as FireWorks itself asks for it), the state of all campaigns, ``lpad get_wflows``. ``size``
reads a finished campaign of ``devitrify run``: documents and bytes, of all and for each relaxed
structure. ``overhead`` runs a search of many short blocks and measures what is not the search;
``faults`` does to jobs on a real SLURM what may happen to them, and prints a table of what that
cost.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pymongo
from fireworks import FWorker, LaunchPad
from jobflow.managers.fireworks import flow_to_workflow

from launch.commands.shared.prediction import PredictionOptions
from launch.database.connections import launchpad
from launch.database.embedded import EmbeddedDatabase
from launch.database.indexes import create_indexes
from launch.local.campaign import Campaign
from launch.report.overview import overview
from tests.benchmarks.cluster_overhead import overhead
from tests.integration.cluster import open_cluster
from tests.integration.faults import FAULTS, STEPS, Outcome, kill_database_during_writes, undergo
from tests.integration.slurm import why_not

DATABASE = "crowd"


def best_of(action: Callable[[], object], repeats: int = 3) -> float:
    """Smallest wall time of some repeats, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def crowd(sizes: list[int]) -> None:
    """Measure a launchpad with more and more campaigns."""
    prediction = PredictionOptions(formula="Cu", protocol="quick", engine="emt").prediction()
    with tempfile.TemporaryDirectory() as folder, EmbeddedDatabase(folder) as database:
        create_indexes(database.uri, DATABASE)
        pad = launchpad(database.uri, DATABASE)
        worker = FWorker(name="here", category="nnp")
        print(f"{'campaigns':>9} {'Fireworks':>9} {'add s':>8} {'take s':>8} {'FireWorks':>9} "
              f"{'state s':>8} {'get_wflows s':>12} {'MB':>6}")  # fmt: skip
        present = 0

        def add() -> None:
            nonlocal present
            present += 1
            pad.add_wf(flow_to_workflow(prediction.flow(f"Cu-{present:08d}"),
                                        metadata={"campaign": f"Cu-{present:08d}"}))  # fmt: skip

        plain = LaunchPad(host=database.uri, name=DATABASE, uri_mode=True, strm_lvl="ERROR")

        def take(by: LaunchPad) -> None:
            _, launch = by.checkout_fw(worker, folder, state="RESERVED")
            by.cancel_reservation(launch)

        for size in sorted(sizes):
            while present < size - 3:
                add()
            adding = best_of(add)
            command = [str(Path(sys.executable).with_name("lpad")), "-l",
                       _launchpad_file(Path(folder), database.uri), "get_wflows", "-d", "ids",
                       "-m", "10"]  # fmt: skip
            listing = best_of(
                lambda command=command: subprocess.run(  # type: ignore[misc]
                    command, capture_output=True, check=True, env={**os.environ, "HOME": folder}
                ),
                1,
            )
            figures = pad.db.command("dbStats")
            print(
                f"{present:9d} {pad.fireworks.count_documents({}):9d} {adding:8.3f} "
                f"{best_of(lambda: take(pad)):8.3f} {best_of(lambda: take(plain), 1):9.3f} "
                f"{best_of(lambda: overview(pad), 1):8.3f} {listing:12.2f} "
                f"{figures['dataSize'] / 1e6:6.1f}"
            )
        pad.connection.close()


def _launchpad_file(folder: Path, uri: str) -> str:
    path = folder / "my_launchpad.yaml"
    path.write_text(f"host: {uri}\nuri_mode: true\nname: {DATABASE}\n")
    return str(path)


def size(folder: Path) -> None:
    """Count documents and bytes of a finished campaign."""
    campaign = Campaign.open(folder)
    with campaign.database() as server, pymongo.MongoClient(server.uri) as client:
        database = client[campaign.document.database]
        found = database.outputs.find_one(
            {"output.@class": "SearchDocument"}, {"output.n_structures": 1}
        )
        structures = found["output"]["n_structures"] if found else 0
        total = 0
        for name in sorted(database.list_collection_names()):
            figures = database.command("collStats", name)
            total += figures["size"]
            print(f"{name:<24} {figures['count']:8d} documents {figures['size'] / 1e6:9.2f} MB")
        largest = max(
            (len(document.raw) for document in database.get_collection(
                "outputs", codec_options=_raw()).find()), default=0
        )  # fmt: skip
        print(f"largest output document {largest / 1e6:.2f} MB; {total / 1e6:.1f} MB in all")
        if structures:
            print(f"{structures} structures relaxed: {total / structures / 1000:.2f} kB for each")


def faults() -> None:
    """Let every fault happen to a job of its own, one after the other."""
    if reason := why_not():
        sys.exit(reason)
    print(f"| fault | how it went on | work lost of {STEPS} | s to the end |\n|---|---|---|---|")

    def show(description: str, unit: str, outcome: Outcome) -> None:
        assert outcome.missing == 0, description
        reasons = dict.fromkeys(reason for _, reason in outcome.ends)
        print(f"| {description} | {'; '.join(reasons) or 'it waited'} | "
              f"{outcome.repeated} {unit} | {outcome.seconds:.0f} |", flush=True)  # fmt: skip

    with tempfile.TemporaryDirectory() as folder, open_cluster(Path(folder) / "c") as cluster:
        for queue in ("dft", "nnp"):
            cluster.qlaunch(queue)
        for fault in FAULTS:
            outcome = undergo(cluster, Path(folder) / fault.name, fault)
            show(fault.description, "steps", outcome)
        outcome = kill_database_during_writes(cluster, Path(folder) / "writes", "writes")
        show("`kill -9` of the database server while four workers write", "Fireworks", outcome)


def _raw() -> object:
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    return CodecOptions(document_class=RawBSONDocument)


def main() -> None:
    """Run a benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    many = commands.add_parser("crowd")
    many.add_argument("--campaigns", type=int, nargs="+", default=[10, 100, 1000])
    one = commands.add_parser("size")
    one.add_argument("folder", type=Path)
    blocks = commands.add_parser("overhead")
    blocks.add_argument("--generations", type=int, default=1000)
    blocks.add_argument("--block", type=int, default=10)
    blocks.add_argument("--population", type=int, default=4)
    commands.add_parser("faults")
    chosen = parser.parse_args()
    if chosen.command == "crowd":
        crowd(chosen.campaigns)
    elif chosen.command == "size":
        size(chosen.folder)
    elif chosen.command == "overhead":
        overhead(chosen.generations, chosen.block, chosen.population)
    else:
        faults()


if __name__ == "__main__":
    main()
