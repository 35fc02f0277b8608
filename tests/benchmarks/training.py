"""
How fast and how well training does on frames that the chain made with CHGNet.

    python -m tests.benchmarks.training thresholds LiAlCl4 Mg2SiO4 --threads 2

``thresholds``  time until validation errors fall below two sets of thresholds, and the errors
                after ``--seconds``, with validation in stretches of time and at random;
``curve``       errors with 10, 20, 40, 80 and 100 % of the training frames;
``compare``     L-BFGS against Adam, ``--passes`` over the data, three seeds;
``floors``      whitening floors;
``uncertainty`` an ensemble's expected errors against its true ones on frames that neither trained
                nor validated, and on ``--others`` (crystals, say), labelled by CHGNet.

Each training is kept in ``--output``, a folder; asked again, only what is missing is run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nnp.evaluation import Evaluation, evaluate
from nnp.frames import Frames
from nnp.metrics import Errors
from nnp.training.learning_curve import FRACTIONS, part_of
from nnp.training.split import block_split
from nnp.training.trainer import TrainingOptions, TrainingStep, choose_split, train
from tests.benchmarks.frames import SETTINGS, load

#: meV/atom, eV/Å, kbar: the paper's thresholds, and what is aimed at beyond them.
LEVELS = {"10 meV/atom, 0.2 eV/Å, 10 kbar": (10, 0.2, 10), "5, 0.15, 5": (5, 0.15, 5)}
SEEDS = (0, 1, 2)


class Kept:
    """Results in a folder, one file each; what is there is not computed again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Read a result, or compute and write it."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(compute(), indent=1))
        return dict(json.loads(path.read_text()))


def text(errors: dict[str, float]) -> str:
    """Errors with units."""
    return (
        f"{errors['energy']:6.2f} meV/atom {errors['force']:6.3f} eV/Å {errors['stress']:5.2f} kbar"
    )


def run(frames: Frames, options: TrainingOptions, seed: int, part: float = 1.0) -> dict[str, Any]:
    """Train once, on part of the training frames; errors, times and when thresholds were met."""
    found: dict[str, float] = {}

    def watch(step: TrainingStep) -> None:
        errors = (step.validation.energy, step.validation.force, step.validation.stress)
        for name, limits in LEVELS.items():
            if all(e < limit for e, limit in zip(errors, limits, strict=True)):
                found.setdefault(name, step.seconds)

    training, validation = choose_split(frames, options, seed)
    chosen = part_of(training, part)
    wall, cpu = time.perf_counter(), time.process_time()
    result = train(frames, options, seed=seed, progress=watch, split=(chosen, validation))
    return {
        "frames": len(chosen),
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "epochs": len(result.history),
        "epochs_wall": result.history[-1].seconds,
        "reason": result.reason,
        "training": asdict(result.training),
        "validation": asdict(result.validation),
        "met": found,
    }


def thresholds(formula: str, frames: Frames, options: TrainingOptions, kept: Kept) -> None:
    """Print when which thresholds were met on validation, for both splits."""
    for split in ("blocks", "random"):
        chosen = replace(options, split=split)
        r = kept(f"{formula}-{split}", partial(run, frames, chosen, 0))
        print(f"{formula}, {split} split: {r['epochs']} epochs, {r['reason']}")
        print(f"  training   {text(r['training'])}\n  validation {text(r['validation'])}")
        print(
            f"  whole call {r['wall']:.0f} s, {r['cpu']:.0f} CPU s; epochs {r['epochs_wall']:.0f} s"
        )
        for name in LEVELS:
            when = f"after {r['met'][name]:.0f} s of epochs" if name in r["met"] else "not reached"
            print(f"  {name}: {when}", flush=True)


def curve(formula: str, frames: Frames, options: TrainingOptions, kept: Kept) -> None:
    """Print errors with growing parts of the training frames."""
    for part in FRACTIONS:
        r = kept(f"{formula}-part-{part:g}", partial(run, frames, options, 0, part))
        print(
            f"{formula} {100 * part:3.0f} %, {r['frames']:5d} frames: training "
            f"{text(r['training'])}, validation {text(r['validation'])}, {r['cpu']:.0f} CPU s",
            flush=True,
        )


