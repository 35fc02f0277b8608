"""How many relaxations the search needs for forsterite, and how fast it is.

    python -m tests.benchmarks.search find --seeds 1 2 3 4 5 -o FOLDER
    python -m tests.benchmarks.search find --variant random --seeds 1 2 3 -o FOLDER
    python -m tests.benchmarks.search throughput --threads 1

The energy is the Mg2SiO4 potential of the SPINNER examples. Cells hold Mg8Si4O16; the search knows
the composition and nothing else. A run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from nnp.simple_nn import read_simple_nn
from search.driver import SearchFigures, resume, run_generations
from search.evolution import Evolution, EvolutionOptions
from search.options import DEFAULT_SHARES
from search.population import NicheOptions
from search.relaxer import Relaxer

REFERENCE = Path(
    os.environ.get("DEVITRIFY_REFERENCE", Path(__file__).parents[3] / "shared" / "reference")
)
SPINNER = REFERENCE / "spinner_mg2sio4"
TOLERANCE = 0.001
"""eV/atom within which forsterite counts as found."""


def without(*operators: str) -> dict[str, Any]:
    """Options of a search without some operators, the others taking their shares."""
    return {"shares": {n: s for n, s in DEFAULT_SHARES.items() if n not in operators}}


VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "random": {"shares": {"random": 1.0}},
    "random, radii only": {
        "shares": {"random": 1.0},
        "learned_spacing": None,
        "adjust_shares": False,
    },
    "no learned spacing": {"learned_spacing": None},
    "no orbit operators": without("orbit mutation", "orbit permutation"),
    "no heredity": without("heredity"),
    "no nets": without("topological"),
    "no soft mutation": without("soft mutation"),
    "no antiseeds": {"niches": NicheOptions(antiseeds=False)},
    "no self-adjustment": {"adjust_shares": False},
}


def options(variant: str, structures: int) -> EvolutionOptions:
    """Options of a variant, for a population of 56 cells of Mg8Si4O16."""
    return EvolutionOptions(
        formula_units=(4,),
        population=56,
        generations=10**6,
        max_structures=structures,
        **VARIANTS[variant],
    )


def is_forsterite(atoms: Any, energy: float, reference: Any) -> bool:
    """Whether a structure is forsterite: within 1 meV/atom, and the matcher agrees."""
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    if abs(energy - reference.get_potential_energy() / len(reference)) > TOLERANCE:
        return False
    one, other = (AseAtomsAdaptor.get_structure(a) for a in (atoms, reference))
    return bool(StructureMatcher().fit(one, other))


def find(variant: str, seed: int, structures: int, folder: Path) -> dict[str, Any]:
    """Search until forsterite is found or the budget is spent; interrupted runs go on."""
    from ase.io import read

    name = f"{variant.replace(' ', '_').replace(',', '')}_{seed}"
    result_file, state_file = folder / f"{name}.result.json", folder / f"{name}.state.json"
    clock_file = folder / f"{name}.clock.json"
    if result_file.exists():
        return dict(json.loads(result_file.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    potential = read_simple_nn(SPINNER / "potential_saved")
    reference = read(SPINNER / "Mg2SiO4_polymorphs_relaxed.extxyz", 0)
    evolution = Evolution({"Mg": 2, "Si": 1, "O": 4}, options(variant, structures), seed)
    evolution = resume(evolution, state_file)
    spent = json.loads(clock_file.read_text()) if clock_file.exists() else 0.0
    started = time.process_time()
    found = None
    while not evolution.finished and found is None:
        evolution = run_generations(
            evolution, Relaxer(), potential, evolution.generation + 1, checkpoint=state_file
        )
        seconds = spent + time.process_time() - started
        clock_file.write_text(json.dumps(seconds))
        for member in evolution.archive.members[:5]:
            if is_forsterite(member.atoms, member.energy, reference):
                found = member.id + 1
                break
    best = evolution.best(1)[0]
    result = {
        "variant": variant,
        "seed": seed,
        "found_at": found,
        "structures": evolution.structures,
        "cpu_seconds": spent + time.process_time() - started,
        "best_energy": best.energy,
        "best_space_group": best.space_group,
        "best_operator": best.operator,
        "best_history": evolution.best_history,
        "discards": dict(evolution.discards),
        "shares": evolution.shares.current(),
    }
    result_file.write_text(json.dumps(result, indent=1))
    return result


def report(results: list[dict[str, Any]]) -> None:
    """Print a line for each run and the median."""
    for r in results:
        at = r["found_at"] or f"not in {r['structures']}"
        print(
            f"{r['variant']:20s} seed {r['seed']}: forsterite at {at}, "
            f"{r['cpu_seconds']:.0f} CPU s, best {r['best_energy']:.4f} eV/atom "
            f"(space group {r['best_space_group']}, {r['best_operator']}), "
            f"{r['structures'] / r['cpu_seconds']:.1f} structures/CPU s",
            flush=True,
        )
    hits = [r["found_at"] for r in results if r["found_at"]]
    if hits:
        print(f"found {len(hits)} of {len(results)}, median {statistics.median(hits):.0f}")


def throughput(structures: int, threads: int) -> None:
    """Print structures per CPU second and per second, and the relaxer's part of the time."""
    potential = read_simple_nn(SPINNER / "potential_saved")
    relaxer = Relaxer()
    inside = [0.0]
    relax = relaxer.relax

    def timed(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        outcome = relax(*args, **kwargs)
        inside[0] += time.perf_counter() - begin
        return outcome

    relaxer.relax = timed  # type: ignore[method-assign]
    warm = Evolution({"Mg": 2, "Si": 1, "O": 4}, options("full", 20), 99)
    run_generations(warm, relaxer, potential, 1, threads=threads)
    inside[0] = 0.0
    evolution = Evolution({"Mg": 2, "Si": 1, "O": 4}, options("full", structures), 0)
    cpu, wall = time.process_time(), time.perf_counter()
    generations: list[SearchFigures] = []
    run_generations(
        evolution, relaxer, potential, 10**6, threads=threads, progress=generations.append
    )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(
        f"{threads} threads: {structures / cpu:.1f} structures per CPU second, "
        f"{structures / wall:.1f} per second, {1 - inside[0] / wall:.1%} outside the relaxer"
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    finding = commands.add_parser("find")
    finding.add_argument("--variant", choices=VARIANTS, default="full")
    finding.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    finding.add_argument("--structures", type=int, default=5000)
    finding.add_argument("-o", "--folder", type=Path, default=Path("search_benchmark"))
    measuring = commands.add_parser("throughput")
    measuring.add_argument("--structures", type=int, default=1120)
    measuring.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.command == "throughput":
        throughput(arguments.structures, arguments.threads)
        return
    report(
        [
            find(arguments.variant, seed, arguments.structures, arguments.folder)
            for seed in arguments.seeds
        ]
    )


if __name__ == "__main__":
    main()
