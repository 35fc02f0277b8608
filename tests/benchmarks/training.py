"""How fast and how well training does on real frames, and which optimiser does better.

Run ``python -m tests.benchmarks.training FRAMES.extxyz`` for the time to the thresholds, and with

--compare N     L-BFGS against Adam, N passes over the data, three seeds;
--curve         learning curve over 10, 20, 40, 80 and 100 % of the training frames;
--floors        whitening floors.

``--generate LiAlCl4`` first makes the frames with CHGNet by melting, quenching and annealing
56 or 48 atoms (half an hour on one core).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nnp.frames import Frames
from nnp.learning_curve import learning_curve
from nnp.loss import Errors
from nnp.training import TrainingOptions, TrainingStep, train

#: Formula units, density in g/cm³ and melting temperature in K of the paper's test materials.
MATERIALS = {"LiAlCl4": (8, 1.6, 1500.0), "Mg2SiO4": (8, 2.7, 3500.0)}


def text(errors: Errors) -> str:
    """Errors with units."""
    return f"{errors.energy:7.2f} meV/atom {errors.force:6.3f} eV/Å {errors.stress:6.2f} kbar"


def time_to_thresholds(frames: Frames, options: TrainingOptions, seed: int) -> None:
    """Print when which thresholds were met on validation."""
    levels = {"10 meV/atom, 0.2 eV/Å, 10 kbar": (10, 0.2, 10), "5, 0.15, 5": (5, 0.15, 5)}
    found: dict[str, float] = {}

    def watch(step: TrainingStep) -> None:
        errors = (step.validation.energy, step.validation.force, step.validation.stress)
        for name, limits in levels.items():
            if all(e < limit for e, limit in zip(errors, limits, strict=True)):
                found.setdefault(name, step.seconds)

    start = time.perf_counter()
    result = train(frames, options, seed=seed, progress=watch)
    total = time.perf_counter() - start
    print(f"{options.split} split, seed {seed}: {len(result.history)} epochs, {result.reason}")
    print(f"  training   {text(result.training)}")
    print(f"  validation {text(result.validation)}")
    print(f"  whole call {total:.0f} s, epochs {result.history[-1].seconds:.0f} s")
    for name in levels:
        when = f"after {found[name]:.0f} s" if name in found else "not reached"
        print(f"  {name}: {when}", flush=True)


def compare(frames: Frames, options: TrainingOptions, passes: int) -> None:
    """Print validation errors of both optimisers after as many passes over the data.

    An iteration of L-BFGS is one pass (now and then two), and so is an epoch of Adam; passes do
    not depend on what else the machine is doing.
    """
    options = replace(options, max_epochs=passes, time_limit=None, patience=passes)
    adam = replace(options, optimizer="adam")
    for name, chosen in (
        ("L-BFGS", options),
        ("Adam 3e-3", adam),
        ("Adam 1e-2", replace(adam, learning_rate=1e-2)),
        ("Adam 1e-2, floor 1e-2", replace(adam, learning_rate=1e-2, whitening_floor=1e-2)),
    ):
        found = []
        for seed in range(3):
            start = time.process_time()
            result = train(frames, chosen, seed=seed)
            seconds = time.process_time() - start
            found.append(result.validation)
            print(f"{name} seed {seed}: {text(result.validation)}, {seconds:.0f} CPU s", flush=True)
        mean = np.mean([(e.energy, e.force, e.stress) for e in found], axis=0)
        print(f"{name} mean:   {text(Errors(*mean))}", flush=True)


def generate(formula: str, path: Path, seed: int = 0) -> None:
    """Melt, quench and anneal with CHGNet; a frame every 20 fs, 1500 in all."""
    from ase import Atoms, units
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
    from chgnet.model.dynamics import CHGNetCalculator

    units_of_formula, density, melting = MATERIALS[formula]
    symbols = Atoms(formula).get_chemical_symbols() * units_of_formula
    mass = Atoms(symbols).get_masses().sum()
    length = (mass * 1.66053907 / density) ** (1 / 3)
    rng = np.random.default_rng(seed)
    atoms = Atoms(symbols, cell=[length] * 3, pbc=True)
    spots = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3)
    atoms.positions = (rng.permutation(spots)[: len(atoms)] + 0.5) * length / 4
    atoms.calc = CHGNetCalculator(use_device="cpu")
    hot = max(3000.0, melting)
    MaxwellBoltzmannDistribution(atoms, temperature_K=hot, rng=rng)
    dynamics = Langevin(atoms, 2 * units.fs, temperature_K=hot, friction=0.01 / units.fs, rng=rng)
    dynamics.run(1000)
    path.unlink(missing_ok=True)
    stages = (("liquid", 400, melting), ("quench", 700, 300.0), ("anneal", 400, 500.0))
    previous, parts = melting, []
    for stage, n_frames, final in stages:
        begin = previous if stage == "quench" else final
        for k in range(n_frames):
            temperature = begin + (final - begin) * k / n_frames
            dynamics.set_temperature(temperature_K=temperature)
            dynamics.run(10)
            snapshot = atoms.copy()
            snapshot.calc = atoms.calc
            parts.append(Frames.from_atoms([snapshot], stage, temperature))
        previous = final
        print(f"{stage}: {n_frames} frames", flush=True)
    Frames.concatenate(parts).write(path)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("frames", type=Path)
    parser.add_argument("--generate", choices=MATERIALS)
    parser.add_argument("--compare", type=int, metavar="PASSES")
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--floors", action="store_true")
    parser.add_argument("--seconds", type=float, default=300.0, help="longest time of a training")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.generate:
        generate(arguments.generate, arguments.frames)
    frames = Frames.read(arguments.frames)
    print(frames)
    options = TrainingOptions(
        stop="converged", time_limit=arguments.seconds, threads=arguments.threads
    )
    if arguments.compare:
        compare(frames, options, arguments.compare)
    elif arguments.curve:
        learning_curve(
            frames,
            options,
            progress=lambda p: print(f"{p.n_frames:5d} frames {text(p.validation)}", flush=True),
        )
    elif arguments.floors:
        for floor in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
            result = train(frames, replace(options, whitening_floor=floor))
            print(f"floor {floor:g}: {text(result.validation)}", flush=True)
    else:
        time_to_thresholds(frames, options, 0)
        time_to_thresholds(frames, replace(options, split="random"), 0)


if __name__ == "__main__":
    main()
