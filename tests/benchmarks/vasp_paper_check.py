"""Are the stages of a finished campaign those of the paper? Every number, from what was run."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from monty.json import MontyDecoder

from launch.report.campaign_results import CampaignResults
from tests.integration.launchpad import LaunchpadFolder
from workflows.documents.convergence import CheckDocument, ConvergenceDocument
from workflows.documents.dynamics import MeltingTemperatureDocument, SegmentDocument, VolumeDocument
from workflows.documents.prediction import PredictionDocument
from workflows.documents.search import SearchDocument
from workflows.documents.training import SampleDocument, TrainingDocument

#: Stages whose runs are the training set, in their order.
TRAJECTORY = ("liquid", "quench", "anneal")


@dataclass(frozen=True)
class Finding:
    """
    A number of the protocol, and what was found.

    Attributes
    ----------
    stage, what, expected, found : str
    right : bool
    """

    stage: str
    what: str
    expected: str
    found: str
    right: bool


class Campaign:
    """
    What a campaign left in its launchpad, its job store and its folders.

    Parameters
    ----------
    launchpad : LaunchpadFolder
        Running.
    name : str
        Of the campaign.
    """

    def __init__(self, launchpad: LaunchpadFolder, name: str) -> None:
        self.launchpad = launchpad
        self.store = launchpad.store()
        self.results = CampaignResults(self.store, name)

    @cached_property
    def segments(self) -> dict[str, list[SegmentDocument]]:
        """Segments of dynamics by stage, in the order in which they were run."""
        found: dict[str, list[SegmentDocument]] = {}
        query = {"output.@class": "SegmentDocument"}
        documents = self.store.query(query, ["output", "metadata"], sort={"completed_at": 1})
        for document in documents:
            output = {**document["output"], "frames": None}
            segment = SegmentDocument.model_construct(**MontyDecoder().process_decoded(
                {key: value for key, value in output.items() if not key.startswith("@")}
            ))  # fmt: skip
            found.setdefault(document["metadata"]["stage"], []).append(segment)
        return found

    @cached_property
    def fireworks(self) -> list[dict[str, Any]]:
        """All Fireworks."""
        return self.launchpad.fireworks()

    @cached_property
    def launches(self) -> list[dict[str, Any]]:
        """All launches that ended well."""
        return self.launchpad.find("launches", {"state": "COMPLETED"})

    def inputs(self, stage: str, name: str = "") -> list[dict[str, str]]:
        """Tags of the INCARs of a stage, with the mesh of the KPOINTS, one for each launch."""
        numbers = {
            firework["fw_id"]
            for firework in self.fireworks
            if firework["spec"].get("stage") == stage and firework["name"].startswith(name)
        }
        folders = [Path(run["launch_dir"]) for run in self.launches if run["fw_id"] in numbers]
        return [read_inputs(folder) for folder in folders if (folder / "INCAR.gz").exists()]

    def wall_seconds(self, stage: str) -> float:
        """Time of all launches of a stage."""
        numbers = {f["fw_id"] for f in self.fireworks if f["spec"].get("stage") == stage}
        return sum(run["runtime_secs"] for run in self.launches if run["fw_id"] in numbers)


def read_inputs(folder: Path) -> dict[str, str]:
    """Tags of a compressed INCAR, and the mesh of KPOINTS as ``MESH``."""
    lines = gzip.decompress((folder / "INCAR.gz").read_bytes()).decode().splitlines()
    tags = dict(line.split(" = ", 1) for line in lines if " = " in line)
    mesh = gzip.decompress((folder / "KPOINTS.gz").read_bytes()).decode().splitlines()[3]
    return {**tags, "MESH": "x".join(mesh.split())}


def findings(campaign: Campaign) -> Iterator[Finding]:
    """Compare a campaign with the paper's protocol, stage by stage."""
    yield from _search_of_conditions(campaign)
    yield from _trajectory(campaign)
    yield from _learning(campaign)


def _number(
    stage: str, what: str, expected: float, found: float, tolerance: float = 1e-6
) -> Finding:
    right = math.isclose(expected, found, rel_tol=0, abs_tol=tolerance)
    return Finding(stage, what, f"{expected:g}", f"{found:g}", right)


def _most(stage: str, what: str, limit: float, found: float) -> Finding:
    return Finding(stage, what, f"<= {limit:g}", f"{found:.3g}", found <= limit)


def _same(stage: str, what: str, expected: str, values: set[str]) -> Finding:
    return Finding(stage, what, expected, ", ".join(sorted(values)), values == {expected})


def _duration(campaign: Campaign, stage: str) -> float:
    """Length of all segments of a stage in ps."""
    return sum(segment.duration for segment in campaign.segments[stage]) / 1000


