"""
How many reference labels a potential needs when a fast engine makes the trajectories.

    python -m tests.benchmarks.economical selection LiAlCl4 -o FOLDER
    python -m tests.benchmarks.economical labels LiAlCl4 -o FOLDER --budgets 25 50 100 200 \
        --structures CIF ...

``selection``  validation error of potentials trained on few of the frames that CHGNet's own
               dynamics made, chosen evenly, at random, by CUR decomposition and as farthest points;
``labels``     CHGNet as the reference and the pair potential as the sampler: for every budget a
               campaign ``devitrify run FORMULA --protocol economical`` of two rounds with so many
               labels each, beside the paper's protocol, whose frames are those of CHGNet's own
               dynamics kept in ``tests/benchmarks/data`` (48 atoms, one frame in ten steps).

All potentials are trained alike, one network each, and judged on frames of CHGNet's dynamics that
none of them was trained on and, with ``--structures``, on single points of crystals that CHGNet
has relaxed. What has been computed is kept in the folder; the same command resumes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read
from numpy.typing import NDArray
from scipy.stats import spearmanr

from nnp.analysis.selection import farthest_points, frame_features
from nnp.descriptors import SymmetryFunctions
from nnp.evaluation import evaluate
from nnp.frames import Frames
from nnp.training.split import block_split
from nnp.training.trainer import TrainingOptions, train
from tests.benchmarks.frames import load
from tests.benchmarks.training import Kept, text
from workflows.engines.registry import find_engine

OPTIONS = TrainingOptions(
    split="random", optimizer="lbfgs", stop="converged", patience=100, max_epochs=500
)

#: The campaigns: two rounds, about the quick protocol's durations, and only the labelled frames.
SETTINGS = {
    "until": "sample",
    "pack.n_atoms": 48,
    "melt.duration": 0.6,
    "melt.corrections": 2,
    "melting_temperature.highest": 3000,
    "volume.duration": 1,
    "volume.max_pressure": 5,
    "volume.max_error": 5,
    "volume.max_rounds": 5,
    "liquid.duration": 2,
    "quench.rate": 500,
    "anneal.duration": 1,
    "train.options.members": 2,
    "train.options.max_epochs": 300,
}

#: Steps between the frames in ``tests/benchmarks/data``.
STRIDE = 10


def cur(features: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """
    Choose rows by their weight in the leading left singular vector of what is left.

    After each choice its direction is projected out of all rows; when nothing is left, the rows
    not yet chosen begin anew (Imbalzano et al., J. Chem. Phys. 148, 241730 (2018)).
    """
    start = (features - features.mean(axis=0)).T
    rest, chosen = start.copy(), []
    while len(chosen) < number:
        axes = np.linalg.eigh(rest @ rest.T)[1]
        weights = (axes[:, -1] @ rest) ** 2
        weights[chosen] = -1.0
        best = int(np.argmax(weights))
        chosen.append(best)
        direction = rest[:, best].copy()
        if direction @ direction > 1e-9:
            rest -= np.outer(direction, direction @ rest) / (direction @ direction)
        if len(chosen) % len(rest) == 0:
            rest = start.copy()
            rest[:, chosen] = 0.0
    return np.array(chosen)


def fit(frames: Frames, judges: dict[str, Frames]) -> dict[str, Any]:
    """Train one network and judge it."""
    cpu = time.process_time()
    result = train(frames, OPTIONS, seed=0)
    found: dict[str, Any] = {"frames": len(frames), "cpu": time.process_time() - cpu}
    for name, judge in judges.items():
        evaluation = evaluate(result.potential, judge)
        errors = evaluation.energy_errors
        found[name] = {
            **asdict(evaluation.errors),
            "largest": 1e3 * float(np.abs(errors).max()),
            "mean_absolute": 1e3 * float(np.abs(errors).mean()),
            "shifted": 1e3 * float(np.abs(errors - errors.mean()).mean()),
            "spearman": float(
                spearmanr(
                    judge.energies / judge.counts, judge.energies / judge.counts + errors
                ).statistic
            ),
        }
    return found


def show(name: str, found: dict[str, Any], evaluations: int) -> None:
    """Print one line: evaluations of the reference, errors on frames and on crystals."""
    line = f"{name:<34} {evaluations:6d} evaluations: {text(found['frames of dynamics'])}"
    if crystals := found.get("crystals"):
        line += (
            f"; crystals: MAE {crystals['mean_absolute']:5.1f} meV/atom, "
            f"{crystals['shifted']:5.1f} without the mean shift, "
            f"rank correlation {crystals['spearman']:.3f}"
        )
    print(line, flush=True)


def selection(formula: str, kept: Kept, numbers: list[int]) -> None:
    """Print the errors by how frames were chosen."""
    frames = load(formula)
    rest, held_out = block_split(frames, 0.15, seed=99)
    pool, judges = frames[rest], {"frames of dynamics": frames[held_out]}
    features = frame_features(SymmetryFunctions.standard(frames.elements), pool)
    ways: dict[str, Callable[[int], NDArray[np.int64]]] = {
        "evenly": lambda n: np.linspace(0, len(pool) - 1, n).round().astype(int),
        "at random (1)": lambda n: np.random.default_rng(0).choice(len(pool), n, replace=False),
        "at random (2)": lambda n: np.random.default_rng(1).choice(len(pool), n, replace=False),
        "by CUR decomposition": partial(cur, features),
        "as farthest points": partial(farthest_points, features),
    }
    for number in numbers:
        for name, choose in ways.items():
            found = kept(
                f"{formula}-{number}-{name}",
                lambda choose=choose, number=number: fit(pool[choose(number)], judges),
            )
            show(f"{number} {name}", found, number)


def campaign(formula: str, labels: int, folder: Path) -> Frames:
    """Run or resume a campaign of two rounds; its labelled frames, round by round."""
    settings = [f"--set={path}={value}" for path, value in SETTINGS.items()]
    subprocess.run(
        [sys.executable, "-m", "launch.cli", "run", formula, "--protocol", "economical",
         "--engine", "chgnet", "--sampler", "pair", "--folder", str(folder),
         f"--set=active.labels={labels}", *settings],
        check=True,
    )  # fmt: skip
    return Frames.read(folder / "frames.extxyz")


def crystals(paths: list[Path], kept: Kept) -> Frames:
    """Crystals with CHGNet's energies, forces and stresses, computed once."""
    path = kept.folder / "crystals.extxyz"
    if not path.exists():
        frames = Frames.from_atoms([read(p) for p in paths], stage="candidates")
        done = list(find_engine("chgnet").label_frames(frames))
        kept.folder.mkdir(parents=True, exist_ok=True)
        Frames.concatenate([frame for frame in done if not isinstance(frame, str)]).write(path)
    return Frames.read(path)


