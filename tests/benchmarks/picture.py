"""
The picture of a campaign that the README shows: from the melt to the crystals.

    python -m tests.benchmarks.picture CAMPAIGN_FOLDER -o docs/images/LiAlCl4.png \
        --known NAME=FILE ...

The folder is that of a finished ``devitrify run``. Known phases, if there are any to compare with,
are relaxed by the campaign's engine to the limits of the quick protocol.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors
from ase.io import read
from ase.neighborlist import neighbor_list
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Polygon
from numpy.typing import NDArray
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from tests.benchmarks.prediction import relax_known

#: Stages of the trajectory with the colours of their frames.
STAGES = {"liquid": "tab:red", "quench": "tab:orange", "anneal": "tab:blue"}
WORDS = {"liquid": "liquid", "quench": "quench", "anneal": "glass"}
#: Bonds are drawn up to this multiple of the sum of the covalent radii.
BOND = 1.25
#: Cells along a, b and c that are drawn.
CELLS = (2, 2, 1)
#: Rotations of the conventional cell about z and x in degrees, before one looks along -z.
SIGHT = (12.0, -80.0)


def draw_trajectory(axis: Axes, folder: Path, lowest: float) -> None:
    """Energies of the labelled frames of liquid, quench and glass, above the best crystal."""
    frames: Any = read(folder / "frames.extxyz", index=":")
    start = 0
    for stage, colour in STAGES.items():
        chosen = [frame for frame in frames if frame.info.get("stage") == stage]
        if not chosen:
            continue
        numbers = start + np.arange(1, len(chosen) + 1)
        start = int(numbers[-1])
        energies = [frame.get_potential_energy() / len(frame) - lowest for frame in chosen]
        axis.scatter(numbers, energies, color=colour, s=12)
        place = (numbers.mean(), max(energies) + 0.02)
        axis.annotate(WORDS[stage], place, color=colour, ha="center")
    axis.set_ylim(-0.01, 1.15 * axis.get_ylim()[1])
    axis.axhline(0, color="black", linewidth=1)
    axis.annotate("best crystal", (0.0, 0.012), fontsize=9)
    axis.set(xlabel="labelled frame", ylabel="energy above the best crystal (eV/atom)")
    axis.set_title("1  Melt, quench, anneal")


def draw_map(axis: Axes, candidates: list[dict[str, Any]], known: dict[str, Any]) -> None:
    """Energy against volume of candidates and known phases."""
    lowest = candidates[0]["energy"]
    volumes = [candidate["volume"] for candidate in candidates]
    above = [1000 * (candidate["energy"] - lowest) for candidate in candidates]
    axis.scatter(volumes[1:], above[1:], s=34, color="tab:green", label="predicted")
    axis.scatter(volumes[:1], above[:1], s=170, marker="*", color="tab:red", label="best")
    for marker, (name, (structure, energy)) in zip("sDv", known.items(), strict=False):
        position = structure.volume / len(structure), 1000 * (energy - lowest)
        axis.scatter(*position, s=44, marker=marker, color="black", label=f"{name} (known)")
    axis.set(xlabel="volume (Å³/atom)", ylabel="energy above the best (meV/atom)")
    axis.set_title("2  Search and rank")
    axis.legend(fontsize=9, framealpha=1.0)


def standard_cell(atoms: Atoms) -> Atoms:
    """Conventional cell, of symmetry within 0.1 Å."""
    structure = AseAtomsAdaptor.get_structure(atoms)
    standard = SpacegroupAnalyzer(structure, 0.1).get_conventional_standard_structure()
    return AseAtomsAdaptor.get_atoms(standard)


def bonded(crystal: Atoms, centre: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions (n, 3) and atomic numbers of the atoms that one of another element is bonded to."""
    i, j, vectors, lengths = neighbor_list("ijDd", crystal, 4.0)
    numbers, radii = crystal.numbers, covalent_radii[crystal.numbers]
    chosen = (i == centre) & (lengths < BOND * (radii[i] + radii[j])) & (numbers[i] != numbers[j])
    return crystal.positions[centre] + vectors[chosen], numbers[j[chosen]]


