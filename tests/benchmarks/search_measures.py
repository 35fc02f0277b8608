"""Measurements of the search other than finding forsterite; called by `tests.benchmarks.search`."""

from __future__ import annotations

import itertools
import json
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from ase.build import bulk

from nnp.formats.files import load_potential
from nnp.potential import Potential
from search.create.random_crystals import RandomSymmetric
from search.geometry import DistanceLimits
from search.options import EvolutionOptions
from search.relax.limits import RelaxationLimits
from search.relax.processes import cpu_seconds
from search.relax.relaxer import Relaxer
from search.run.driver import SearchFigures, run_generations
from search.run.processes import IslandOptions, run_islands
from search.state.evolution import Evolution
from search.state.fingerprint import distances, fingerprint
from search.state.individual import Individual
from tests.search.pair_energy import PairEnergy, lennard_jones, periclase, rock_salt

if TYPE_CHECKING:
    from ase import Atoms
    from ase.optimize.optimize import Optimizer

SILICATE = {"Mg": 2, "Si": 1, "O": 4}
COUNTS = {"Mg": 8, "Si": 4, "O": 16}
TOLERANCE = 0.001
"""eV/atom within which a ground state counts as found."""


@dataclass(frozen=True)
class SimpleSystem:
    """A pair potential whose ground state is known."""

    composition: dict[str, int]
    formula_units: int
    energy: Callable[[], PairEnergy]
    known: dict[str, Atoms]


SYSTEMS = {
    "NaCl": SimpleSystem(
        {"Na": 1, "Cl": 1},
        12,
        rock_salt,
        {
            name: bulk("NaCl", name, a=a)
            for name, a in (("rocksalt", 5.6), ("cesiumchloride", 3.5), ("zincblende", 6.0))
        },
    ),
    "MgO": SimpleSystem(
        {"Mg": 1, "O": 1},
        12,
        periclase,
        {
            name: bulk("MgO", name, a=a)
            for name, a in (("rocksalt", 4.2), ("cesiumchloride", 2.6), ("zincblende", 4.6))
        },
    ),
    "Ar": SimpleSystem(
        {"Ar": 1},
        16,
        lennard_jones,
        {
            "fcc": bulk("Ar", "fcc", a=5.2),
            "hcp": bulk("Ar", "hcp", a=3.7, c=6.0),
            "bcc": bulk("Ar", "bcc", a=4.2),
        },
    ),
}
TIGHT = Relaxer(RelaxationLimits(0.002, 0.2, 2000), energy_window=None, tight_window=None)


def ground_state(system: SimpleSystem) -> tuple[str, float]:
    """Lowest of the known structures, and its energy in eV/atom."""
    relaxed = TIGHT.relax(list(system.known.values()), system.energy())
    energies = [r.energy / len(r.atoms) for r in relaxed]
    best = int(np.argmin(energies))
    return list(system.known)[best], energies[best]


def simple(seeds: list[int], budget: int, changes: dict[str, dict[str, Any]]) -> None:
    """Relaxations to the ground state of simple systems, for variants of the search."""
    for name, system in SYSTEMS.items():
        known, energy = ground_state(system)
        print(f"{name}: {known} at {energy:.5f} eV/atom, cells of {system.formula_units} units")
        medians = {}
        for variant, options in changes.items():
            needed = [_relaxations(system, energy, seed, budget, options) for seed in seeds]
            medians[variant] = statistics.median(n or budget for n, _ in needed)
            told = ", ".join(
                f"{n or f'>{budget}'}" + (f" (lower: {e:.5f})" if e < energy - TOLERANCE else "")
                for n, e in needed
            )
            print(f"  {variant:20s} {told}; median {medians[variant]:.0f}", flush=True)
        first, *others = medians
        for other in others:
            print(f"  {other} needs {medians[other] / medians[first]:.1f} times as many")


def _relaxations(
    system: SimpleSystem, energy: float, seed: int, budget: int, changes: dict[str, Any]
) -> tuple[int | None, float]:
    """Structures relaxed until the ground state was found, or None; and the best energy."""
    options = EvolutionOptions(
        formula_units=(system.formula_units,),
        population=20,
        generations=10**6,
        max_structures=budget,
        **changes,
    )
    evolution, model = Evolution(system.composition, options, seed), system.energy()
    while not evolution.finished:
        run_generations(evolution, Relaxer(), model, evolution.generation + 1)
        if evolution.best_energy < energy + TOLERANCE:
            found = np.flatnonzero(evolution.individuals.energies < energy + TOLERANCE)
            return int(found[0]) + 1, evolution.best_energy
    return None, evolution.best_energy


