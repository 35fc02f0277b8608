"""Small jobs for the tests on SLURM, which import them as ``tests.integration.cluster_jobs``."""

from __future__ import annotations

import time
from pathlib import Path

from jobflow import Flow, Response, job

from nnp.storage.files import write_atomically
from tests.launch.sample_jobs import leaf, note
from workflows.jobs.checkpoints import checkpoint
from workflows.jobs.idempotency import once, spawn
from workflows.jobs.interruption import external_program, storing
from workflows.jobs.tags import fireworks_spec, tag
from workflows.stages.table import STAGES


@job
@once
def climb(path: str, name: str, steps: int, seconds: float, after: object = None) -> int:
    """Note every step, and go on after the last one that a launch before has taken."""
    with checkpoint() as file:
        assert file is not None
        first = int(file.read_text()) if file.exists() else 0
        for step in range(first, steps):
            time.sleep(seconds / steps)
            note(path, f"{name} {step}")
            write_atomically(file, str(step + 1))
    return steps


@job
def keep_watch(path: str) -> None:
    """Be busy as a job of VASP is while VASP runs."""
    with external_program():
        note(path, "watching")
        while True:
            time.sleep(0.1)


@job
def stop_by_itself(path: str) -> None:
    """End as a job of VASP does whose time is over: VASP stops, then its steps are read."""
    with external_program():
        note(path, "watching")
        time.sleep(4.0)
        note(path, "read")


@job
def write_for_long(path: str, seconds: float) -> None:
    """Write to a database, in the middle of a job that may be ended at any other moment."""
    with storing():
        note(path, "writing")
        time.sleep(seconds)
        note(path, "written")
    time.sleep(1000)


@job
def keep_busy(path: str) -> None:
    """Compute without knowing that anybody may want it to end, as any job of jobflow does."""
    note(path, "busy")
    time.sleep(1000)


def expedition(path: Path, name: str, steps: int = 30, seconds: float = 15.0) -> Flow:
    """Return one climb on the engine's queue, and one after it on the other."""
    first = tag(climb(str(path), name, steps, seconds), STAGES["liquid"], "dft")
    last = tag(climb(str(path), f"{name}-last", 2, 0.2, first.output), STAGES["sample"])
    flow = Flow([first, last], name=name)
    flow.update_metadata({"campaign": name})
    return flow


def crowd(path: Path, name: str, number: int) -> Flow:
    """Return many jobs that do nothing, on the engine's queue."""
    flow = Flow(
        [tag(leaf(str(path), str(i)), STAGES["liquid"], "dft") for i in range(number)], name=name
    )
    flow.update_metadata({"campaign": name})
    return flow


@job
@once
def grow(path: str, name: str, seconds: float, after: object = None) -> str:
    """Note begin and end of something that takes a while."""
    note(path, f"begin {name}")
    time.sleep(seconds)
    note(path, f"end {name}")
    return name


@job
def sow(path: str, failures: int) -> Response:
    """Spawn three jobs on both queues and one after them; fail the first times."""
    note(path, "sow")
    if Path(path).read_text().split().count("sow") <= failures:
        raise ValueError("the ground is frozen")
    seeds = [
        tag(grow(path, str(i), 8.0), STAGES["liquid"], queue)
        for i, queue in enumerate(("dft", "dft", "nnp"))
    ]
    last = tag(grow(path, "last", 0.0, after=[seed.output for seed in seeds]), STAGES["sample"])
    return Response(replace=spawn(Flow([*seeds, last], output=last.output)))


def sowing(path: Path, name: str, failures: int) -> Flow:
    """Return a job that spawns others, and one after it."""
    first = tag(sow(str(path), failures), STAGES["liquid"])
    after = tag(leaf(str(path), "after", first.output), STAGES["train"])
    flow = Flow([first, after], name=name)
    flow.update_metadata({"campaign": name})
    # as the prediction does it for jobs that jobflow makes
    flow.update_config(
        {"manager_config": fireworks_spec(STAGES["liquid"])}, name_filter="store_inputs",
        attributes=["manager_config"],
    )  # fmt: skip
    return flow