def drawn_atoms(cell: Atoms) -> tuple[dict[tuple[float, ...], int], list[tuple[Any, Any, int]]]:
    """
    Atoms and coordination polyhedra of a few cells.

    Returns
    -------
    atoms : dict
        Atomic numbers by place (x, y, z in Å).
    polyhedra : list of tuple
        Centre, corners (n, 3) and atomic number of the centre of each.
    """
    shifts = np.stack(np.meshgrid(*(range(n + 1) for n in CELLS), indexing="ij"), -1).reshape(-1, 3)
    atoms: dict[tuple[float, ...], int] = {}
    polyhedra = []
    for n, fraction in enumerate(cell.get_scaled_positions()):
        corners, ligands = bonded(cell, n)
        if len(corners) < 4:
            continue
        for shift in shifts:
            if np.any(fraction + shift > np.array(CELLS) + 1e-3):
                continue
            move = shift @ cell.cell.array
            numbers = [int(cell.numbers[n]), *map(int, ligands)]
            places = np.round([cell.positions[n] + move, *(corners + move)], 2)
            atoms.update(zip(map(tuple, places), numbers, strict=True))
            polyhedra.append((places[0], places[1:], numbers[0]))
    return atoms, polyhedra


def draw_structure(axis: Axes, atoms: Atoms, title: str) -> None:
    """Draw a few cells as spheres, bonds and coordination polyhedra."""
    turn = Rotation.from_euler("zx", SIGHT, degrees=True)
    places, polyhedra = drawn_atoms(standard_cell(atoms))
    for centre, corners, number in polyhedra:
        middle, ends = turn.apply(centre), turn.apply(corners)
        hull = ends[ConvexHull(ends[:, :2]).vertices]
        axis.add_patch(Polygon(hull[:, :2], facecolor=(*jmol_colors[number], 0.35),
                               edgecolor=jmol_colors[number] * 0.6, linewidth=0.8,
                               zorder=float(middle[2]) - 0.5))  # fmt: skip
        for end in ends:
            axis.plot(*np.array([middle, end])[:, :2].T, color="0.35", linewidth=1.5,
                      zorder=min(middle[2], end[2]) - 0.1)  # fmt: skip
    for place, number in places.items():
        x, y, z = turn.apply(place)
        axis.add_patch(Circle((x, y), 0.45 * covalent_radii[number], facecolor=jmol_colors[number],
                              edgecolor="black", linewidth=0.7, zorder=float(z)))  # fmt: skip
    for symbol in dict.fromkeys(atoms.get_chemical_symbols()):
        number = atomic_numbers[symbol]
        axis.scatter([], [], s=90, color=[jmol_colors[number]], edgecolor="black", label=symbol)
    axis.legend(loc="center left", bbox_to_anchor=(0.98, 0.5), frameon=False)
    axis.set_aspect("equal")
    axis.autoscale_view()
    axis.axis("off")
    axis.set_title(title)


def draw(folder: Path, known: dict[str, Any]) -> plt.Figure:
    """Draw trajectory, map and best structure of a campaign."""
    candidates = json.loads((folder / "summary.json").read_text())["candidates"]
    best = candidates[0]
    figure, axes = plt.subplots(1, 3, figsize=(13.5, 4.2))
    figure.set_layout_engine("constrained", wspace=0.06)
    draw_trajectory(axes[0], folder, best["energy"])
    draw_map(axes[1], candidates, known)
    atoms: Any = read(next((folder / "structures").glob("01_*.cif")))
    draw_structure(axes[2], atoms, f"3  Best structure: {best['space_group']}, Z = "
                                   f"{best['formula_units']}")  # fmt: skip
    return figure


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--known", nargs="*", default=[], metavar="NAME=FILE")
    arguments = parser.parse_args()
    engine = json.loads((arguments.folder / "campaign.json").read_text())["engine"]
    paths = dict(entry.split("=", maxsplit=1) for entry in arguments.known)
    relaxed = relax_known([Path(path) for path in paths.values()], engine, 1000)
    known = dict(zip(paths, relaxed.values(), strict=True))
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    draw(arguments.folder, known).savefig(arguments.output, dpi=100)


if __name__ == "__main__":
    main()
