"""The workflow as a file, and what it is expected to cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fireworks import Workflow

from launch.commands.shared.prediction import PredictionOptions
from launch.report.estimate import estimate
from tests.launch.test_cli import call


def test_yaml_and_json_hold_the_same_workflow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = {}
    for suffix in ("json", "yaml"):
        code, printed[suffix], error = call(
            capsys, "workflow", "Cu", "-e", "emt", "--campaign", "same", "-o", f"wf.{suffix}"
        )
        assert code == 0, error
    for text in (
        "campaign same",
        "engine emt",
        "protocol quick",
        "dft",
        "nnp",
        "node-hours",
        "reference evaluations",
    ):
        assert text in printed["yaml"]
    workflows = [Workflow.from_file(f"wf.{suffix}") for suffix in ("json", "yaml")]
    specs = [
        sorted(
            (firework.name, firework.spec["_category"], firework.spec["_priority"],
             json.dumps(firework.spec["_queueadapter"]), firework.spec["campaign"])
            for firework in workflow.fws
        )
        for workflow in workflows
    ]  # fmt: skip
    assert specs[0] == specs[1]
    assert len(workflows[0].links) == len(workflows[1].links)
    for firework in workflows[1].fws:
        assert firework.tasks[0]["job"].function is not None
    assert (
        yaml.safe_load(Path("wf.yaml").read_text()).keys()
        == json.loads(Path("wf.json").read_text()).keys()
    )


def test_other_formats_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = call(capsys, "workflow", "Cu", "-e", "emt", "-o", "wf.txt")
    assert code == 1
    assert ".json or .yaml" in error


def test_the_expected_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction = PredictionOptions(formula="Cu", protocol="paper", engine="emt").prediction()

    def hours(queue: str, **changes: object) -> float:
        maker = replace(prediction.maker, **changes)
        return sum(c.node_hours for c in estimate(maker, prediction.target) if c.queue == queue)

    # 5 ps of superheating, 5 rungs of 5 ps, 4 volumes of 4 ps, 20 ps, 17 ps down, 15 ps; 2 fs
    stages = {c.stage: c for c in estimate(prediction.maker, prediction.target) if c.queue == "dft"}
    dynamics = sum(c.node_hours for stage, c in stages.items() if stage != "candidates")
    assert dynamics == pytest.approx((5 + 25 + 16 + 20 + 17 + 15) * 500 * 0.005 / 3600, rel=0.02)
    assert stages["liquid"].fireworks == 10
    # every other candidate is refined to a higher symmetry
    assert stages["candidates"].fireworks == 1.5 * prediction.maker.candidates.n_candidates
    # what is left out costs nothing
    until_train = estimate(replace(prediction.maker, until="train"), prediction.target)
    assert {c.stage for c in until_train}.isdisjoint({"search", "candidates"})
    # a site may know better how fast it is
    (tmp_path / "devitrify.yaml").write_text("seconds_per_step: {emt: 0.01}\n")
    before = hours("dft")
    monkeypatch.setenv("DEVITRIFY_CONFIG", str(tmp_path))
    assert hours("dft") == pytest.approx(2 * before)


def test_a_mistake_in_the_sites_settings_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "devitrify.yaml").write_text("resources: {dft: {default: {walltime: 12h}}}\n")
    monkeypatch.setenv("DEVITRIFY_CONFIG", str(tmp_path))
    code, _, error = call(
        capsys, "workflow", "Al", "--engine", "emt", "--output", str(tmp_path / "al.yaml")
    )
    assert code == 1
    assert error.startswith("Error: The site settings")
    assert "hours:minutes:seconds" in error
