"""
How many relaxations the search needs for forsterite, how fast it is, and how right.

    python -m tests.benchmarks.search find --seeds 11 12 13 14 15 -o FOLDER
    python -m tests.benchmarks.search find --variant random --seeds 1 2 3 -o FOLDER
    python -m tests.benchmarks.search z8 --seeds 1 -o FOLDER      # 56 atoms, 10,000 relaxations
    python -m tests.benchmarks.search simple                      # against random search
    python -m tests.benchmarks.search throughput --threads 1 2    # and time outside the relaxer
    python -m tests.benchmarks.search linearity                   # two islands, two processes
    python -m tests.benchmarks.search flat                        # 1000 generations
    python -m tests.benchmarks.search relaxer                     # against ASE; also --disturb 0.2
    python -m tests.benchmarks.search duplicates STATE            # against pymatgen
    python -m tests.benchmarks.search archive STATE               # the cost of finding duplicates

The energy is the Mg2SiO4 potential of the SPINNER examples, but for `simple` and `flat`. Cells hold
Mg8Si4O16; the search knows the composition and nothing else. Runs of `find` and `z8` that were
interrupted go on where they stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from nnp.formats.simple_nn import read_simple_nn
from search.create.registry import default_shares
from search.create.wyckoff import space_group
from search.options import EvolutionOptions, NicheOptions
from search.relax.processes import cpu_seconds
from search.relax.relaxer import Relaxer
from search.run.driver import resume, run_generations
from search.state.evolution import Evolution
from tests.benchmarks.search_measures import (
    archive,
    duplicates,
    flat,
    linearity,
    same_minimum,
    simple,
    timed,
)

REFERENCE = Path(
    os.environ.get("DEVITRIFY_REFERENCE", Path(__file__).parents[3] / "shared" / "reference")
)
SPINNER = REFERENCE / "spinner_mg2sio4"
TOLERANCE = 0.001
"""eV/atom within which forsterite counts as found."""


def without(*operators: str) -> dict[str, Any]:
    """Options of a search without some operators, the others taking their shares."""
    return {"shares": {n: s for n, s in default_shares().items() if n not in operators}}


VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "random": {"shares": {"random": 1.0}, "restart_after": None},
    "random, radii only": {
        "shares": {"random": 1.0},
        "learned_spacing": None,
        "adjust_shares": False,
        "restart_after": None,
    },
    "no learned spacing": {"learned_spacing": None},
    "no orbit operators": without("orbit mutation", "orbit permutation"),
    "no heredity": without("heredity"),
    "no nets": without("topological"),
    "no soft mutation": without("soft mutation"),
    "no antiseeds": {"niches": NicheOptions(antiseeds=False)},
    "no restarts": {"restart_after": None},
    "no self-adjustment": {"adjust_shares": False},
}


def options(variant: str, structures: int, units: int = 4) -> EvolutionOptions:
    """Options of a variant, for cells of Mg8Si4O16 or another size."""
    return EvolutionOptions(
        formula_units=(units,),
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


def find(variant: str, seed: int, structures: int, folder: Path, units: int = 4) -> dict[str, Any]:
    """Search until forsterite is found or the budget is spent; interrupted runs go on."""
    from ase.io import read

    name = f"{variant.replace(' ', '_').replace(',', '')}_{seed}" + (f"_z{units}" * (units != 4))
    result_file, state_file = folder / f"{name}.result.json", folder / f"{name}.state.json"
    clock_file = folder / f"{name}.clock.json"
    if result_file.exists():
        return dict(json.loads(result_file.read_text()))
    folder.mkdir(parents=True, exist_ok=True)
    potential = read_simple_nn(SPINNER / "potential_saved")
    reference = read(SPINNER / "Mg2SiO4_polymorphs_relaxed.extxyz", 0)
    evolution = Evolution({"Mg": 2, "Si": 1, "O": 4}, options(variant, structures, units), seed)
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
        "best_history": [(new.structures, new.energy) for new in evolution.best_history],
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


def throughput(structures: int, threads: list[int]) -> None:
    """Print structures a second by number of processes, and what is spent outside the relaxer."""
    potential = read_simple_nn(SPINNER / "potential_saved")
    import_module("pymatgen.analysis.structure_matcher")
    import_module("pymatgen.io.ase")
    for number in range(1, 231):
        space_group(number)  # read once a process, whatever the length of the search
    inside = timed()
    rates: dict[int, float] = {}
    for number in threads:
        warm = Evolution({"Mg": 2, "Si": 1, "O": 4}, options("full", 80), 99)
        run_generations(warm, Relaxer(), potential, 2, threads=number)
        evolution = Evolution({"Mg": 2, "Si": 1, "O": 4}, options("full", structures), 0)
        inside[0], cpu, wall = 0.0, cpu_seconds(), time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "state.json"
            run_generations(
                evolution, Relaxer(), potential, 10**6, threads=number, checkpoint=checkpoint
            )
        cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
        rates[number] = structures / wall
        print(
            f"{number} processes: {structures / cpu:.1f} structures per CPU second, "
            f"{rates[number]:.1f} per second, {rates[number] / rates[threads[0]]:.2f} of the first "
            f"rate; {1 - inside[0] / cpu:.1%} of the CPU time outside the relaxer",
            flush=True,
        )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, structures, seeds in (("find", 5000, [11, 12, 13, 14, 15]), ("z8", 10000, [1])):
        finding = commands.add_parser(name)
        finding.add_argument("--variant", choices=VARIANTS, default="full")
        finding.add_argument("--seeds", type=int, nargs="+", default=seeds)
        finding.add_argument("--structures", type=int, default=structures)
        finding.add_argument("-o", "--folder", type=Path, default=Path("search_benchmark"))
    measuring = commands.add_parser("throughput")
    measuring.add_argument("--structures", type=int, default=1120)
    measuring.add_argument("--threads", type=int, nargs="+", default=[1])
    commands.add_parser("linearity").add_argument("--structures", type=int, default=560)
    commands.add_parser("flat").add_argument("--generations", type=int, default=1000)
    relaxing = commands.add_parser("relaxer")
    relaxing.add_argument("--starts", type=int, default=60)
    relaxing.add_argument("--disturb", type=float, help="Å, from relaxed structures")
    comparing = commands.add_parser("duplicates")
    comparing.add_argument("state", type=Path)
    comparing.add_argument("--members", type=int, default=60)
    commands.add_parser("archive").add_argument("state", type=Path)
    easy = commands.add_parser("simple")
    easy.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    easy.add_argument("--structures", type=int, default=1000)
    run(parser.parse_args())


def run(arguments: argparse.Namespace) -> None:
    """Run what the command line asks for."""
    file = SPINNER / "potential_saved"
    match arguments.command:
        case "find" | "z8":
            units = 8 if arguments.command == "z8" else 4
            report(
                [
                    find(arguments.variant, seed, arguments.structures, arguments.folder, units)
                    for seed in arguments.seeds
                ]
            )
        case "throughput":
            throughput(arguments.structures, arguments.threads)
        case "linearity":
            linearity(file, options("full", arguments.structures))
        case "flat":
            flat(arguments.generations)
        case "relaxer":
            same_minimum(file, arguments.starts, arguments.disturb)
        case "duplicates":
            duplicates(arguments.state, file, arguments.members)
        case "archive":
            archive(arguments.state)
        case "simple":
            compared = {name: VARIANTS[name] for name in ("full", "random", "random, radii only")}
            simple(arguments.seeds, arguments.structures, compared)


if __name__ == "__main__":
    main()
