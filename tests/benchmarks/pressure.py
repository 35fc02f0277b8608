"""
The search under pressure against random relaxations: MgAl2O4, 28 atoms, 100 GPa, pair potential.

    python -m tests.benchmarks.pressure random -n 5000 -o FOLDER   # relaxes random crystals
    python -m tests.benchmarks.pressure search -n 1000 -o FOLDER   # devitrify search
    python -m tests.benchmarks.pressure compare -o FOLDER

Transitions of a campaign at several pressures against those between known phases, relaxed by the
same engine at the same pressures:

    devitrify run SiO2 --pressures 0,5,10,15    # or devitrify search ... --pressures
    python -m tests.benchmarks.pressure transitions -o SiO2

What is relaxed is kept in the folder, in `known_phases`; asked again, only the rest is computed.

The potential is `tests.search.pair_energy.oxide`, Buckingham with screened charges. Random crystals
have symmetry, as those of the search have, and half to all of the volume that covalent radii give.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search.create.random_crystals import RandomSymmetric, typical_volume
from search.geometry import DistanceLimits
from search.relax.limits import RelaxationLimits
from search.relax.pressure import GPA, in_gpa, work_of
from search.relax.relaxer import Relaxer
from tests.benchmarks.known import PHASES
from tests.benchmarks.training import Kept
from tests.search.pair_energy import oxide
from workflows.documents.phases import Phase, PhasePoint
from workflows.engines.ase.relax import relax_atoms
from workflows.engines.registry import find_engine
from workflows.stages.phases import find_transitions

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

COUNTS = {"Mg": 4, "Al": 8, "O": 16}
PRESSURE = 100.0
"""GPa."""
VOLUMES = (0.5, 1.0)
BATCH = 64


def random_enthalpies(number: int, seed: int = 0) -> list[float]:
    """
    Enthalpies (eV/atom) of random crystals, relaxed; those that failed are left out.

    Parameters
    ----------
    number : int
        Relaxations.
    seed : int
        Of the crystals.
    """
    limits = DistanceLimits.from_radii(sorted(COUNTS))
    generator, volume = RandomSymmetric(limits), typical_volume(COUNTS)
    tight = RelaxationLimits(
        max_force=0.01, max_stress=1.0, max_steps=1000, pressure=PRESSURE * GPA
    )
    relaxer = Relaxer(tight, energy_window=None, tight_window=None)
    rng = np.random.default_rng(seed)
    found: list[float] = []
    for start in range(0, number, BATCH):
        crystals = [
            generator.generate(COUNTS, volume * rng.uniform(*VOLUMES), rng)
            for _ in range(min(BATCH, number - start))
        ]
        relaxed = relaxer.relax(crystals, oxide(), distances=limits)
        found += [r.energy / len(r.atoms) for r in relaxed if r.usable]
    return found


def search_command(structures: int, folder: Path, seed: int = 0) -> list[str]:
    """Command line of the search."""
    return [
        *(sys.executable, "-m", "launch.cli", "search"),
        *("tests.search.pair_energy:oxide_calculator", "MgAl2O4", "--z", "4"),
        *("--pressure", f"{PRESSURE:g}", "-n", str(structures), "--seed", str(seed)),
        *("-w", "1", "-o", str(folder)),
    ]


def relaxed_phase(
    number: int, name: str, atoms: Atoms, calculator: Calculator, pressures: Sequence[float]
) -> Phase:
    """
    Relax a crystal at pressures, each from the one before.

    Parameters
    ----------
    number : int
        Of the phase.
    name : str
        Of the phase; it takes the place of a space group.
    atoms : ase.Atoms
        Without a calculator; one cell.
    calculator : Calculator
        With stresses.
    pressures : sequence of float
        kbar, in rising order.
    """
    atoms, points = atoms.copy(), []
    atoms.calc = calculator
    for pressure in pressures:
        limits = RelaxationLimits(0.01, 0.5, 500, pressure)
        _, converged = relax_atoms(atoms, limits)
        if not converged:
            print(f"{name} at {pressure:g} kbar did not converge")
        volume = atoms.get_volume() / len(atoms)
        energy = atoms.get_potential_energy() / len(atoms)
        points.append(
            PhasePoint(
                pressure=pressure, energy=energy, enthalpy=energy + work_of(pressure, volume),
                volume=volume, above_best=0.0, rank=0, space_group=name, formula_units=1,
            )
        )  # fmt: skip
    return Phase(number=number, points=points)


def compare_transitions(folder: Path, known: Mapping[str, Atoms] | None = None) -> str:
    """
    Tabulate enthalpies and transitions of a campaign beside those of known phases.

    Parameters
    ----------
    folder : Path
        Of a campaign at several pressures.
    known : mapping or None
        Known phases by name; none: the published ones of its formula.

    Raises
    ------
    ValueError
        If it is no such campaign, or no phases of its formula are known.
    """
    record = folder / "summary.json"
    summary = json.loads(record.read_text()) if record.exists() else {}
    if "transitions" not in summary:
        raise ValueError(f"{folder} has no result of a campaign or a search at several pressures")
    first, pressures = summary["candidates"][0], summary["pressures_kbar"]
    crossed = [one["pressure_kbar"] for one in summary["transitions"] if one["pressure_kbar"]]
    everywhere = sorted({*pressures, *crossed})
    if known is None:
        known = {
            phase.name: phase.structure().to_primitive().to_ase_atoms(msonable=False)
            for phase in PHASES
            if phase.formula == first["formula"]
        }
    if not known:
        raise ValueError(f"no phases of {first['formula']} are known")
    engine = find_engine(first["engine"], _arguments(folder))
    calculator = engine.crystal_calculator()
    assert calculator is not None, f"{engine.name} needs jobs"
    kept = Kept(folder / "known_phases")
    at = hashlib.sha256(json.dumps([*everywhere]).encode()).hexdigest()[:12]
    phases = []
    for number, (name, atoms) in enumerate(known.items(), start=1):
        relax = partial(relaxed_phase, number, name, atoms, calculator, everywhere)
        label = f"{engine.name} {name} {at}".replace("/", "_")
        points = kept(label, lambda relax=relax: relax().model_dump(mode="json"))
        phases.append(Phase.model_validate(points))
    lines = [f"{first['formula']} by {engine.name}; meV/atom against the lowest known phase"]
    found = {p: [c for c in summary["candidates"] if c["pressure"] == p] for p in pressures}
    for pressure in pressures:
        k = everywhere.index(pressure)
        lowest = min(phase.points[k].enthalpy for phase in phases)
        above = [
            f"{phase.name} {1000 * (phase.points[k].enthalpy - lowest):+.1f}" for phase in phases
        ]
        best = found[pressure][0]
        enthalpy = best["energy"] if best["enthalpy"] is None else best["enthalpy"]
        lines.append(
            f"{in_gpa(pressure)}: campaign {1000 * (enthalpy - lowest):+.1f} "
            f"({best['space_group']}, {best['volume']:.2f} Å³/atom); {', '.join(above)}"
        )
    names = {phase.number: phase.name for phase in phases}
    lines += ["known phases:", *(_told(one.figures(), names) for one in find_transitions(phases))]
    own = {
        phase["phase"]: f"{phase['phase']} ({phase['points'][0]['space_group']})"
        for phase in summary["phases"]
    }
    lines += ["campaign:", *(_told(one, own) for one in summary["transitions"])]
    return "\n".join(lines)


def _arguments(folder: Path) -> dict[str, Any] | None:
    """Arguments of a campaign's calculator; a search by itself has none here."""
    record = folder / "campaign.json"
    if not record.exists():
        return None
    return json.loads(record.read_text())["settings"]["engine"].get("arguments") or None


