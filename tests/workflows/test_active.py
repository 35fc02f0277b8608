"""The task graph of sampling cheaply and labelling dearly."""

from __future__ import annotations

import json
from typing import Any

from jobflow import Flow
from jobflow.managers.fireworks import flow_to_workflow
from monty.json import MontyDecoder, jsanitize

from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.engines.registry import default_sampler, find_engine
from workflows.settings import list_settings, override
from workflows.stages.table import STAGES

TARGET = Target("LiAlCl4", (1, 2))


def specs(flow: Flow) -> dict[str, list[dict[str, Any]]]:
    """Specs of all Fireworks by their stage."""
    found: dict[str, list[dict[str, Any]]] = {}
    for firework in flow_to_workflow(flow).fws:
        found.setdefault(firework.spec["stage"], []).append(firework.spec)
    return found


def test_only_labels_and_candidates_are_jobs_of_the_reference() -> None:
    by_stage = specs(find_protocol("economical").make(TARGET, "mine"))
    assert set(by_stage) <= set(STAGES)
    queues = {stage: {spec["_category"] for spec in found} for stage, found in by_stage.items()}
    assert queues["label"] == {"dft", "nnp"}
    assert all(queue == {"nnp"} for stage, queue in queues.items() if stage != "label")


def test_batches_and_rounds_follow_the_settings() -> None:
    maker = find_protocol("economical")
    for path, value in (("active.rounds", 3), ("active.labels", 45), ("active.label.batch", 10)):
        maker = override(maker, path, value)
    names = [job.name for job, _ in maker.make(TARGET, "mine").iterflow()]
    assert sum(name.startswith("label ") for name in names) == 3 * 5
    assert [name for name in names if name.startswith("train")] == [
        f"train round {number}" for number in (1, 2, 3)
    ]


def test_each_round_samples_with_the_potential_of_the_round_before() -> None:
    flow = override(find_protocol("economical"), "active.rounds", 3).make(TARGET, "mine")
    jobs = [job for job, _ in flow.iterflow()]
    trained = {job.name: job.uuid for job in jobs if job.name.startswith("train")}
    engines = [job.function_args[1].engine for job in jobs if job.name == "melting temperature"]
    assert [engine.name for engine in engines] == ["pair", "NNP", "NNP"]
    assert engines[1].potential == trained["train round 1"]
    assert engines[2].potential == trained["train round 2"]
    begin = next(job for job in jobs if job.name == "round 2")
    assert trained["train round 1"] in begin.input_uuids
    # another round, other random numbers
    seeds = [job.function_args[1].seed for job in jobs if job.name == "melting temperature"]
    assert len(set(seeds)) == 3


def test_one_round_needs_no_dynamics_by_the_potential() -> None:
    flow = override(find_protocol("economical"), "active.rounds", 1).make(TARGET, "mine")
    assert sum(job.name == "melting temperature" for job, _ in flow.iterflow()) == 1


def test_the_paper_leaves_the_dynamics_to_the_reference() -> None:
    maker = find_protocol("paper")
    assert maker.active.rounds == 0
    by_stage = specs(maker.make(TARGET, "mine"))
    assert not {"select", "label"} & set(by_stage)
    assert {spec["_category"] for spec in by_stage["liquid"]} == {"dft"}


def test_the_protocol_survives_json() -> None:
    from dataclasses import replace

    maker = replace(find_protocol("economical"), sampler=find_engine("pair"))
    text = json.dumps(jsanitize(maker.as_dict(), strict=True))
    assert MontyDecoder().process_decoded(json.loads(text)) == maker


def test_documents_stay_small() -> None:
    workflow = flow_to_workflow(find_protocol("economical").make(TARGET, "mine"))
    assert max(len(json.dumps(firework.to_dict())) for firework in workflow.fws) < 50_000


def test_every_number_can_be_set() -> None:
    paths = {setting.path for setting in list_settings(find_protocol("economical"))}
    assert {"active.rounds", "active.labels", "active.max_uncertainty", "active.label.batch",
            "active.select.scaled", "active.select.uncertain"} <= paths  # fmt: skip
    assert not any("sampler" in path or "queue" in path for path in paths)


def test_the_universal_potential_samples_for_any_reference_but_itself() -> None:
    assert default_sampler(find_engine("chgnet")).name == "pair"
    assert default_sampler(find_engine("emt")).name == "chgnet"
