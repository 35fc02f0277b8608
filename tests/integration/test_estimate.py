"""What a campaign was expected to cost against what it really ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jobflow import SETTINGS, Job, JobStore, run_locally
from maggma.stores import MemoryStore

from launch.report.estimate import estimate
from tests.integration.conftest import SETTINGS as SMALL
from tests.workflows.samples import emt
from workflows.chains.prediction import StructurePredictionMaker
from workflows.chains.protocols import find_protocol
from workflows.composition import Target
from workflows.documents.dynamics import SegmentDocument
from workflows.documents.relaxation import RelaxDocument
from workflows.documents.training import LabelDocument
from workflows.engines.registry import find_engine
from workflows.settings import override_all

TARGET = Target("Cu", (1, 2))
SMALLER: dict[str, Any] = {
    "replicas": 2,
    "train.options.max_epochs": 5,
    "train.options.hidden": (8,),
    "search": {"block": 2, "islands": 2},
    "search.evolution": {"generations": 3, "population": 6},
}
#: By name: the protocol, and what of it is changed besides.
CHAINS: dict[str, tuple[str, dict[str, Any]]] = {
    "quick": ("quick", {}),
    "paper": ("paper", {"replicas": 1}),
    "economical": (
        "economical",
        {
            "active.rounds": 2,
            "active.labels": 20,
            "active.label.batch": 8,
            "train.options.members": 2,
            "improve.rounds": 1,
            "improve.labels": 6,
            "improve.relaxations": 2,
            "improve.generations": 2,
            "improve.melt_quench": 4,
            "improve.melt_duration": 0.4,
            "improve.quench_rate": 2000,
        },
    ),
    "frames only": ("economical", {"active.labels": 10, "active.rounds": 1, "until": "sample"}),
    "search by the reference": (
        "quick",
        {
            "search_level": "reference",
            "reference_search.evolution.generations": 2,
            "reference_search.evolution.population": 5,
        },
    ),
}
#: How far off the estimate may be where it depends on what is found: the end of the ladder of
#: temperatures, rounds of the volume, length of the quench.
FACTOR = 3.0
#: The same of the steps of relaxations: one or two atoms of copper relax in a few.
RELAXATION_FACTOR = 6.0
FOUND_OUT = {("melting_temperature", "dft"), ("melting_temperature", "nnp"), ("volume", "dft"),
             ("volume", "nnp"), ("quench", "dft")}  # fmt: skip
#: What rounds of learning leave to do depends on what they find, too, and so does what candidates
#: are refined to.
FOUND_OUT |= {("improve", "dft"), ("improve", "nnp"), ("candidates", "dft")}

Key = tuple[str, str]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Counter[Key], Counter[Key]]]:
    """Count jobs and reference evaluations by stage and queue, as jobs run."""
    fireworks: Counter[Key] = Counter()
    evaluations: Counter[Key] = Counter()
    original = Job.run

    def counting(self: Job, *args: Any, **kwargs: Any) -> Any:
        response = original(self, *args, **kwargs)
        key = self.metadata["stage"], self.config.manager_config["_category"]
        fireworks[key] += 1
        if key[1] == "dft":
            evaluations[key] += count_evaluations(response.output)
        return response

    monkeypatch.setattr(Job, "run", counting)
    return fireworks, evaluations


def count_evaluations(output: object) -> int:
    """Energies and forces that a job of the reference engine computed."""
    if isinstance(output, SegmentDocument):
        return round(output.duration / output.time_step)
    if isinstance(output, RelaxDocument):
        return output.steps
    if isinstance(output, LabelDocument):
        return output.n_labelled + len(output.failures)
    raise AssertionError(f"unknown output {type(output).__name__}")


def chain(name: str) -> StructurePredictionMaker:
    """Build a small chain of the name, with effective medium theory as reference engine."""
    protocol, changes = CHAINS[name]
    maker = override_all(find_protocol(protocol), yaml.safe_load(SMALL.read_text()))
    maker = override_all(override_all(maker, SMALLER), changes)
    return replace(maker, reference=emt(), sampler=find_engine("pair"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS)
def test_the_estimate_is_what_runs(
    name: str,
    ran: tuple[Counter[Key], Counter[Key]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEVITRIFY_CONFIG", "")
    monkeypatch.chdir(tmp_path)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    monkeypatch.setattr(SETTINGS, "JOB_STORE", store)
    maker = chain(name)
    expected = {(cost.stage, cost.queue): cost for cost in estimate(maker, TARGET)}
    run_locally(maker.make(TARGET, "mine"), store=store, log=False, create_folders=True,
                ensure_success=True)  # fmt: skip
    fireworks, evaluations = ran
    assert set(expected) == set(fireworks)
    for key, cost in expected.items():
        if key in FOUND_OUT:
            assert cost.fireworks / FACTOR <= fireworks[key] <= cost.fireworks * FACTOR, key
        else:
            assert fireworks[key] == cost.fireworks, key
        relaxes = key[1] == "dft" and key[0] in ("search", "improve", "candidates")
        if key == ("label", "dft"):
            # a later round has fewer frames to choose from where its potential stopped the runs
            assert 0.8 * cost.reference_evaluations <= evaluations[key]
            assert evaluations[key] <= cost.reference_evaluations
        elif key in FOUND_OUT or relaxes:
            factor = RELAXATION_FACTOR if relaxes else FACTOR
            least, most = cost.reference_evaluations / factor, cost.reference_evaluations * factor
            if key[0] == "candidates" and maker.improve.rounds:
                least = 0  # the rounds may have relaxed all of them
            assert least <= evaluations[key] <= most, key
        else:
            assert evaluations[key] == cost.reference_evaluations, key
