"""Small jobs for the tests of the runner; workers import them as ``tests.launch.sample_jobs``."""

import os
import signal
import time
from pathlib import Path

from jobflow import Flow, OnMissing, Response, job

from workflows.jobs import idempotency
from workflows.jobs.idempotency import once
from workflows.jobs.progress import report_progress


def note(path: str, line: str) -> None:
    """Append a line to a file in one write."""
    with Path(path).open("a") as file:
        file.write(line + "\n")


@job
def sleep(path: str, name: str, seconds: float, after: object = None) -> str:
    """Note the start, report progress while sleeping, note the end."""
    note(path, f"start {name}")
    steps = 5
    for step in range(steps):
        time.sleep(seconds / steps)
        report_progress("liquid", step + 1, steps, temperature_K=1480.0, pressure_kbar=-3.0)
    note(path, f"end {name}")
    return name


@job
def fail(path: str, times: int) -> str:
    """Raise the first few times."""
    note(path, "fail")
    if Path(path).read_text().split().count("fail") <= times:
        raise ValueError("forces are not finite")
    return "recovered"


@job
def die(path: str, times: int) -> str:
    """Kill the worker process the first few times."""
    note(path, "die")
    if Path(path).read_text().split().count("die") <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@job
def environment(names: list[str]) -> dict[str, str | None]:
    """Return environment variables."""
    return {name: os.environ.get(name) for name in names}


@job
@once
def leaf(path: str, name: str, after: object = None) -> dict[str, str]:
    """Note that the computation ran."""
    note(path, f"leaf {name}")
    return {"name": name}


@job
def spawn(path: str, count: int) -> Response:
    """Spawn jobs that depend on each other, under ids that depend on this job only."""
    note(path, "spawn")
    jobs = [leaf(path, f"leaf-{i}") for i in range(count)]
    last = leaf(path, "last", after=[job.output["name"] for job in jobs])
    return Response(replace=idempotency.spawn(Flow([*jobs, last], output=last.output)))


def chain(path: str, count: int, seconds: float, stage: str = "liquid") -> Flow:
    """Return a flow of sleeping jobs in a row."""
    jobs = []
    for i in range(count):
        jobs.append(sleep(path, f"s{i}", seconds, jobs[-1].output if jobs else None))
    flow = Flow(jobs, name="chain")
    flow.update_metadata({"stage": stage})
    return flow


def tolerant(path: str) -> Flow:
    """Return a flow whose last job goes on when the first has failed."""
    first = fail(path, 99)
    last = sleep(path, "last", 0.0, first.output)
    last.config.on_missing_references = OnMissing.NONE
    return Flow([first, last])


def mixed(path: str) -> Flow:
    """Return a flow of a row of sleeping jobs beside a job that spawns."""
    row = chain(path, 8, 0.05)
    spawning = spawn(path, 4)
    after = sleep(path, "after", 0.05, spawning.output)
    return Flow([row, spawning, after])
