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

from launch.database.connections import job_store
from launch.local.campaign import Campaign
from launch.report.campaign_results import CampaignResults
from tests.fake_vasp.fixtures import FakeVasp
from tests.integration.kills import fireworks
from workflows.documents.convergence import CheckDocument, ConvergenceDocument
from workflows.documents.training import SampleDocument

SETTINGS = Path(__file__).with_name("vasp.yaml")
RUN = ["--engine", "vasp", "--config", str(SETTINGS), "--z", "1", "--seed", "1"]

#: Each strikes one run of VASP, by its number among those of its kind; most need another run.
FAULTS_BEFORE = (
    "sigkill run md call 2 step 9",
    "segv run md call 4 step 12",
    "cut_xml run md call 6",
    "disk_full run md call 8 step 3",
    "sigkill run static call 2",
    "zpotrf run static call 4",
)
#: This one kills the campaign: no run of dynamics begins any more.
FATAL = "error_exit run md from 10"
FAULTS_AFTER = (
    "unconverged run md call 1 step 8",
    "nan_forces run md call 3 step 5",
    "positive_energy run md call 5 step 5",
    "zpotrf run md call 7 step 9",
    "brmix run md call 9 step 4",
    "empty_contcar run md call 10",
    "hang run md call 11 step 15",
    "nan_forces run static call 1",
    "positive_energy run static call 3",
    "sigterm run relax call 2 step 3",
    "brmix run relax call 4",
)


def require_whole_chain(folder: Path) -> None:
    """Each stage did what it is for, with numbers that the stages before it had found."""
    # all of the campaign went through FireWorks, each job in its queue
    works = fireworks(folder)
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
        convergence = results.newest(ConvergenceDocument)
        check, sample = results.newest(CheckDocument), results.newest(SampleDocument)
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


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_campaign_gets_over_faults_and_resumes_after_a_fatal_one(
    fake_vasp: FakeVasp,
    devitrify: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    command = ["run", "NaCl", *RUN, "--folder", "salt"]
    command += ["--set", "vasp.supervision.hang_timeout=15"]
    fake_vasp.fault(*FAULTS_BEFORE, FATAL)
    failed = devitrify(*command, timeout=1200)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "status 24" in failed.stdout + failed.stderr
    assert "see vasp.out" in " ".join((failed.stdout + failed.stderr).split())
    _require_struck(fake_vasp, FAULTS_BEFORE)
    folder = tmp_path / "salt"
    before = {work["fw_id"]: work for work in fireworks(folder)}
    (broken,) = [work["fw_id"] for work in before.values() if work["state"] == "FIZZLED"]

    fake_vasp.state.unlink()
    fake_vasp.fault(*FAULTS_AFTER)
    done = devitrify(*command, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    _require_struck(fake_vasp, FAULTS_AFTER)
    works = fireworks(folder)
    assert {work["state"] for work in works} == {"COMPLETED"}
    # nothing that was done is done again, and no job has a twin
    launches = {w["fw_id"]: len(w["launches"]) + len(w["archived_launches"]) for w in works}
    assert {number for number, count in launches.items() if count > 1} == {broken}
    names = Counter(w["name"] for w in works if w["spec"]["_category"] == "dft")
    assert set(names.values()) == {1}, names

    frames = read(folder / "frames.extxyz", index=":")
    times = [a.info["time"] for a in frames if a.info["stage"] == "liquid"]
    assert times == pytest.approx(np.arange(20.0, 401.0, 20.0))
    assert all(a.get_potential_energy() < 0 for a in frames)
    assert all(np.isfinite(a.get_forces()).all() for a in frames)
    assert "crystal structures by vasp energy" in done.stdout
    require_whole_chain(folder)


def _require_struck(fake_vasp: FakeVasp, faults: tuple[str, ...]) -> None:
    """Fail if a fault's run of VASP never came."""
    calls = json.loads(fake_vasp.state.read_text())["calls"]
    for fault in faults:
        kind, number = fault.split()[2], int(fault.split()[4])
        assert calls.get(kind, 0) >= number, f"{fault} never struck"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_few_labels_on_frames_of_a_fast_engine(
    fake_vasp: FakeVasp,
    devitrify: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    fault = "sigkill run static call 12"
    fake_vasp.fault(fault)
    settings = [
        "active.rounds=2", "active.labels=6", "active.label.batch=3", "train.options.members=2",
    ]  # fmt: skip
    options = [word for setting in settings for word in ("--set", setting)]
    done = devitrify(
        "run", "NaCl", *RUN, "--protocol", "economical", "--sampler", "pair", *options,
        "--folder", "salt", timeout=1100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    _require_struck(fake_vasp, (fault,))
    folder = tmp_path / "salt"
    works = fireworks(folder)
    assert {work["state"] for work in works} == {"COMPLETED"}
    # dynamics by VASP only for the snapshots of the convergence test; labels are static runs
    dft = Counter(work["name"] for work in works if work["spec"]["_category"] == "dft")
    kinds = {name.split()[0] for name in dft}
    # of a candidate that might be more symmetric than it was relaxed
    assert kinds - {"refine"} == {"convergence", "label", "check", "relax"}
    assert dft["label 1 to 3"] == dft["label 4 to 6"] == 2  # one in each round
    incars = _incars(folder)
    assert sum(tags["IBRION"] == "0" for tags in incars) == 1

    written = read(folder / "frames.extxyz", index=":")
    frames = [atoms for atoms in written if atoms.info["stage"] != "candidate"]
    assert len(frames) < len(written)  # the relaxations of candidates are labels, too
    # a potential of six frames soon stops where it knows nothing: fewer to choose from in round two
    assert 6 < len(frames) <= 12
    assert all(a.get_potential_energy() < 0 for a in frames)
    summary = json.loads((folder / "summary.json").read_text())
    assert len(frames) <= summary["reference_evaluations"] <= 12
    assert summary["candidates"][0]["max_force"] < 0.06


def _incars(folder: Path) -> list[dict[str, str]]:
    """Tags of all runs of VASP in a campaign."""
    texts = [gzip.decompress(path.read_bytes()).decode() for path in folder.rglob("INCAR.gz")]
    return [dict(line.split(" = ", 1) for line in text.strip().splitlines()) for text in texts]
