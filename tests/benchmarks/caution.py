"""
Whether a search that counts uncertainty stays out of the holes of its potential.

    python -m tests.benchmarks.caution search --formula LiAlCl4 --seeds 1 2 3 -o FOLDER
    python -m tests.benchmarks.caution stops --formula LiAlCl4 --seeds 1 2 -o FOLDER

An ensemble of four networks is trained for a short time on few of the kept melt-quench frames,
which CHGNet has labelled, so that it has holes. `search` runs the same searches with the mean
energy, with the mean and once or twice the uncertainty, and with limits to the uncertainty. The
best of each are labelled by CHGNet as they are, and the first few are relaxed by it. A hole is a
structure whose energy on the potential is more than three uncertainties below that of CHGNet; a
deep one is more than 0.2 eV/atom below it.

`stops` tells whether it is right to give structures up where they leave what is known: it relaxes
the generations of a search with and without. What `search` did is kept in the folder, and not done
again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr

from nnp.potential import Potential
from nnp.training.options import TrainingOptions
from nnp.training.trainer import train
from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from search.relax.relaxed import GIVEN_UP
from search.relax.relaxer import Relaxer
from search.relax.trust import UNCONDITIONAL, UNKNOWN, Trust
from search.run.driver import run_generations
from search.state.evolution import Evolution
from search.state.fitness import Fitness
from tests.benchmarks.frames import load
from workflows.composition import Target
from workflows.engines.ase.relax import relax_atoms
from workflows.engines.base import ExplodedError
from workflows.engines.registry import find_engine

if TYPE_CHECKING:
    from ase import Atoms

VARIANTS: dict[str, Trust] = {
    "mean": UNCONDITIONAL,
    "mean + 1 sigma": Trust(1.0, None),
    "mean + 2 sigma": Trust(2.0, None),
    "limit 0.05": Trust(0.0, 0.05),
    "limit 0.1": Trust(0.0, 0.1),
    "1 sigma, limit 0.05": Trust(1.0, 0.05),
    "1 sigma, limit 0.1": Trust(1.0, 0.1),
    "2 sigma, limit 0.05": Trust(2.0, 0.05),
    "2 sigma, limit 0.1": Trust(2.0, 0.1),
}
N_BEST = 20
DEEP = 0.2
N_RELAXED = 5
LIMITS = RelaxationLimits(max_force=0.05, max_stress=5.0, max_steps=80)


def ensemble(formula: str, n_frames: int, epochs: int, folder: Path) -> Potential:
    """Potential that has seen few frames for a short time; trained once."""
    path = folder / f"{formula}-{n_frames}-{epochs}.nnp"
    if path.exists():
        return Potential.load(path)
    frames = load(formula)
    chosen = np.linspace(0, len(frames) - 1, n_frames).round().astype(int)
    options = TrainingOptions(members=4, max_epochs=epochs)
    result = train(frames[chosen], options, checkpoint=folder / "training.ckpt")
    print(f"{path.name}: {result.potential.record.get('validation')}, "
          f"{result.potential.calibration}", flush=True)  # fmt: skip
    result.potential.save(path)
    return result.potential


def begin(arguments: argparse.Namespace, seed: int, trust: Trust) -> Evolution:
    """Search at its start; population and volume as in a campaign."""
    target = Target(arguments.formula, tuple(arguments.z))
    options = EvolutionOptions(
        formula_units=target.formula_units,
        generations=10**6,
        max_structures=arguments.structures,
    )
    fitness = Fitness().trusting(trust)
    return Evolution(target.counts, options, seed, fitness=fitness)


def search(
    arguments: argparse.Namespace, potential: Potential, variant: str, seed: int
) -> dict[str, Any]:
    """One search, and what CHGNet says of its best; read if it was done before."""
    name = f"{variant}-{seed}".replace(" ", "_").replace(",", "")
    path = arguments.folder / f"{name}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    started = time.process_time()
    ended = run_generations(
        begin(arguments, seed, VARIANTS[variant]), Relaxer(), potential, 10**6,
        checkpoint=arguments.folder / f"{name}.state.json", n_best=N_BEST,
    )  # fmt: skip
    seconds = time.process_time() - started
    best = ended.best(N_BEST)
    calculator = find_engine("chgnet").crystal_calculator()
    labels = [_label(member.structure, calculator) for member in best]
    result = {
        "variant": variant,
        "seed": seed,
        "energies": [member.energy for member in best],
        "uncertainties": [member.uncertainty for member in best],
        "reference": labels,
        "relaxed": [_relaxed(m.structure, calculator) for m in best[:N_RELAXED]],
        "unknown": len(ended.unknown),
        "discards": dict(ended.discards),
        "cpu_seconds": seconds,
    }
    path.write_text(json.dumps(result, indent=1))
    return result


def _label(atoms: Atoms, calculator: Any) -> float:
    """Energy of CHGNet, eV/atom; infinite where it has none."""
    copy = atoms.copy()
    copy.calc = calculator
    try:
        return float(copy.get_potential_energy() / len(copy))
    except (ArithmeticError, RuntimeError, ValueError):
        return float("inf")


def _relaxed(atoms: Atoms, calculator: Any) -> float:
    """Energy after relaxing by CHGNet, eV/atom; infinite if that fails."""
    copy = atoms.copy()
    copy.calc = calculator
    try:
        relax_atoms(copy, LIMITS)
    except (ArithmeticError, ExplodedError, RuntimeError, ValueError):
        return float("inf")
    return float(copy.get_potential_energy() / len(copy))


def report(results: list[dict[str, Any]]) -> None:
    """One line for every variant: figures of its seeds, one after the other."""
    print("variant | holes of best 20 | deep ones | lowest after CHGNet, eV/atom | Spearman | "
          "RMSE, meV/atom | median uncertainty, meV/atom | given up | CPU s")  # fmt: skip
    for variant in dict.fromkeys(r["variant"] for r in results):
        own = [r for r in results if r["variant"] == variant]
        columns: dict[str, list[str]] = {}
        for r in own:
            energies, reference = np.array(r["energies"]), np.array(r["reference"])
            sigma = np.array(r["uncertainties"])
            known = np.isfinite(reference)
            error = (energies - reference)[known]
            rank = spearmanr(energies[known], reference[known]).statistic
            for name, value in (
                ("holes", f"{int((energies < reference - 3 * sigma).sum())}"),
                ("deep", f"{int((energies < reference - DEEP).sum())}"),
                ("lowest", f"{min(r['relaxed']):.4f}"),
                ("rank", f"{rank:.2f}"),
                ("rmse", f"{1000 * np.sqrt(np.mean(error**2)):.0f}"),
                ("sigma", f"{1000 * np.median(sigma):.0f}"),
                ("unknown", f"{r['discards'].get(UNKNOWN, 0)}"),
                ("cpu", f"{r['cpu_seconds']:.0f}"),
            ):
                columns.setdefault(name, []).append(value)
        print(" | ".join([variant, *(" ".join(values) for values in columns.values())]))


def stops(
    arguments: argparse.Namespace, potential: Potential, variant: str, seed: int
) -> dict[str, Any]:
    """How those end that would be given up: each generation is relaxed with and without."""
    trust = VARIANTS[variant]
    evolution = begin(arguments, seed, trust)
    relaxer, limit = Relaxer(), trust.max_uncertainty or np.inf
    ends = Counter[str]()
    steps, gains = [0, 0, 0], []
    while not evolution.finished:
        structures = [candidate.atoms for candidate in evolution.ask()]
        best = evolution.best_energies()
        common = {"best": best, "distances": evolution.distance_limits}
        free = relaxer.relax(structures, potential, **common, trust=Trust(trust.caution, None))
        cut = relaxer.relax(structures, potential, **common, trust=trust)
        for i, (one, other) in enumerate(zip(free, cut, strict=True)):
            steps[2] += one.steps
            if other.status != GIVEN_UP or best is None:
                continue
            steps[0] += one.steps
            steps[1] += other.steps
            if not one.usable:
                ends[one.status.removeprefix("aborted: ").split(" ")[0]] += 1
            elif one.uncertainty is not None and one.uncertainty > limit:
                ends["unknown"] += 1
            else:
                ends["known"] += 1
                worst = one.energy / len(one.atoms) + trust.caution * (one.uncertainty or 0.0)
                gains.append(worst - best[i])
        evolution.tell(free)
    return {
        "variant": variant, "seed": seed, "ends": dict(ends), "steps": steps, "gains": gains,
    }  # fmt: skip


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("search", "stops"))
    parser.add_argument("--formula", default="LiAlCl4")
    parser.add_argument("--z", type=int, nargs="+", default=[2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--structures", type=int, default=500)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("-o", "--folder", type=Path, default=Path("caution_benchmark"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    potential = ensemble(arguments.formula, arguments.frames, arguments.epochs, arguments.folder)
    results = []
    for seed in arguments.seeds:
        for variant in arguments.variants:
            if arguments.command == "stops":
                if VARIANTS[variant].max_uncertainty is not None:
                    print(json.dumps(stops(arguments, potential, variant, seed)), flush=True)
                continue
            results.append(search(arguments, potential, variant, seed))
            print(variant, seed, "done", flush=True)
    if results:
        report(results)


if __name__ == "__main__":
    main()
