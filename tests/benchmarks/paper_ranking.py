"""A judging set that costs next to nothing: the candidates of a finished campaign, known phases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ase.io import read

from nnp.evaluation import predict
from nnp.formats.files import load_potential
from nnp.frames import Frames
from search.symmetry import find_space_group
from tests.benchmarks.paper_facts import Facts
from tests.benchmarks.phases import Phase, candidate_limits, engine_relaxation
from workflows.conversion import to_atoms
from workflows.documents.judge import JudgePoint
from workflows.stages.comparison import (
    KNOWN,
    TestCrystal,
    distinct_crystals,
    errors_of,
    in_training,
    labelled,
    lowest_of,
)

#: Origin of candidates in a judging set; stage of the frames of their own relaxations.
CANDIDATE = "candidate"
#: Steps in which a known phase, near its minimum by the engine already, has to come to it.
MAX_STEPS = 300


def judge_by_ranking(campaign: Path, known: Sequence[Path], engine: str) -> Facts:
    """
    Judge the last potential of a campaign by its own candidates and by known phases.

    The candidates have their energies from the campaign. The potential has chosen them, and has
    learnt from others like them: it is the easiest judging set that there is.

    Parameters
    ----------
    campaign : Path
        Folder of a finished campaign; only files of its report are read.
    known : sequence of Path
        Files of known phases; the engine relaxes them.
    engine : str
        The campaign's.

    Returns
    -------
    dict
        As :class:`~workflows.documents.judge.JudgeDocument` has it, as far as it goes.
    """
    potential = load_potential(campaign / "potential.nnp")
    crystals = distinct_crystals([*_known(known, engine), *_candidates(campaign)])
    frames = Frames.read(campaign / "frames.extxyz")
    training = frames[[k for k, stage in enumerate(frames.stages) if stage != CANDIDATE]]
    seen = in_training(crystals, training)
    found = predict(potential, labelled(crystals))
    points = [
        JudgePoint(
            label=crystal.label,
            origin=crystal.origin,
            formula_units=0,
            space_group=find_space_group(crystal.atoms).symbol,
            reference_energy=crystal.energy,
            potential_energy=float(energy) / len(crystal.atoms),
            uncertainty=float(uncertainty),
            covered=float("nan"),
            in_training=has_seen,
        )
        for crystal, energy, uncertainty, has_seen in zip(
            crystals, found.energies, found.uncertainties, seen, strict=True
        )
    ]
    tested = [point for point in points if not point.in_training]
    return {
        "n_tested": len(tested),
        "n_in_training": len(points) - len(tested),
        "points": [point.model_dump(exclude={"covered", "version"}) for point in points],
        "single_points": errors_of(tested, relaxed=False),
        "relaxed": None,
        "earlier": [],
        "lowest": lowest_of(points),
        "coverage": {},
        "potential_seconds": None,
    }


def _candidates(campaign: Path) -> list[TestCrystal]:
    """Read candidates as relaxed, with the engine's energies at these geometries."""
    ranked = json.loads((campaign / "summary.json").read_text())["candidates"]
    crystals = []
    for row in ranked:
        energy = row["relaxed_energy"] if row["relaxed_energy"] is not None else row["energy"]
        (path,) = (campaign / "structures" / "relaxed").glob(f"{row['rank']:02d}_*.cif")
        label = f"{CANDIDATE} {row['rank']}"
        crystals.append(TestCrystal(label, CANDIDATE, read(path), energy))
    return crystals


def _known(paths: Sequence[Path], engine: str) -> list[TestCrystal]:
    """Relax known phases by the engine."""
    crystals = []
    for path in paths:
        atoms = to_atoms(Phase.read(path).structure)
        relaxed = engine_relaxation(atoms, engine, candidate_limits(MAX_STEPS))
        crystals.append(TestCrystal(path.stem, KNOWN, atoms, float(relaxed["energy"])))
    return crystals
