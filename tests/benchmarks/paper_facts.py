"""What a campaign has of the paper's figures, as JSON types: read once, after each step."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units
from pymatgen.core import Structure

from launch.commands.shared.campaign_results import read_store
from launch.database.connections import launchpad
from launch.local.campaign import Campaign
from launch.local.status import ANSWER_SECONDS, campaign_status, read_database
from launch.report.campaign_results import CampaignResults
from nnp.evaluation import predict
from nnp.formats.files import load_potential
from nnp.frames import Frames
from nnp.storage.files import write_atomically
from tests.benchmarks.campaigns import Times, current_commit
from workflows.chains.protocols import find_protocol
from workflows.conversion import to_atoms
from workflows.documents.convergence import CheckDocument, ConvergenceDocument
from workflows.documents.decoding import decode
from workflows.documents.dynamics import MeltingTemperatureDocument, VolumeDocument
from workflows.documents.improvement import ImproveDocument
from workflows.documents.judge import JudgeDocument
from workflows.documents.prediction import PredictionDocument
from workflows.documents.search import SearchDocument
from workflows.documents.training import LearningCurveDocument, SampleDocument, TrainingDocument
from workflows.engines.registry import find_engine
from workflows.settings import list_settings

if TYPE_CHECKING:
    from jobflow import JobStore

Facts = dict[str, Any]

#: Groups of settings that say how long and how large the paper's own steps are.
COMPARED = (
    "pack.", "melt.", "melting_temperature.", "volume.", "liquid.", "quench.", "anneal.",
    "sample.", "active.rounds", "active.labels", "train.options.", "search.evolution.generations",
    "search.evolution.population", "replicas", "candidates.n_candidates", "candidates.max_",
)  # fmt: skip
#: A relaxation of the search that gives the judging set.
OF_A_GENERATION = re.compile(r"generation \d+ structure \d+")
#: Figures that a section shows, of those in the campaign's folder.
PLOTS = ("judge", "judge_coverage", "judge_rounds", "learning_curve", "melting_temperature")


def facts_of(folder: Path) -> Facts:
    """
    Read all that a campaign has so far.

    Parameters
    ----------
    folder : Path
        Of a campaign that does not run.
    """
    campaign = Campaign.open(folder)
    status = campaign_status(folder)
    document = campaign.document
    found: Facts = {
        "formula": document.formula,
        "engine": document.engine,
        "protocol": document.protocol,
        "changed": changed_settings(document.settings),
        "stages": {stage.name: stage.elapsed for stage in status.stages},
        "times": {"wall": Times.of(folder).wall, "cpu": Times.of(folder).cpu},
        "commits": Times.of(folder).commits or [current_commit()],
    }
    found |= read_store(campaign, None, lambda store: _documents(store, campaign.id))
    found["reference_search"] |= read_database(
        campaign, None, lambda uri, _: _relaxations(uri, document.database)
    )
    return found


def changed_settings(settings: dict[str, Any]) -> list[tuple[str, Any, Any, str]]:
    """
    Say which numbers of the paper's steps are others in a campaign.

    Parameters
    ----------
    settings : dict
        Of the campaign, by their paths.

    Returns
    -------
    list of tuple
        Path, the campaign's value, the paper's, and the unit.
    """
    paper = list_settings(find_protocol("paper"))
    return [
        (one.path, settings[one.path], one.value, one.unit)
        for one in paper
        if one.path.startswith(COMPARED)
        and one.path in settings
        and not one.path.endswith("side_by_side")
        and json.loads(json.dumps(one.value)) != settings[one.path]
    ]


def _documents(store: JobStore, campaign: str) -> Facts:
    """Figures of the documents that there are."""
    results = CampaignResults(store, campaign)
    found: Facts = {}
    readers: tuple[tuple[str, type, Callable[[Any], Any]], ...] = (
        ("convergence", ConvergenceDocument, _convergence),
        ("melt", MeltingTemperatureDocument, _melt),
        ("volume", VolumeDocument, lambda d: d.summary()),
        ("sample", SampleDocument, _sample),
        ("check", CheckDocument, lambda d: d.model_dump(exclude={"plane_waves", "version"})),
        ("training", TrainingDocument, _training),
        ("curve", LearningCurveDocument, lambda d: [one.model_dump() for one in d.points]),
        ("round", ImproveDocument, _round),
        ("candidates", PredictionDocument, _candidates),
        ("judge", JudgeDocument, lambda d: d.model_dump(mode="json", exclude={"frames"})),
    )
    for name, kind, read in readers:
        document = results.newest(kind)
        found[name] = None if document is None else read(document)
    searches = [
        decode(store.get_output(uuid, which="last", load=True))
        for uuid in results.jobs_of(SearchDocument)
    ]
    found["searches"] = [
        {
            "generations": one.generations,
            "structures": one.n_structures,
            "cpu_seconds": one.cpu_seconds,
            "best_energy": one.best_energy,
        }
        for one in searches
        if one.energies_of == "potential"
    ]
    judged = results.newest(JudgeDocument)
    steps = 0 if judged is None else judged.reference_evaluations.get("search to its limits", 0)
    found["reference_search"] = {"steps": steps}
    return found


def _convergence(document: ConvergenceDocument) -> Facts:
    return {"plane_waves": str(document.plane_waves), "changes": document.changes}


def _melt(document: MeltingTemperatureDocument) -> Facts:
    tried = {f"{point.temperature:.0f}": point.liquid for point in document.points}
    return {**document.summary(), "tried": tried}


def _sample(document: SampleDocument) -> Facts:
    """
    Frames, and how high the glass is: potential energies of the anneal without 3/2 k_B T.

    Where the engine only labels, some of the frames are those of another engine's glass.
    """
    frames = document.frames
    chosen = [stage == "anneal" for stage in frames.stages]
    energies, temperatures = frames.energies / frames.counts, frames.temperatures
    glass = None
    if any(chosen) and document.evaluations is None:
        thermal = 1.5 * units.kB * temperatures[chosen]
        glass = float(np.mean(energies[chosen] - thermal))
    return {
        "frames": document.n_frames,
        "atoms": document.n_atoms,
        "by_stage": document.frames_by_stage,
        "evaluations": document.evaluations,
        "glass": glass,
    }


def _training(document: TrainingDocument) -> Facts:
    return {
        **document.summary()["validation_rmse"],
        "training": document.n_training,
        "validation": document.n_validation,
        "converged": document.converged,
        "epochs": document.epochs,
    }


def _round(document: ImproveDocument) -> Facts:
    """What the engine made of the first search's best structures."""
    number = document.rounds[0].n_relaxed if document.rounds else 0
    first = document.relaxed[:number]
    return {
        "energies": [one.energy for one in first],
        "converged": [one.converged for one in first],
        "labels": [dict(one.labels_by_kind) for one in document.rounds],
        "evaluations": [one.evaluations for one in document.rounds],
        "reason": document.reason,
    }


