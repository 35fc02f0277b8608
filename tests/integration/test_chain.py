"""A formula in, ranked crystals out: the real command, FireWorks, database and workers."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import read
from pymatgen.core import Structure

from nnp.potential import Potential
from tests.integration.conftest import RUN
from tests.integration.kills import fireworks, kill_and_resume

Command = Callable[..., "subprocess.CompletedProcess[str]"]

#: Relaxed face-centred cubic copper by effective medium theory, eV/atom.
FCC_COPPER = -0.0070


def require_no_descendant_twice(works: dict[int, dict[str, Any]]) -> None:
    """Of the jobs that others spawn, each once."""
    names = Counter(work["name"] for work in works.values())
    assert all(names[f"melt part {part}"] == 1 for part in (1, 2))
    segments = [name for name in names if name.startswith(("liquid", "anneal"))]
    assert len(segments) >= 6
    assert all(names[name] == 1 for name in segments)
    assert names["sample"] == 1
    assert names["train"] == names["rank"] <= 1


@pytest.mark.slow
def test_copper_from_its_formula(devitrify: Command, tmp_path: Path) -> None:
    """Killed in the search and resumed."""
    folder = tmp_path / "copper"
    works = kill_and_resume(devitrify, folder, "search")
    require_no_descendant_twice(works)
    launches = {number: len(work["launches"]) for number, work in works.items()}

    # the ground state, found from nothing but the formula; effective medium theory does not tell
    # the two close packings apart
    best = json.loads((folder / "summary.json").read_text())["candidates"][0]
    assert best["energy"] == pytest.approx(FCC_COPPER, abs=0.003)
    assert best["space_group"] in ("Fm-3m", "P6_3/mmc")
    crystal = Structure.from_file(next((folder / "structures").glob("01_*.cif")))
    assert crystal.volume / len(crystal) == pytest.approx(11.6, rel=0.03)

    # every file that was promised
    frames = read(folder / "frames.extxyz", index=":")
    assert {atoms.info["stage"] for atoms in frames} >= {"liquid", "quench", "anneal"}
    liquid = [atoms.info["time"] for atoms in frames if atoms.info["stage"] == "liquid"]
    # two trajectories of 1 ps in several segments: times run on through the segments
    assert sorted(liquid) == pytest.approx(sorted(list(np.arange(20.0, 1001.0, 20.0)) * 2))
    potential = Potential.load(folder / "potential.nnp")
    assert np.isfinite(potential.compute(frames[:3]).energies).all()
    plots = {path.stem for path in (folder / "plots").glob("*.png")}
    expected = {"melting_temperature", "trajectory", "training", "parity", "search", "coverage"}
    assert expected <= plots

    # asked again, nothing runs again
    again = devitrify("run", "Cu", *RUN, "--folder", "copper")
    assert again.returncode == 0
    assert "crystal structures by emt energy" in again.stdout
    assert {work["fw_id"]: len(work["launches"]) for work in fireworks(folder)} == launches

    status = devitrify("status", "copper", "--json")
    assert json.loads(status.stdout)["state"] == "completed"

    other = devitrify("run", "Ag", *RUN, "--folder", "copper")
    assert other.returncode == 1
    assert "Cu" in other.stderr
    assert "Traceback" not in other.stderr


@pytest.mark.slow
def test_frames_only(devitrify: Command, tmp_path: Path) -> None:
    """Killed in the liquid and resumed."""
    folder = tmp_path / "frames"
    works = kill_and_resume(devitrify, folder, "liquid", "--set", "until=sample")
    require_no_descendant_twice(works)
    frames = read(folder / "frames.extxyz", index=":")
    assert {atoms.info["stage"] for atoms in frames} >= {"liquid", "quench", "anneal"}
    assert not (folder / "potential.nnp").exists()
