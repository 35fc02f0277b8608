"""
What an ensemble costs beside one network, in evaluations and in training.

    python -m tests.benchmarks.ensemble evaluation
    python -m tests.benchmarks.ensemble training LiAlCl4 Mg2SiO4
    python -m tests.benchmarks.ensemble quality LiAlCl4 Mg2SiO4 --threads 2
    python -m tests.benchmarks.ensemble start LiAlCl4 Mg2SiO4

``evaluation``  CPU time of energy, forces and stress by four networks and by one, forsterite;
``training``    CPU time of an iteration of L-BFGS of four networks and of one, on ``--frames``
                frames; times are minima over alternating repeats in one run;
``quality``     a whole training of four networks as the economical protocol does it: time, epochs
                and errors on frames that it did not see;
``start``       epochs and errors of a training that begins from a potential of the first 70 % of
                the frames, beside those of a fresh one.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from nnp.descriptors import SymmetryFunctions
from nnp.evaluation import evaluate
from nnp.frames import Frames
from nnp.potential import Potential
from nnp.training.dataset import Environments, Preprocessing
from nnp.training.ensemble import Ensemble
from nnp.training.loss import Loss
from nnp.training.trainer import TrainingOptions, choose_split, reference_energies, train
from tests.benchmarks.frames import SETTINGS, load
from tests.benchmarks.kernels import forsterite, kernel_time
from tests.nnp.samples import random_potential

OPTIONS = TrainingOptions(members=4, optimizer="lbfgs", split="random", stop="converged")


def evaluation(repeats: int) -> None:
    """Print times of one and of four networks, measured by turns."""
    functions = SymmetryFunctions.standard(("Mg", "Si", "O"), 6.0, 4.5)
    potentials = [random_potential(functions, members=n) for n in (1, 4)]
    for shape in ((1, 1, 1), (1, 2, 2)):
        atoms = forsterite(shape)
        for precision in ("float64", "float32"):
            rounds = [
                [kernel_time(p, atoms, precision, repeats)[0] for p in potentials] for _ in range(5)
            ]
            one, four = (1e6 * t / len(atoms) for t in np.min(rounds, axis=0))
            print(
                f"{len(atoms):4d} atoms  {precision}  one {one:6.2f} us/atom  four {four:6.2f}"
                f"  ratio {four / one:.2f}",
                flush=True,
            )


def evenly(frames: Frames, n: int) -> tuple[Frames, Frames]:
    """Some frames evenly from all, and others in between."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, n).round().astype(int))
    rest = np.setdiff1d(np.arange(len(frames)), chosen)
    return frames[chosen], frames[rest[::4]]


def training(formula: str, n_frames: int, repeats: int) -> None:
    """Print CPU times of iterations with one and with four networks."""
    frames, _ = evenly(load(formula), n_frames)
    split = choose_split(frames, OPTIONS, 0)
    functions = SymmetryFunctions.standard(frames.elements, 6.0, 4.5)
    environments = Environments(frames, functions, 4e9)
    values = environments.values_of(split[0])
    preprocessing = Preprocessing.fit(values, functions.n_functions, OPTIONS.whitening_floor)
    loss = Loss(
        frames,
        environments,
        preprocessing,
        OPTIONS.hidden,
        OPTIONS.loss_weights,
        reference_energies(frames, frames.elements, split[0]),
    )

    def seconds(members: int) -> float:
        options = replace(OPTIONS, members=members, max_epochs=10)
        ensemble = Ensemble(loss, options, split, 0)
        start = time.process_time()
        ensemble.optimize()
        return (time.process_time() - start) / 10

    with threadpool_limits(1):
        seconds(4)
        rounds = [[seconds(members) for members in (1, 4)] for _ in range(repeats)]
    one, four = 1e3 * np.min(rounds, axis=0)
    print(
        f"{formula}: {n_frames} frames, iteration of one network {one:.0f} CPU ms, "
        f"of four {four:.0f}, ratio {four / one:.2f}",
        flush=True,
    )


def quality(formula: str, n_frames: int, threads: int) -> None:
    """Print what a whole training takes and gives."""
    frames, rest = evenly(load(formula), n_frames)
    wall, cpu = time.perf_counter(), time.process_time()
    result = train(frames, replace(OPTIONS, threads=threads), seed=0)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    epochs = [sum(s.member == k for s in result.history) for k in range(OPTIONS.members)]
    print(
        f"{formula}: {wall:.0f} s on {threads} threads, {cpu:.0f} CPU s, epochs {epochs}; "
        f"other frames: {described(result.potential, rest)}",
        flush=True,
    )


def start(formula: str, n_frames: int) -> None:
    """Print epochs and errors with and without an earlier potential."""
    frames, rest = evenly(load(formula), n_frames)
    options = replace(OPTIONS, members=1)
    earlier = train(frames[: int(0.7 * len(frames))], options, seed=0).potential
    print(f"{formula}: earlier potential {described(earlier, rest)}")
    for name, begin in (("fresh", None), ("begun from it", earlier)):
        result = train(frames, options, seed=0, start=begin)
        found = described(result.potential, rest)
        print(f"  {name}: {len(result.history)} epochs, {found}", flush=True)


def described(potential: Potential, frames: Frames) -> str:
    """Errors of a potential."""
    errors = evaluate(potential, frames).errors
    return f"{errors.energy:.2f} meV/atom, {errors.force:.4f} eV/Å, {errors.stress:.2f} kbar"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("evaluation", "training", "quality", "start"))
    parser.add_argument("formulas", nargs="*", choices=[*SETTINGS, []])
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.what == "evaluation":
        evaluation(8 * arguments.repeats)
    for formula in arguments.formulas:
        if arguments.what == "training":
            training(formula, arguments.frames, arguments.repeats)
        elif arguments.what == "quality":
            quality(formula, arguments.frames, arguments.threads)
        elif arguments.what == "start":
            start(formula, arguments.frames)


if __name__ == "__main__":
    main()
