"""Segments: how a run is cut, and how its averages are taken."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobflow import Flow, Job, JobStore, job, run_locally
from maggma.stores import MemoryStore

from tests.workflows.samples import copper, emt, engine
from workflows.documents.dynamics import SegmentDocument
from workflows.engines.base import DynamicsTask
from workflows.stages.dynamics import DynamicsMaker, mean_pressure
from workflows.stages.liquid import QuenchMaker


@given(
    duration=st.floats(0.02, 30.0),
    longest=st.integers(10, 1500),
    step=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_segments_are_short_whole_and_add_up(duration: float, longest: int, step: float) -> None:
    maker = DynamicsMaker(engine=emt(), time_step=step, segment_steps=longest)
    lengths = maker.segment_lengths(duration)
    stride = round(20.0 / step)
    assert all(length % stride == 0 for length in lengths)
    assert max(lengths) <= max(longest, stride)
    assert sum(lengths) * step == pytest.approx(max(duration * 1000, 20.0), abs=10.1)


def task_of(job: Job) -> DynamicsTask:
    """What a segment is for."""
    _, task = job.function_args
    assert isinstance(task, DynamicsTask)
    return task


def test_a_ramp_over_several_segments_is_continuous() -> None:
    maker = DynamicsMaker(engine=emt(), time_step=2.0, segment_steps=300)
    flow = maker.make(copper(), 1500.0, 12.0, "quench", end_temperature=300.0)
    ends = [task_of(segment).targets for segment in flow.jobs]
    assert (ends[0][0], ends[-1][1]) == (1500.0, 300.0)
    assert all(a[1] == pytest.approx(b[0]) for a, b in pairwise(ends))
    rates = [(a - b) / (job.function.__self__.settings.n_steps * 0.002)
             for (a, b), job in zip(ends, flow.jobs, strict=True)]  # fmt: skip
    assert rates == pytest.approx([100.0] * len(rates))


def test_every_segment_has_a_seed_of_its_own() -> None:
    maker = DynamicsMaker(engine=emt(), time_step=2.0, segment_steps=100, seed=7)
    runs = [maker.make(copper(), 500.0, 1.0, "liquid", key=key) for key in ("", "replica 2")]
    seeds = [task_of(job).seed for flow in runs for job in flow.jobs]
    assert len(set(seeds)) == len(seeds) == 10


def test_segments_wait_for_the_temperature_that_another_job_finds() -> None:
    maker = DynamicsMaker(engine=engine("IdealGas"), time_step=2.0, thermostat_time=10.0)
    found = temperature()
    flow = maker.make(copper(), found.output, 0.4, "liquid")
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(
        Flow([found, flow]), store=store, ensure_success=True, create_folders=False, log=False
    )
    document = store.query_one({"output.@class": "SegmentDocument"})
    assert document is not None
    assert document["output"]["temperature"] == document["output"]["end_temperature"] == 700.0
    assert np.mean(document["output"]["temperatures"][5:]) == pytest.approx(700, rel=0.2)


@job
def temperature() -> float:
    """Find 700 K."""
    return 700.0


def test_hydrogen_halves_the_time_step() -> None:
    assert DynamicsMaker(engine=emt()).for_elements({"H", "O"}).time_step == 1.0
    assert DynamicsMaker(engine=emt()).for_elements({"Li", "O"}).time_step == 2.0
    assert DynamicsMaker(engine=emt(), time_step=0.5).for_elements({"H"}).time_step == 0.5
    with pytest.raises(ValueError, match="for_elements"):
        DynamicsMaker(engine=emt()).make(copper(), 300.0, 1.0, "liquid")
    with pytest.raises(ValueError, match="no engine makes the runs"):
        DynamicsMaker(time_step=2.0).make(copper(), 300.0, 1.0, "liquid")


def test_mean_pressure_leaves_out_the_start() -> None:
    segment = SegmentDocument.model_construct(pressures=[100.0] * 20 + [1.0, 3.0] * 40)
    mean, error = mean_pressure([segment], discard=0.2)
    assert mean == pytest.approx(2.0)
    assert error < 0.2


def test_quench_makes_its_segments_when_it_knows_the_temperature() -> None:
    maker = DynamicsMaker(engine=engine("IdealGas"), segment_steps=500, thermostat_time=20.0)
    quench = QuenchMaker(rate=500.0).make(copper(), 1300.0, maker.for_elements({"Cu"}))
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    run_locally(quench, store=store, ensure_success=True, create_folders=False, log=False)
    store.connect()
    segments = list(store.query({"output.@class": "SegmentDocument"}, load=True))
    assert len(segments) == 2
    temperatures = np.concatenate([
        np.array(s["output"]["temperatures"]) for s in sorted(segments, key=lambda s: s["name"])
    ])  # fmt: skip
    assert len(temperatures) == 100
    assert temperatures[:10].mean() > 2 * temperatures[-10:].mean()