def _told(transition: Mapping[str, Any], names: Mapping[int, str]) -> str:
    """One transition as a line."""
    pressure = transition["pressure_kbar"]
    where = "without a crossing" if pressure is None else f"at {pressure / GPA:.2f} GPa"
    return f"  {names[transition['from_phase']]} to {names[transition['to_phase']]} {where}"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["random", "search", "compare", "transitions"])
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.what == "transitions":
        try:
            print(compare_transitions(arguments.o))
        except ValueError as error:
            raise SystemExit(f"{error}.") from None
        return
    arguments.o.mkdir(parents=True, exist_ok=True)
    record = arguments.o / "random.json"
    if arguments.what == "random":
        started = time.process_time()
        enthalpies = random_enthalpies(arguments.n, arguments.seed)
        seconds = time.process_time() - started
        record.write_text(json.dumps({"n": arguments.n, "enthalpies": sorted(enthalpies)}))
        print(f"{len(enthalpies)} of {arguments.n} relaxed, {seconds:.0f} CPU s")
        print(f"lowest enthalpy {min(enthalpies):.5f} eV/atom")
    elif arguments.what == "search":
        command = search_command(arguments.n, arguments.o / "search", arguments.seed)
        subprocess.run(command, check=True)
    else:
        chance = np.array(json.loads(record.read_text())["enthalpies"])
        summary = json.loads((arguments.o / "search" / "summary.json").read_text())
        best = summary["best"][0]
        print(f"random: {chance.min():.5f} eV/atom of {len(chance)}")
        print(
            f"search: {best['enthalpy']:.5f} eV/atom, space group {best['space_group']}, of "
            f"{summary['structures']}"
        )
        print(f"difference {1000 * (best['enthalpy'] - chance.min()):+.3f} meV/atom")


if __name__ == "__main__":
    main()
