"""From a formula to ranked crystals with the VASP engine, on a stand-in for VASP."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from launch.campaign import Campaign
from launch.database import job_store
from launch.results import CampaignResults
from tests.fake_vasp.fixtures import FakeVasp
from tests.integration.test_chain import fireworks

SETTINGS = Path(__file__).with_name("vasp.yaml")
RUN = ["--engine", "vasp", "--config", str(SETTINGS), "--z", "1", "--seed", "1"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_salt_from_its_formula(
    fake_vasp: FakeVasp,
    devitrify: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    done = devitrify("run", "NaCl", *RUN, "--folder", "salt", timeout=1100)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "salt"
    assert "crystal structures by vasp energy" in done.stdout

    # all of the campaign went through FireWorks, each job in its queue
    works = fireworks(folder)
    assert {work["state"] for work in works} == {"COMPLETED"}
    assert {work["spec"]["_category"] for work in works} == {"dft", "nnp"}
    names = Counter(work["name"] for work in works)
    assert names["convergence snapshots"] == 1
    assert names["convergence 250 eV 1x1x1"] == 1
    assert names["check frames 1 to 2"] == 1
    assert names["relax candidate 1"] == 1

    campaign = Campaign.open(folder)
    with campaign.database() as database:
        store = job_store(database.uri, campaign.document.database)
        results = CampaignResults(store, campaign.id)
        convergence, check, sample = results.convergence, results.check, results.sample
        store.close()
    # the stand-in's error falls with the mesh as exp(-L / 2.2 Å): Gamma is too little for 8 Å
    assert convergence is not None
    assert convergence.plane_waves.mesh > (1, 1, 1)
    assert check is not None
    assert check.n_frames == 2
    assert check.energy_error_shifted < check.energy_error
    assert sample is not None
    assert set(sample.frames_by_stage) == {"liquid", "quench", "anneal"}

    # what was converged is what the dynamics ran with
    dynamics = [tags for tags in _incars(folder) if tags.get("MDALGO") == "2"]
    assert len(dynamics) >= 5
    assert {float(tags["ENCUT"]) for tags in dynamics} == {convergence.plane_waves.cutoff}
    assert {tags["GGA"].upper() for tags in dynamics} == {"PE"}

    frames = read(folder / "frames.extxyz", index=":")
    liquid = [atoms for atoms in frames if atoms.info["stage"] == "liquid"]
    assert [atoms.info["time"] for atoms in liquid] == pytest.approx(np.arange(20.0, 401.0, 20.0))
    # unwrapped through segments: no atom jumps between frames
    moves = [np.abs(b.positions - a.positions).max() for a, b in pairwise(liquid)]
    assert max(moves) < 2.5
    best = json.loads((folder / "summary.json").read_text())["candidates"][0]
    assert best["max_force"] < 0.06


def _incars(folder: Path) -> list[dict[str, str]]:
    """Tags of all runs of VASP in a campaign."""
    texts = [gzip.decompress(path.read_bytes()).decode() for path in folder.rglob("INCAR.gz")]
    return [dict(line.split(" = ", 1) for line in text.strip().splitlines()) for text in texts]