def _candidates(document: PredictionDocument) -> list[Facts]:
    return [
        {
            "energy": one.energy,
            "single_point": one.single_point,
            "space_group": one.space_group,
            "z": one.formula_units,
            "converged": one.converged,
        }
        for one in document.candidates
        if one.energy is not None
    ]


def _relaxations(uri: str, database: str) -> Facts:
    """Relaxations of the search by the reference engine: how many, in how many seconds."""
    pad = launchpad(uri, database, patience=ANSWER_SECONDS)
    try:
        names = pad.fireworks.find({}, {"_id": 0, "fw_id": 1, "name": 1})
        ids = {one["fw_id"]: one["name"] for one in names if OF_A_GENERATION.match(one["name"])}
        rows = pad.launches.find({}, {"_id": 0, "fw_id": 1, "time_start": 1, "time_end": 1})
        seconds = [
            (_moment(row["time_end"]) - _moment(row["time_start"]))
            for row in rows
            if row["fw_id"] in ids and row.get("time_end") and row.get("time_start")
        ]
    finally:
        pad.connection.close()
    generations = {name.split()[1] for name in ids.values()}
    return {"generations": len(generations), "relaxations": len(ids), "seconds": sum(seconds)}


def _moment(value: Any) -> float:
    from datetime import datetime

    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found.timestamp()


def evaluation_times(potential: Path, engine: str, structure: Structure) -> list[Facts]:
    """
    CPU seconds of energy, forces and stress in cells of growing size.

    Parameters
    ----------
    potential : Path
        File of the potential.
    engine : str
        Name of one that has a calculator here.
    structure : Structure
        A crystal; it is repeated.
    """
    network, calculator = load_potential(potential), find_engine(engine).build()
    rows = []
    for repeat in ((1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2)):
        atoms = to_atoms(structure).repeat(repeat)
        frames = Frames.from_atoms([atoms])
        atoms.calc = calculator

        def by_engine(atoms: Any = atoms) -> None:
            atoms.calc.reset()
            atoms.get_potential_energy()
            atoms.get_stress()

        rows.append(
            {
                "atoms": len(atoms),
                "potential": _least(lambda f=frames: predict(network, f)),
                "reference": _least(by_engine, 2),
            }
        )
    return rows


def _least(call: Callable[[], object], times: int = 3) -> float:
    """Least CPU seconds of some calls, the first one apart."""
    call()
    seconds = []
    for _ in range(times):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return min(seconds)


def keep(facts: Facts, name: str, campaign: Path, folder: Path) -> None:
    """
    Keep facts, and the figures that a campaign has by now.

    Parameters
    ----------
    facts : dict
    name : str
        Of the step.
    campaign : Path
        Its folder.
    folder : Path
        Where they are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for plot in PLOTS:
        source = campaign / "plots" / f"{plot}.png"
        if source.exists():
            shutil.copyfile(source, folder / f"{name}-{plot}.png")
    write_atomically(folder / f"{name}.json", json.dumps(facts, indent=1) + "\n")


def kept(names: Sequence[str], folder: Path) -> dict[str, Facts]:
    """
    Read what is kept of some steps.

    Parameters
    ----------
    names : sequence of str
    folder : Path
        Where they are kept.
    """
    paths = {name: folder / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
