"""
A chemical system as one campaign, beside campaigns of its formulas one by one.

``python -m tests.benchmarks.systems run Mg-Si --atoms-max 8 -o mgsi`` runs the campaign (again: it
goes on), ``... singles Mg-Si --formulas Mg,Si,Mg2Si -o mgsi`` those of formulas in the same cells,
and ``... table Mg-Si --wanted Mg2Si -o mgsi`` compares: time, evaluations of the reference engine,
what is on the hull, and how far above it the wanted compounds are.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.composition_parsing import parse_space
from search.composition_space import formula_of
from tests.benchmarks.campaigns import DEVITRIFY, Times, current_commit, is_finished, run_timed
from workflows.composition import same_compound

#: Folder of the campaign of the system, beside those of formulas.
SYSTEM = "system"


@dataclass(frozen=True)
class Spent:
    """
    What a campaign took.

    Attributes
    ----------
    wall, cpu : float
        Seconds; processor time is that of the command and of what it waited for.
    evaluations : int
        Of the reference engine: labels, relaxations of rounds and of candidates.
    """

    wall: float
    cpu: float
    evaluations: int

    @classmethod
    def of(cls, folder: Path) -> Spent:
        """Read the summary of a finished campaign, and the times kept beside it."""
        summary, times = summary_of(folder), Times.of(folder)
        # the training set counts what all rounds have added to it
        used = summary.get("reference_evaluations", 0) + summary.get("relaxation_evaluations", 0)
        return cls(times.wall, times.cpu, used)


def summary_of(folder: Path) -> dict[str, Any]:
    """Summary of a finished campaign."""
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def run(system: str, options: Sequence[str], folder: Path) -> Times:
    """Run the campaign of a system, or go on with it."""
    where = folder / SYSTEM
    return run_timed([*DEVITRIFY, "run", system, *options, "--folder", str(where)], where)


def run_singles(
    formulas: Sequence[str], options: Sequence[str], atoms_max: int, folder: Path
) -> None:
    """Run a campaign of each formula in cells of as many atoms at the most."""
    for formula in formulas:
        where = folder / formula
        if not is_finished(where):
            words = ["run", formula, "--atoms-max", str(atoms_max), *options]
            run_timed([*DEVITRIFY, *words, "--folder", str(where)], where)


def table(system: str, atoms_max: int, wanted: Sequence[str], folder: Path) -> str:
    """
    Compare the campaign of a system with those of its formulas.

    Parameters
    ----------
    system : str
    atoms_max : int
        Of the cells.
    wanted : sequence of str
        Compounds whose distances from the hull are told.
    folder : Path
        Of all campaigns.

    Returns
    -------
    str
        Lines of Markdown.
    """
    summary, spent = summary_of(folder / SYSTEM), Spent.of(folder / SYSTEM)
    formulas = [formula_of(c) for c in parse_space(system, atoms_max=atoms_max).compositions()]
    singles = {
        path.name: Spent.of(path)
        for path in sorted(folder.iterdir())
        if path.name != SYSTEM and is_finished(path)
    }
    lines = [
        f"{system}, cells of up to {atoms_max} atoms, {len(formulas)} compositions; "
        f"commit {current_commit()}",
        "",
        "| campaign | wall, s | CPU, s | reference evaluations |",
        "|---|---|---|---|",
        _row(f"{system} together", spent),
        *(_row(name, one) for name, one in singles.items()),
    ]
    if singles:
        n = len(singles)
        times = len(formulas) / n
        together = Spent(
            times * sum(one.wall for one in singles.values()),
            times * sum(one.cpu for one in singles.values()),
            round(times * sum(one.evaluations for one in singles.values())),
        )
        name = f"all {len(formulas)} one by one"
        name += "" if n == len(formulas) else f", from the mean of {n}"
        lines.append(_row(name, together))
        share = spent.evaluations / together.evaluations
        lines += ["", f"Together: {share:.0%} of these evaluations."]
    for hull in summary["hulls"]:
        where = f" at {hull['pressure'] / 10:g} GPa" if hull["pressure"] else ""
        lines += ["", f"On the hull{where}: {', '.join(hull['stable'])}."]
        lines += [f"Note: {note}." for note in hull["notes"]]
        found = [c for c in summary["candidates"] if c["pressure"] == hull["pressure"]]
        given = [c for c in summary["known_phases"] if c["pressure"] == hull["pressure"]]
        lines += [_place(compound, found, given) for compound in wanted]
    return "\n".join(lines)


def _row(name: str, spent: Spent) -> str:
    return f"| {name} | {spent.wall:.0f} | {spent.cpu:.0f} | {spent.evaluations} |"


def _place(compound: str, found: Sequence[dict[str, Any]], given: Sequence[dict[str, Any]]) -> str:
    """Say how far above the hull the lowest structures of a compound are, found and known."""
    parts = []
    for name, rows in (("found", found), ("known", given)):
        own = [row for row in rows if same_compound(row["formula"], compound)]
        if not own:
            parts.append(f"{name}: none")
            continue
        best = min(own, key=lambda row: row["above_hull"])
        known = f", which is {best['known']}" if best["known"] and name == "found" else ""
        parts.append(
            f"{name}: {best['space_group']}, {best['above_hull']:.1f} meV/atom above the hull, "
            f"{best['formation_energy']:.4f} eV/atom of formation{known}"
            if best["formation_energy"] is not None
            else f"{name}: {best['space_group']}, {best['above_hull']:.1f} meV/atom{known}"
        )
    return f"{compound}: {'; '.join(parts)}."


def main() -> None:
    """Run, or tabulate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "singles", "table"])
    parser.add_argument("system")
    parser.add_argument("--atoms-max", type=int, required=True)
    parser.add_argument("--formulas", default="", help="of campaigns one by one")
    parser.add_argument("--wanted", default="", help="compounds to look for on the hull")
    parser.add_argument("-o", type=Path, required=True)
    arguments, options = parser.parse_known_args()  # all others are those of devitrify run
    if arguments.what == "run":
        words = ["--atoms-max", str(arguments.atoms_max), *options]
        run(arguments.system, words, arguments.o)
    elif arguments.what == "singles":
        formulas = [name for name in arguments.formulas.split(",") if name]
        run_singles(formulas, options, arguments.atoms_max, arguments.o)
    else:
        wanted = [name for name in arguments.wanted.split(",") if name]
        print(table(arguments.system, arguments.atoms_max, wanted, arguments.o))


if __name__ == "__main__":
    main()
