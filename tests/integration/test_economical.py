"""Sampling by a cheap engine, labels by another one, and learning from the search."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.io import read

from tests.integration.kills import kill_and_resume

ECONOMICAL = ["--protocol", "economical", "--sampler", "pair"]
for setting in (
    "active.rounds=2", "active.labels=20", "active.label.batch=8", "train.options.members=2",
    "improve.rounds=1", "improve.labels=6", "improve.relaxations=2", "improve.generations=2",
    "improve.melt_quench=4", "improve.melt_duration=0.4", "improve.quench_rate=2000",
):  # fmt: skip
    ECONOMICAL += ["--set", setting]

LEARNT = ("melt_quench", "minimum", "relaxation", "strain", "unknown")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_killed_while_learning_and_resumed(devitrify: Command, tmp_path: Path) -> None:
    folder = tmp_path / "copper"
    works = kill_and_resume(devitrify, folder, "train improve 1", *ECONOMICAL)
    names = Counter(work["name"] for work in works.values())
    assert names["label 9 to 16"] == 2  # one in each round of sampling
    assert names["train round 1"] == names["train round 2"] == names["rank"] == 1
    assert names["train improve 1"] == names["choose improve 1"] == 1
    assert names["relax improve 1 structure 1"] == 1

    # melt and quench by the potential, in segments, none twice
    assert names["improve 1 melt"] + names["improve 1 melt 1/2"] == 1
    assert sum(count for name, count in names.items() if "improve 1 quench" in name) >= 2

    # the frames that remain are the reference's, whatever sampled them
    frames = read(folder / "frames.extxyz", index=":")
    stages = Counter(atoms.info["stage"] for atoms in frames)
    learnt = {stage: stages.pop(stage) for stage in [*stages] if stage in LEARNT}
    candidates = stages.pop("candidate", 0)
    assert sum(stages.values()) == 40
    assert "scaled" in stages
    assert learnt["relaxation"] >= 2
    assert learnt["strain"] >= 1
    assert 1 <= learnt["melt_quench"] <= 8
    for atoms in frames[:3] + frames[-3:]:
        stored = atoms.get_potential_energy()
        atoms.calc = EMT()
        assert stored == pytest.approx(atoms.get_potential_energy(), abs=1e-9)

    summary = json.loads((folder / "summary.json").read_text())
    rounds = summary["rounds"]  # one, and another for a potential that was hopelessly wrong
    assert 1 <= len(rounds) <= 2
    assert rounds[0]["relaxed"] == 2
    assert 1 <= rounds[0]["labels_by_kind"]["melt_quench"] <= 4
    assert sum(rounds[0]["labels_by_kind"].values()) == rounds[0]["labels"]
    assert rounds[0]["before"]["mean_error_meV_atom"] is not None
    evaluations = sum(row["reference_evaluations"] for row in rounds)
    assert evaluations >= sum(learnt.values())
    assert summary["reference_evaluations"] == 40 + evaluations
    assert candidates == summary["relaxation_frames"]
    assert np.isfinite(summary["candidates"][0]["energy"])
    # what the round has relaxed is in the ranking
    assert summary["candidates"][0]["energy"] <= rounds[-1]["lowest_energy_eV_atom"] + 1e-9
    assert (folder / "plots" / "learning.png").exists()
