"""Random search on the potential of a finished campaign, to compare with."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from pymatgen.core import Structure

from search.create.registry import RANDOM, default_shares
from search.run.driver import load
from search.run.islands import island_paths
from tests.benchmarks.campaigns import DEVITRIFY, Times, run_timed
from tests.benchmarks.phases import Phase, engine_relaxation
from tests.benchmarks.solve_found import Found, Minimum, Relaxation
from tests.benchmarks.training import Kept
from workflows.chains.protocol_numbers import DEFAULT_PROTOCOL
from workflows.chains.protocols import find_protocol
from workflows.conversion import to_atoms, to_structure
from workflows.documents.search import SearchCandidate
from workflows.stages.candidates import CandidateMaker
from workflows.stages.search_labels import pick

#: In the folder of a random search that has ended: what it has found.
FOUND = "found.json"


def search_randomly(
    phase: Phase, seed: int, campaign: Path, found: Found, folder: Path, engine: str
) -> tuple[Found, Times]:
    """
    Relax as many random crystals on the campaign's last potential as the campaign has relaxed.

    The engine then relaxes as many of the best as it has relaxed in the campaign. What is there
    already is not computed again.

    Parameters
    ----------
    phase : Phase
        What is looked for.
    seed : int
        Of the random crystals.
    campaign : Path
        Folder of the finished campaign.
    found : Found
        What it has found.
    folder : Path
        Of the random search.
    engine : str
        Of the campaign.

    Raises
    ------
    RuntimeError
        If the search fails.
    """
    if has_searched(folder) and (before := Found.load(folder / FOUND)) is not None:
        return before, Times.of(folder)
    searched = folder / "search"
    number = max(1, len(found.relaxations))
    if not (searched / "summary.json").exists():
        command = search_command(phase, seed, campaign / "potential.nnp", found, searched, number)
        if run_timed(command, searched).status:
            raise RuntimeError(f"the random search failed, see {searched}.log")
    candidates = _candidates(searched)
    maker = find_protocol(DEFAULT_PROTOCOL).candidates
    chosen = pick(candidates, number)
    relaxed = _relax(chosen, maker, engine, Kept(folder / "relaxed"))
    times = Times.of(searched)
    times.wall += sum(one["wall"] for one in relaxed)
    times.cpu += sum(one["cpu"] for one in relaxed)
    ends = [Minimum(Structure.from_dict(one["relaxed"]), one["energy"]) for one in relaxed]
    (state,) = (load(path) for path in island_paths(searched, 1))
    random = Found(
        ranking=sorted(ends, key=lambda minimum: minimum.energy),
        relaxations=[
            Relaxation(candidate.structure, end.structure, end.energy)
            for candidate, end in zip(chosen, ends, strict=True)
        ],
        candidates=[Minimum(c.structure, c.energy) for c in candidates],
        archive=[Minimum(to_structure(m.structure), m.energy) for m in state.archive.members],
        unknown=[Minimum(to_structure(m.structure), m.energy) for m in state.unknown.members],
        structures=state.structures,
        evaluations=sum(one["steps"] + 1 for one in relaxed),
    )
    times.save(folder)
    random.save(folder / FOUND)
    return random, times


def has_searched(folder: Path) -> bool:
    """Whether a random search has come to its end."""
    return (folder / FOUND).exists()


def search_command(
    phase: Phase, seed: int, potential: Path, found: Found, folder: Path, best: int
) -> list[str]:
    """
    Command line of the random search, with the limits of the campaign's own.

    Parameters
    ----------
    phase : Phase
        What is looked for.
    seed : int
        Of the random crystals.
    potential : Path
        File of the potential.
    found : Found
        By the campaign: how many structures, and the volume to begin with.
    folder : Path
        Of the results.
    best : int
        Structures that the engine is going to relax, of three times as many that are reported.
    """
    relaxer = find_protocol(DEFAULT_PROTOCOL).search.relaxer
    settings = {
        **{f"evolution.shares.{name}": 0 for name in default_shares() if name != RANDOM},
        "evolution.adjust_shares": False,
        "evolution.restart_after": "none",
        "relaxer.max_force": relaxer.limits.max_force,
        "relaxer.max_stress": relaxer.limits.max_stress,
        "relaxer.max_steps": relaxer.limits.max_steps,
    }
    if found.volume is not None:
        settings["evolution.volume_per_atom"] = found.volume
    command = [
        *DEVITRIFY, "search", str(potential), phase.formula, "--z", str(phase.z),
        "--structures", str(found.structures), "--seed", str(seed), "-o", str(folder),
        "--best", str(3 * best),
    ]  # fmt: skip
    for name, value in settings.items():
        command += ["--set", f"{name}={str(value).lower()}"]
    return command


def _candidates(folder: Path) -> list[SearchCandidate]:
    """Structures that the search reports, best first."""
    rows = json.loads((folder / "summary.json").read_text())["best"]
    files = {int(re.match(r"\d+", path.name)[0]): path for path in folder.glob("[0-9]*_*.cif")}  # type: ignore[index]
    return [
        SearchCandidate(
            structure=Structure.from_file(files[row["rank"]]),
            energy=row["energy"],
            uncertainty=row["uncertainty"],
            formula_units=row["formula_units"],
            found_by=row["operator"],
            found_at=row["structure"],
            converged=row["converged"],
        )
        for row in rows
    ]


def _relax(
    chosen: list[SearchCandidate], maker: CandidateMaker, engine: str, kept: Kept
) -> list[dict[str, Any]]:
    """Relax by the engine, each once."""
    limits = maker.limits_of(len(chosen))

    def compute(candidate: SearchCandidate) -> dict[str, Any]:
        wall, cpu = time.monotonic(), time.process_time()
        relaxed = engine_relaxation(to_atoms(candidate.structure), engine, limits)
        return {
            **relaxed,
            "wall": time.monotonic() - wall,
            "cpu": time.process_time() - cpu,
        }

    return [
        kept(f"{number:03d}", lambda candidate=candidate: compute(candidate))
        for number, candidate in enumerate(chosen, start=1)
    ]
