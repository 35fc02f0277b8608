"""The task graph as a whole."""

from __future__ import annotations

import json

import pytest
from jobflow.managers.fireworks import flow_to_workflow
from monty.json import MontyDecoder, jsanitize

from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.engines.base import DynamicsTask
from workflows.settings import SettingError, override
from workflows.stages.table import STAGES

TARGET = Target("LiAlCl4", (1, 2, 4))


def test_every_firework_has_queue_stage_and_campaign() -> None:
    workflow = flow_to_workflow(find_protocol("quick").make(TARGET, "mine"))
    specs = [firework.spec for firework in workflow.fws]
    assert {spec["campaign"] for spec in specs} == {"mine"}
    assert all(spec["stage"] in STAGES for spec in specs)
    queues = {spec["stage"]: set() for spec in specs}
    for spec in specs:
        queues[spec["stage"]].add(spec["_category"])
    assert queues["liquid"] == queues["train"] == queues["search"] == {"nnp"}
    assert queues["label"] == {"dft", "nnp"}
    assert queues["improve"] == {"nnp"}  # its first job; the others are spawned


def test_the_paper_protocol_keeps_documents_small() -> None:
    workflow = flow_to_workflow(find_protocol("paper").make(TARGET, "mine"))
    sizes = [len(json.dumps(firework.to_dict())) for firework in workflow.fws]
    assert max(sizes) < 50_000


def test_replicas_are_independent_trajectories() -> None:
    workflow = flow_to_workflow(find_protocol("quick").make(TARGET, "mine"))
    names = [firework.name for firework in workflow.fws]
    assert {"anneal", "anneal replica 2"} <= set(names)
    liquids = [name for name in names if name.startswith("liquid")]
    assert len([name for name in liquids if "replica 2" in name]) == len(liquids) / 2


def test_the_seed_changes_the_seeds_of_jobs_and_nothing_else() -> None:
    from dataclasses import replace

    protocol = find_protocol("quick")
    flows = [replace(protocol, seed=seed).make(TARGET, "mine") for seed in (1, 2)]
    jobs = [[job for job, _ in flow.iterflow()] for flow in flows]
    assert [job.name for job in jobs[0]] == [job.name for job in jobs[1]]
    tasks = [
        {a.seed for job in part for a in job.function_args if isinstance(a, DynamicsTask)}
        for part in jobs
    ]
    assert len(tasks[0]) > 5
    assert not tasks[0] & tasks[1]
    (training,) = {job.function_args[1] for job in jobs[0] if job.name == "train round 1"}
    assert training not in {job.function_args[1] for job in jobs[1] if job.name == "train round 1"}


def test_a_protocol_survives_json() -> None:
    protocol = find_protocol("quick")
    text = json.dumps(jsanitize(protocol.as_dict(), strict=True))
    assert MontyDecoder().process_decoded(json.loads(text)) == protocol


def test_the_chain_can_end_with_the_frames() -> None:
    maker = override(find_protocol("quick"), "until", "sample")
    workflow = flow_to_workflow(maker.make(TARGET, "mine"))
    stages = {firework.spec["stage"] for firework in workflow.fws}
    assert "label" in stages
    assert not stages & {"search", "improve", "candidates"}
    with pytest.raises(SettingError, match="one of sample, train, search, improve, candidates"):
        override(maker, "until", "melt")


def test_rounds_of_learning_come_between_search_and_candidates_or_are_left_out() -> None:
    flow = find_protocol("quick").make(TARGET, "mine")
    search, improve, candidates = flow.jobs[-3:]
    assert set(candidates.input_uuids) == {improve.uuid}
    assert set(improve.input_uuids) == {search.uuid}
    for maker in (
        find_protocol("paper"),
        override(find_protocol("quick"), "improve.rounds", 0),
        override(find_protocol("quick"), "search_level", "reference"),
    ):
        jobs = [job for job, _ in maker.make(TARGET, "mine").iterflow()]
        assert "improve" not in {job.metadata.get("stage") for job in jobs}


def test_the_learning_curve_is_a_job_for_each_part_and_changes_nothing_else() -> None:
    plain = override(find_protocol("paper"), "until", "train")
    asked = override(plain, "train.learning_curve", "true")
    names = [[job.name for job, _ in m.make(TARGET, "mine").iterflow()] for m in (plain, asked)]
    parts = [f"train on {part} %" for part in (10, 20, 40, 80, 100)]
    assert [name for name in names[1] if name not in [*parts, "learning curve"]] == names[0]
    assert [name for name in names[1] if name in parts] == parts


def test_at_several_pressures_melts_are_at_the_ends_and_all_else_at_each() -> None:
    """One training set, one potential, three searches; the names say which is which."""
    target = TARGET.under([250.0, 0.0, 100.0])
    assert target.pressures == (0.0, 100.0, 250.0)
    flow = find_protocol("quick").make(target, "mine")
    jobs = [work for work, _ in flow.iterflow()]
    names = [work.name for work in jobs]
    assert [name for name in names if name.startswith("search")] == [
        "search at 0 GPa", "search at 10 GPa", "search at 25 GPa",
    ]  # fmt: skip
    assert names.count("train round 1") == names.count("train round 2") == 1
    for stage in ("pack", "volume"):
        aimed = {work.maker.pressure for work in jobs if work.metadata["stage"] == stage}
        assert aimed == {0.0, 250.0}
    assert {"melt part 1 at 0 GPa", "melt part 1 at 25 GPa"} <= set(names)
    assert names.count("label 241 to 260") == 2  # of each of two rounds, 130 for each melt
    last = flow.jobs[-1]
    assert [work.name for work in last.jobs] == [
        "candidates at 0 GPa", "candidates at 10 GPa", "candidates at 25 GPa", "all pressures",
    ]  # fmt: skip
    one = find_protocol("quick").make(TARGET.under([100.0]), "mine")
    same = find_protocol("quick").make(Target("LiAlCl4", (1, 2, 4), 100.0), "mine")
    assert [w.name for w, _ in one.iterflow()] == [w.name for w, _ in same.iterflow()]


def test_the_estimate_of_several_pressures_counts_what_is_shared_once() -> None:
    maker = find_protocol("quick")
    costs = [
        {(c.stage, c.queue): c.reference_evaluations for c in maker.cost(target)}
        for target in (TARGET, TARGET.under([0.0, 100.0, 250.0]))
    ]
    labels, candidates = ("label", "dft"), ("candidates", "dft")
    assert costs[1][labels] == 2 * costs[0][labels]
    assert 3 * costs[0][candidates] < costs[1][candidates] < 5 * costs[0][candidates]