def labels(formula: str, kept: Kept, budgets: list[int], structures: list[Path]) -> None:
    """Print errors against labels, of the sampler's frames and of the paper's."""
    frames = load(formula)
    rest, held_out = block_split(frames, 0.15, seed=99)
    judges = {"frames of dynamics": frames[held_out]}
    if structures:
        judges["crystals"] = crystals(structures, kept)
        energies = judges["crystals"].energies / judges["crystals"].counts
        print(f"{len(energies)} crystals within {1e3 * np.ptp(energies):.0f} meV/atom")
    found = kept(f"{formula}-paper", lambda: fit(frames[rest], judges))
    show(f"paper: all {len(rest)} frames", found, STRIDE * len(frames))
    for budget in budgets:
        run = campaign(formula, budget, kept.folder / f"{formula}-{budget}")
        for number, name in ((budget, "round one"), (2 * budget, "rounds one and two")):
            found = kept(f"{formula}-{budget}-{name}", lambda n=number: fit(run[:n], judges))  # noqa: B023
            show(f"{number} labels, {name}", found, number)
        even = np.linspace(0, len(rest) - 1, 2 * budget).round().astype(int)
        found = kept(f"{formula}-{2 * budget}-even", lambda e=even: fit(frames[rest[e]], judges))
        show(f"paper: {2 * budget} frames evenly", found, STRIDE * len(frames))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figure", choices=["selection", "labels"])
    parser.add_argument("formula", choices=["LiAlCl4", "Mg2SiO4"])
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--budgets", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--structures", type=Path, nargs="*", default=[], metavar="FILE")
    arguments = parser.parse_args()
    kept = Kept(arguments.output)
    if arguments.figure == "selection":
        selection(arguments.formula, kept, arguments.budgets)
    else:
        labels(arguments.formula, kept, arguments.budgets, arguments.structures)


if __name__ == "__main__":
    main()