def compare(
    formula: str, frames: Frames, options: TrainingOptions, kept: Kept, passes: int
) -> None:
    """
    Print validation errors of both optimisers after as many passes over the data.

    An iteration of L-BFGS is one pass (now and then two), and so is an epoch of Adam; passes do
    not depend on what else the machine is doing.
    """
    options = replace(options, max_epochs=passes, time_limit=None, patience=passes)
    adam = replace(options, optimizer="adam")
    for name, chosen in (
        ("L-BFGS", replace(options, optimizer="lbfgs")),
        ("Adam 3e-3", adam),
        ("Adam 1e-2", replace(adam, learning_rate=1e-2)),
    ):
        found = []
        for seed in SEEDS:
            key = f"{formula}-{name}-{passes}-{seed}"
            r = kept(key, partial(run, frames, chosen, seed))
            found.append(list(r["validation"].values()))
            print(f"{formula} {name} seed {seed}: {text(r['validation'])}, {r['cpu']:.0f} CPU s")
        mean = Errors(*np.mean(found, axis=0))
        print(f"{formula} {name} mean:   {text(asdict(mean))}", flush=True)


def floors(formula: str, frames: Frames, options: TrainingOptions, kept: Kept) -> None:
    """Print validation errors for several whitening floors."""
    for floor in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1):
        chosen = replace(options, whitening_floor=floor)
        r = kept(f"{formula}-floor-{floor:g}", partial(run, frames, chosen, 0))
        print(f"{formula} floor {floor:g}: {text(r['validation'])}", flush=True)


def uncertainty(
    formula: str, frames: Frames, options: TrainingOptions, kept: Kept, others: list[Path]
) -> None:
    """Print how far an ensemble's expected errors agree with the true ones."""

    def compute() -> dict[str, Any]:
        rest, held_out = block_split(frames, 0.15, seed=99)
        result = train(frames[rest], replace(options, members=5), seed=0)
        figures = {"held out": _reliability(evaluate(result.potential, frames[held_out]))}
        if others:
            figures["others"] = _reliability(evaluate(result.potential, _labelled(others)))
        return figures | {"calibration": asdict(result.potential.calibration)}

    for name, r in kept(f"{formula}-uncertainty", compute).items():
        print(f"{formula} {name}: {', '.join(f'{k} {v:.4g}' for k, v in r.items())}", flush=True)


def _reliability(found: Evaluation) -> dict[str, float]:
    """Figures of expected against true errors of energies."""
    expected, errors = found.predictions.uncertainties, found.energy_errors
    return {
        "structures": len(errors),
        "true error (meV/atom)": found.errors.energy,
        "expected error (meV/atom)": 1e3 * float(np.sqrt(np.mean(expected**2))),
        "within one": float(found.within(1.0).mean()),
        "within two": float(found.within(2.0).mean()),
        "correlation": float(np.corrcoef(expected, np.abs(errors))[0, 1]),
    }


def _labelled(paths: list[Path]) -> Frames:
    """Structures of files, with CHGNet's energies, forces and stresses."""
    from ase.io import read

    from workflows.engines.registry import find_engine

    calculator = find_engine("chgnet").build()
    parts = []
    for path in paths:
        atoms = read(path)
        atoms.calc = calculator
        atoms.get_potential_energy()
        parts.append(Frames.from_atoms([atoms]))
    return Frames.concatenate(parts)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("thresholds", "curve", "compare", "floors", "uncertainty"))
    parser.add_argument("formulas", nargs="+", choices=SETTINGS)
    parser.add_argument("-o", "--output", type=Path, default=Path("training-benchmark"))
    parser.add_argument("--passes", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=300.0, help="longest time of a training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--others", type=Path, nargs="*", default=[], metavar="FILE")
    arguments = parser.parse_args()
    options = TrainingOptions(
        stop="converged", time_limit=arguments.seconds, threads=arguments.threads
    )
    kept = Kept(arguments.output)
    for formula in arguments.formulas:
        frames = load(formula)
        print(f"{formula}: {frames}")
        if arguments.what == "compare":
            compare(formula, frames, options, kept, arguments.passes)
        elif arguments.what == "uncertainty":
            uncertainty(formula, frames, options, kept, arguments.others)
        else:
            {"thresholds": thresholds, "curve": curve, "floors": floors}[arguments.what](
                formula, frames, options, kept
            )


if __name__ == "__main__":
    main()
