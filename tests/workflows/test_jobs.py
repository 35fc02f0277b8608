"""Jobs and the queues they go to."""

from __future__ import annotations

import pytest
from jobflow import Flow, JobStore, Response, job
from maggma.stores import MemoryStore

from workflows.jobs.tags import derive_seed, tag
from workflows.stages.table import STAGES


@job
def relax() -> int:
    """Stand for a job of the reference engine."""
    return 1


@job
def plan() -> Response:
    """Spawn a job for the reference engine, as every planning job does."""
    work = tag(relax(), STAGES["candidates"], "dft")
    return Response(replace=Flow([work], output=work.output))


def test_spawned_jobs_go_to_their_own_queue() -> None:
    """And not to that of the job that spawns them."""
    store = JobStore(MemoryStore())
    store.connect()
    response = tag(plan(), STAGES["candidates"]).run(store)
    queues = {work.name: work.config.manager_config.get("_category") for work in response.replace}
    assert queues["relax"] == "dft"
    assert response.replace[0].metadata["stage"] == "candidates"


def test_a_stage_has_its_queues() -> None:
    with pytest.raises(ValueError, match="train has no jobs in the queue dft"):
        tag(relax(), STAGES["train"], "dft")


def test_seeds_differ_by_key_and_are_the_same_everywhere() -> None:
    assert derive_seed(0, "liquid", 1) != derive_seed(0, "liquid", 2)
    assert derive_seed(3, "train") == derive_seed(3, "train") < 2**32