def flat(generations: int) -> None:
    """Time of a generation without the relaxer, and memory, by hundred generations."""
    system = SYSTEMS["NaCl"]
    options = EvolutionOptions(formula_units=(4,), population=20, generations=generations)
    evolution, model = Evolution(system.composition, options, 0), system.energy()
    # hardly relaxed structures are all distinct: the archive is full, which is the hardest case
    relaxer = Relaxer(RelaxationLimits(max_steps=3), tight_window=None)
    inside = timed()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        for block in range(0, generations, 100):
            inside[0], cpu = 0.0, time.process_time()
            until = min(block + 100, generations)
            evolution = run_generations(evolution, relaxer, model, until, checkpoint=path)
            outside = time.process_time() - cpu - inside[0]
            print(
                f"generations {block + 1:5d}-{until:5d}: {1000 * outside / (until - block):.1f} ms "
                f"CPU each outside the relaxer, {memory():.0f} MB in memory, state "
                f"{path.stat().st_size / 1e6:.2f} MB, {len(evolution.archive)} in the archive",
                flush=True,
            )


def timed() -> list[float]:
    """Make relaxers add the CPU seconds they take to the only entry of the list returned."""
    inside = [0.0]
    relax = Relaxer.relax  # of the class: the search relaxes by copies of what it is given

    def measured(*args: Any, **kwargs: Any) -> Any:
        begin = cpu_seconds()
        outcome = relax(*args, **kwargs)
        inside[0] += cpu_seconds() - begin
        return outcome

    Relaxer.relax = measured  # type: ignore[method-assign]
    return inside


def memory() -> float:
    """Memory in use, MB; where the system does not tell, the most there was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6


def linearity(file: Path, options: EvolutionOptions) -> None:
    """Islands one after the other and side by side: what two processes gain."""
    walls: dict[int, float] = {}
    for processes in (1, 2, 1, 2):
        seconds = [0.0]
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            run_islands(
                [Evolution(SILICATE, options, seed) for seed in (1, 2)],
                Relaxer(),
                partial(load_potential, file),
                Path(folder),
                IslandOptions(block=5, processes=processes),
                partial(_add_seconds, seconds),
            )
            wall = time.perf_counter() - begin
        walls[processes] = min(wall, walls.get(processes, wall))
        print(f"{processes} processes: {wall:.1f} s, {seconds[0]:.1f} CPU s", flush=True)
    print(f"two processes: {walls[1] / walls[2] / 2:.1%} of twice the throughput of one")


def _add_seconds(total: list[float], island: int, figures: SearchFigures) -> None:
    total[0] += figures.cpu_seconds


def starts(number: int, seed: int = 0) -> list[Atoms]:
    """Random Mg8Si4O16 crystals with sensible bonds."""
    spacing = {"Mg-Mg": 2.5, "Mg-Si": 2.4, "Mg-O": 1.75, "Si-Si": 2.6, "O-Si": 1.5, "O-O": 2.3}
    generator, rng = RandomSymmetric(DistanceLimits(spacing)), np.random.default_rng(seed)
    return [generator.generate(COUNTS, 28 * rng.uniform(10.5, 13), rng) for _ in range(number)]


def disturbed(structures: list[Atoms], width: float, seed: int = 0) -> list[Atoms]:
    """Copies with atoms displaced by `width` (Å) and cells strained by a fifth of that."""
    rng = np.random.default_rng(seed)
    copies = []
    for atoms in structures:
        copy = atoms.copy()
        strain = np.eye(3) + rng.normal(0.0, width / 5, (3, 3))
        copy.set_cell(copy.cell.array @ strain, scale_atoms=True)
        copy.positions += rng.normal(0.0, width / np.sqrt(3), copy.positions.shape)
        copies.append(copy)
    return copies


def same_minimum(file: Path, number: int, width: float | None) -> None:
    """
    How often the relaxer ends where ASE's FIRE does from the same start, and BFGS beside it.

    Starts are random crystals; or, with `width`, minima that are disturbed by as much (Å). Far from
    any minimum the way is chaotic, and two good minimisers need not end alike: how often ASE's own
    two do is the yardstick.
    """
    from ase.optimize import BFGS, FIRE

    potential = load_potential(file)
    structures = starts(number)
    # as tight as 0.02 eV/Å is for ASE's filter, which takes the virial (eV) for a force
    relaxer = Relaxer(RelaxationLimits(0.02, 0.1, 3000), energy_window=None, tight_window=None)
    if width is not None:
        # what random crystals relax to has kept their symmetry, and is often a saddle point
        broken = disturbed([r.atoms for r in relaxer.relax(structures, potential)], 0.3)
        minima = [r.atoms for r in relaxer.relax(broken, potential) if r.converged]
        structures = disturbed(minima, width, seed=1)
    ours = relaxer.relax(structures, potential)
    same = Counter[str]()
    for atoms, outcome in zip(structures, ours, strict=True):
        fire, bfgs = (_relaxed_by(optimizer, atoms, potential) for optimizer in (FIRE, BFGS))
        if fire is None or bfgs is None or not outcome.converged:
            continue
        same["compared"] += 1
        same["ours and FIRE"] += _alike((outcome.atoms, outcome.energy), fire)
        same["ours and BFGS"] += _alike((outcome.atoms, outcome.energy), bfgs)
        same["FIRE and BFGS"] += _alike(fire, bfgs)
        print(
            f"ours {outcome.energy / 28:.4f}, FIRE {fire[1] / 28:.4f}, "
            f"BFGS {bfgs[1] / 28:.4f} eV/atom; the same minimum: {dict(same)}",
            flush=True,
        )


def _relaxed_by(
    optimizer: type[Optimizer], atoms: Atoms, potential: Potential
) -> tuple[Atoms, float] | None:
    """Structure and energy (eV) by one of ASE's optimisers; None if it does not get there."""
    from ase.filters import FrechetCellFilter

    from nnp.calculator import NeuralNetworkCalculator

    other = atoms.copy()
    other.calc = NeuralNetworkCalculator(potential)
    with optimizer(FrechetCellFilter(other), logfile=None) as oracle:
        converged = oracle.run(fmax=0.02, steps=3000)
    if not converged or DistanceLimits.from_radii(list(COUNTS)).violated(other):
        return None
    return other, float(other.get_potential_energy())


