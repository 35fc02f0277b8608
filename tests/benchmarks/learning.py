"""
What rounds of learning bring: errors near the bottom, energies reached, evaluations and time.

    python -m tests.benchmarks.learning LiAlCl4:4 Mg2SiO4:4 --seeds 0 1 2 --known FOLDER -o OUT
    python -m tests.benchmarks.learning LiAlCl4:4 --rounds off -o OUT
    python -m tests.benchmarks.learning LiAlCl4:4 --holes 5000 -o OUT

Runs ``devitrify run FORMULA --z Z --seed SEED`` with CHGNet as the reference for each formula and
seed, in folders that a second call resumes, and prints for each campaign

- over candidates within 50 meV/atom of the best, single points of the potential at the engine's
  geometries: rank correlation and mean error, of the last potential and of the one before the
  first round;
- the lowest energy of the engine beside the known phases in FOLDER (``FORMULA_NAME.vasp``, static
  energies by the same engine after relaxation), and the potential's differences between them;
- evaluations of the engine by stage and round; structures relaxed; wall and CPU seconds.

``--rounds off`` makes the same campaigns without rounds and with ``--generations`` of the search in
their place. ``--holes N`` searches N structures on the last potential of finished campaigns, labels
all minima that are reported, and counts those that lie more than three expected errors below the
engine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read
from pymatgen.core import Structure

from nnp.evaluation import predict
from nnp.formats.files import load_potential
from nnp.frames import Frames
from tests.benchmarks.campaigns import DEVITRIFY, Times, is_finished, run_timed
from tests.benchmarks.phases import same_phase
from tests.benchmarks.prediction import relax_known
from tests.benchmarks.training import Kept
from workflows.engines.registry import find_engine
from workflows.stages.agreement import Gate, single_points

#: Reported by a search for holes, and labelled.
N_MINIMA = 300


def campaign(formula: str, z: str, seed: int, folder: Path, options: Sequence[str]) -> None:
    """Run or resume one campaign; wall and CPU seconds of all calls are kept beside it."""
    if is_finished(folder):
        return
    command = [*DEVITRIFY, "run", formula, "--z", z, "--seed", str(seed)]
    times = run_timed([*command, "-f", str(folder), *options], folder)
    if times.status:
        print(f"{folder.name}: ended with status {times.status}, see {folder.name}.log", flush=True)


def known_phases(formula: str, folder: Path | None, out: Path) -> dict[str, Structure]:
    """Known phases relaxed by the engine, once, with their energies (eV/atom) as a property."""
    kept = Kept(out / "known")
    found = {}
    for path in sorted(folder.glob(f"{formula}_*.vasp")) if folder else []:
        document = kept(path.stem, lambda p=path: _relaxed(p).as_dict())
        found[path.stem.removeprefix(f"{formula}_")] = Structure.from_dict(document)
    return found


def _relaxed(path: Path) -> Structure:
    ((structure, energy),) = relax_known([path], "chgnet", 500).values()
    structure.properties["energy"] = energy
    return structure


def describe(folder: Path, known: dict[str, Structure]) -> dict[str, Any]:
    """Figures of one campaign."""
    summary = json.loads((folder / "summary.json").read_text())
    candidates = summary["candidates"]
    energies = np.array([c["energy"] for c in candidates], dtype=float)
    points = np.array([c["single_point"] for c in candidates], dtype=float)
    last = Gate().compare(energies, points)
    rounds = summary.get("rounds", [])
    labels = summary.get("reference_evaluations", 0)
    times = Times.of(folder)
    row: dict[str, Any] = {
        "best": energies[0],
        "space_group": candidates[0]["space_group"],
        "n": last.n,
        "spearman": last.spearman,
        "ordered": last.ordered,
        "mean_error": last.mean_error,
        "deviation": last.deviation,
        "before": summary.get("first_potential"),
        "rounds": [
            (r["reference_evaluations"], r["before"]["mean_error_meV_atom"]) for r in rounds
        ],
        "ended": summary.get("rounds_ended"),
        "first_labels": labels - sum(r["reference_evaluations"] for r in rounds),
        "relaxations": summary["relaxation_evaluations"],
        "structures_of_the_last_search": summary["structures_relaxed"],
        "wall": times.wall,
        "cpu": times.cpu,
    }
    row["evaluations"] = labels + row["relaxations"]
    if known:
        row |= _against_known(folder, candidates, energies, known)
    return row


def _against_known(
    folder: Path, candidates: list[dict], energies: np.ndarray, known: dict[str, Structure]
) -> dict[str, Any]:
    """How the ranking stands to the known phases, and the potential's differences between them."""
    reference = {name: float(phase.properties["energy"]) for name, phase in known.items()}
    lowest = min(reference, key=reference.__getitem__)
    files = sorted((folder / "structures").glob("*.cif"))
    ranks = [k for k, f in enumerate(files, 1) if same_phase(Structure.from_file(f), known[lowest])]
    points, _ = single_points(list(known.values()), load_potential(folder / "potential.nnp"))
    predicted = dict(zip(known, points, strict=True))
    return {
        "above_known": 1e3 * (energies[0] - reference[lowest]),
        "known_rank": ranks[0] if ranks else None,
        "differences": {
            name: (
                round(1e3 * (reference[name] - reference[lowest]), 1),
                round(1e3 * (predicted[name] - predicted[lowest]), 1),
            )
            for name in known
        },
    }