def _search_of_conditions(campaign: Campaign) -> Iterator[Finding]:
    """Convergence, melt, melting temperature and volume."""
    found = campaign.results
    convergence = found.newest(ConvergenceDocument)
    assert convergence is not None
    molten = found.newest(MeltingTemperatureDocument)
    assert molten is not None
    volume = found.newest(VolumeDocument)
    assert volume is not None
    chosen = convergence.plane_waves
    here = (chosen.cutoff, float(chosen.mesh[0]))
    steps = [c for c in convergence.changes if (c["cutoff"], c["mesh"]) == here]
    yield _number("converge", "points that agree with it", 4, len(steps))
    for what, limit in (("energy", 20), ("pressure", 10), ("force", 0.3)):
        yield _most("converge", f"largest change of {what}", limit, max(c[what] for c in steps))
    cutoff, mesh = f"{chosen.cutoff:.1f}", "x".join(map(str, chosen.mesh))
    for stage in ("melt", "melting_temperature", "volume", *TRAJECTORY):
        inputs = campaign.inputs(stage)
        runs = [tags for tags in inputs if tags.get("IBRION") == "0"]
        yield _same(stage, "cutoff (eV)", cutoff, {tags["ENCUT"] for tags in runs})
        yield _same(stage, "k-points", mesh, {tags["MESH"] for tags in runs})
        yield _same(stage, "time step (fs)", "2.0", {tags["POTIM"] for tags in runs})
        yield _same(stage, "functional", "Pe", {tags["GGA"] for tags in runs})
    yield _number("melt", "duration (ps)", 5, _duration(campaign, "melt"))
    melt = {f"{segment.temperature:g}" for segment in campaign.segments["melt"]}
    yield _same("melt", "temperature (K)", "4000", melt)
    points = molten.points
    ladder = [point.temperature for point in sorted(points, key=lambda p: -p.temperature)]
    expected = [3500.0 - 500.0 * rung for rung in range(len(ladder))]
    yield Finding("T_m", "ladder (K)", _join(expected), _join(ladder), ladder == expected)
    yield _number("T_m", "ps at each rung", 5, _duration(campaign, "melting_temperature")
                  / len(ladder))  # fmt: skip
    liquid = [point.temperature for point in points if point.liquid]
    yield _number("T_m", "lowest liquid (K)", min(liquid),
                  molten.melting_temperature)  # fmt: skip
    yield _most("volume", "pressure (kbar)", 2, abs(volume.pressure))
    yield _most("volume", "its error (kbar)", 2, volume.pressure_error)


def _trajectory(campaign: Campaign) -> Iterator[Finding]:
    """Liquid, quench, anneal, and the frames taken from them."""
    found = campaign.results
    molten = found.newest(MeltingTemperatureDocument)
    assert molten is not None
    sample = found.newest(SampleDocument)
    assert sample is not None
    melting = molten.melting_temperature
    quench = (melting - 300) / 100
    for stage, duration in zip(TRAJECTORY, (20, quench, 15), strict=True):
        yield _number(stage, "duration (ps)", duration, _duration(campaign, stage))
        frames = sample.frames_by_stage[stage]
        yield _number(stage, "frames, one in 20 fs", 50 * duration, frames)
    for stage, temperature in (("liquid", melting), ("anneal", 500.0)):
        kelvin = [t for segment in campaign.segments[stage] for t in segment.temperatures]
        mean = sum(kelvin[len(kelvin) // 5 :]) / len(kelvin[len(kelvin) // 5 :])
        yield _number(stage, "mean temperature (K)", temperature, mean, 0.03 * temperature)
    ramp = [t for segment in campaign.segments["quench"] for t in segment.temperatures]
    line = [melting - 100 * 0.02 * (i + 0.5) for i in range(len(ramp))]
    off = max(abs(here - there) for here, there in zip(ramp, line, strict=True))
    yield _most("quench", "distance from the ramp (K)", 0.1 * melting, off)
    yield _number("quench", "end (K)", 300, campaign.segments["quench"][-1].end_temperature)
    total = 50 * (35 + quench)
    yield _number("sample", "frames", total, sample.n_frames + sample.frames_left_out)


def _learning(campaign: Campaign) -> Iterator[Finding]:
    """Check, training, search and candidates."""
    found = campaign.results
    check = found.newest(CheckDocument)
    assert check is not None
    training = found.newest(TrainingDocument)
    assert training is not None
    search = found.newest(SearchDocument)
    assert search is not None
    ranking = found.newest(PredictionDocument)
    assert ranking is not None
    yield _number("check", "frames", 30, check.n_frames)
    checks = campaign.inputs("check", "check frames")
    yield _same("check", "cutoff (eV)", "700.0", {tags["ENCUT"] for tags in checks})
    yield _same("check", "k-points", "3x3x3", {tags["MESH"] for tags in checks})
    potential = training.potential
    yield _number("train", "symmetry functions", 132, potential.projection.shape[1])
    yield _number("train", "radial cutoff (Å)", 6, potential.functions.radial_cutoff)
    yield _number("train", "angular cutoff (Å)", 6, potential.functions.angular_cutoff)
    yield _most("train", "energy RMSE (meV/atom)", 10, training.energy_rmse)
    yield _most("train", "force RMSE (eV/Å)", 0.2, training.force_rmse)
    yield _most("train", "stress RMSE (kbar)", 10, training.stress_rmse)
    share = training.n_validation / (training.n_validation + training.n_training)
    yield _number("train", "validation share", 0.1, share, 0.005)
    yield _number("search", "generations", 120, search.generations)
    relaxed = [c for c in ranking.candidates if c.converged]
    yield Finding("candidates", "relaxed", "10 to 20", str(len(relaxed)), 10 <= len(relaxed) <= 20)
    yield _most("candidates", "force (eV/Å)", 0.02, max(c.max_force or 0.0 for c in relaxed))
    yield _most("candidates", "stress (kbar)", 4, max(c.max_stress or 0.0 for c in relaxed))


def _join(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
