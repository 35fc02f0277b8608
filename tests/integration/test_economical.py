"""Sampling by a cheap engine and labels by another one, as a user types it."""

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
for setting in ("active.labels=20", "active.label.batch=8", "train.options.members=2"):
    ECONOMICAL += ["--set", setting]

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_killed_while_labelling_and_resumed(devitrify: Command, tmp_path: Path) -> None:
    folder = tmp_path / "copper"
    works = kill_and_resume(devitrify, folder, "label 9 to 16", *ECONOMICAL)
    names = Counter(work["name"] for work in works.values())
    assert names["label 9 to 16"] == 2  # one in each round
    assert names["train round 1"] == names["train round 2"] == names["rank"] == 1

    # the frames that remain are the reference's, whatever sampled them
    frames = read(folder / "frames.extxyz", index=":")
    assert len(frames) == 40
    assert "scaled" in {atoms.info["stage"] for atoms in frames}
    for atoms in frames[:3] + frames[-3:]:
        stored = atoms.get_potential_energy()
        atoms.calc = EMT()
        assert stored == pytest.approx(atoms.get_potential_energy(), abs=1e-9)

    summary = json.loads((folder / "summary.json").read_text())
    assert summary["reference_evaluations"] == 40
    assert np.isfinite(summary["candidates"][0]["energy"])