def holes(folder: Path, formula: str, z: str, structures: int) -> dict[str, Any]:
    """Search on the last potential and label what is reported."""
    kept = Kept(folder.parent / f"{folder.name}-holes")
    return kept(f"{structures}", lambda: _count_holes(folder, formula, z, structures))


def _count_holes(folder: Path, formula: str, z: str, structures: int) -> dict[str, Any]:
    out = folder.parent / f"{folder.name}-search"
    command = [
        *DEVITRIFY, "search", str(folder / "potential.nnp"), formula,
        "--z", z, "--structures", str(structures), "--seed", "7",
        "-o", str(out), "--best", str(N_MINIMA),
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    minima = [read(path) for path in sorted(out.glob("**/*.cif"))]
    frames = Frames.from_atoms(minima)
    found = predict(load_potential(folder / "potential.nnp"), frames)
    calculator = find_engine("chgnet").build()
    errors = []
    for atoms, energy in zip(minima, found.energies, strict=True):
        atoms.calc = calculator
        errors.append((energy - atoms.get_potential_energy()) / len(atoms))
    ratios = np.array(errors) / found.uncertainties
    return {
        "structures": structures,
        "minima": len(minima),
        "holes": int((ratios < -3).sum()),
        "deepest_sigma": float(ratios.min()),
        "mean_error": 1e3 * float(np.mean(errors)),
        "root_mean_square_ratio": float(np.sqrt(np.mean(ratios**2))),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    parser.add_argument("targets", nargs="+", metavar="FORMULA:Z")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--known", type=Path)
    parser.add_argument("--rounds", choices=("on", "off"), default="on")
    parser.add_argument("--generations", type=int, default=400, help="of a search without rounds")
    parser.add_argument("--holes", type=int)
    parser.add_argument("-o", "--out", type=Path, default=Path("learning"))
    arguments = parser.parse_args()
    options = []
    if arguments.rounds == "off":
        options = ["--set", "improve.rounds=0"]
        options += ["--set", f"search.evolution.generations={arguments.generations}"]
        options += ["--set", "search.evolution.patience=none"]
    for target in arguments.targets:
        formula, _, z = target.partition(":")
        known = known_phases(formula, arguments.known, arguments.out)
        for seed in arguments.seeds:
            folder = arguments.out / f"{formula}-{seed}-{arguments.rounds}"
            campaign(formula, z, seed, folder, options)
            if not (folder / "summary.json").exists():
                continue
            row = describe(folder, known)
            if arguments.holes:
                row["holes"] = holes(folder, formula, z, arguments.holes)
            print(f"{folder.name}: {json.dumps(row, default=float)}", flush=True)


if __name__ == "__main__":
    main()