def _alike(one: tuple[Atoms, float], other: tuple[Atoms, float]) -> bool:
    """Whether two relaxed structures are the same minimum."""
    vectors = [fingerprint(atoms, sorted(COUNTS)) for atoms, _ in (one, other)]
    apart = abs(one[1] - other[1]) / len(one[0])
    return bool(apart < 0.002 and distances(vectors[0], vectors[1][None])[0] < 0.01)


def archive(state: Path) -> None:
    """
    Fill an archive with the members of another by turns as now and without looking at lattices.

    As before 249e75f every pair that fingerprints leave open went to pymatgen's matcher.
    """
    evolution = Evolution.from_dict(json.loads(state.read_text()))
    order = np.random.default_rng(0).permutation(len(evolution.archive))

    def fill() -> tuple[float, int]:
        filled = evolution.archive.emptied()
        kept = [evolution.archive.members[i] for i in order]
        members = [replace(member, reduced={}) for member in kept]
        started = time.process_time()
        for member in members:
            filled.add(member)
        return time.process_time() - started, len(filled)

    fill()  # compiles and imports
    now = fill()
    with patch("search.state.similarity._lattices_match", return_value=True):
        before = fill()
    print(
        f"{len(order)} members: {now[0]:.1f} CPU s, without lattices {before[0]:.1f}, ratio "
        f"{before[0] / now[0]:.2f}; {now[1]} and {before[1]} stay"
    )


def duplicates(state: Path, file: Path, number: int) -> None:
    """
    Precision and recall of duplicates against pymatgen, on a search's own structures.

    The archive holds distinct structures only, so each is disguised and disturbed, relaxed again,
    and compared with the others: pairs that should be called the same, among pairs that should not.
    """
    evolution = Evolution.from_dict(json.loads(state.read_text()))
    members = [member.structure for member in evolution.archive.members[:number]]
    disguised = disturbed(members * 2, 0.1)
    potential = load_potential(file)
    for name, relaxer in (
        ("as the search relaxes its best", Relaxer()),
        ("all within the tight limits (0.01 eV/Å, 1 kbar)", TIGHT_SEARCH),
    ):
        relaxed = relaxer.relax(disguised, potential, best=evolution.best_energy)
        individuals = [
            Individual(i, 0, "", (), 4, energy, energy, 1.0, r.status, r.atoms)
            for i, r in enumerate(r for r in relaxed if r.converged)
            for energy in [r.energy / len(r.atoms)]
        ]
        judged = Counter[tuple[bool, bool]]()
        for one, other in itertools.combinations(individuals, 2):
            gap = abs(one.energy - other.energy)
            if gap >= evolution.options.energy_tolerance:
                continue
            pair = evolution.archive.emptied()
            pair.add(one)
            ours = not pair.add(other).is_new
            theirs = _same_for_pymatgen(one.structure, other.structure)
            judged[ours, theirs] += 1
            if ours != theirs:
                vectors = [pair.fingerprint_of(i) for i in (one, other)]
                print(
                    f"    {'only ours' if ours else 'only theirs'}: {1000 * gap:.2f} meV/atom, "
                    f"fingerprints {distances(vectors[0], vectors[1][None])[0]:.4f} apart"
                )
        both, called, same = judged[True, True], judged[True, False], judged[False, True]
        print(
            f"{name}: {len(individuals)} structures, precision {both / max(both + called, 1):.3f}, "
            f"recall {both / max(both + same, 1):.3f} ({both + same} pairs the same for pymatgen "
            f"of {judged.total()} with alike energies)",
            flush=True,
        )


def _same_for_pymatgen(one: Atoms, other: Atoms) -> bool:
    """
    Whether the matcher maps the primitive cells, or the cells as they are.

    It looks for primitive cells with a tolerance of 0.25 Å, and may find a smaller one for one of
    two crystals that are all but equal.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.io.ase import AseAtomsAdaptor

    pair = [AseAtomsAdaptor.get_structure(atoms) for atoms in (one, other)]
    return any(StructureMatcher(primitive_cell=p).fit(*pair) for p in (True, False))


TIGHT_SEARCH = Relaxer(RelaxationLimits(0.01, 1.0, 2000), energy_window=None, tight_window=None)
