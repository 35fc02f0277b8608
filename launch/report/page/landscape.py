"""The energy landscape of a search: energies against volumes and against structural distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from launch.report.page.content import Chart, Panel
from launch.report.page.crystals import Crystal, bare_crystal
from launch.report.page.traces import COLOURS, GREY, points
from search.state.fingerprint import distances, fingerprint

if TYPE_CHECKING:
    from ase import Atoms

    from search.state.evolution import Evolution
    from search.state.individual import Individual

#: Structures that are shown, the lowest ones, and how far above the best, meV/atom.
MOST_SHOWN, HIGHEST = 3000, 600.0
SENTENCE = (
    "Each point is a relaxed structure; a click on a coloured one opens it. Energies of the search "
    "count from the best of the search, ranked and known ones from the best ranked one. A funnel "
    "towards the best is good; low points far from it are rivals, and a best structure that stands "
    "alone may mean that the search was too short."
)


@dataclass(frozen=True)
class Marked:
    """
    Structures that are shown on top of those of the search, by the reference engine.

    Attributes
    ----------
    name : str
        In the legend.
    atoms : list of ase.Atoms
    above : list of float
        meV/atom above the best ranked one.
    texts : list of str
        What is said of each.
    crystals : list of int
        Index of each on the page.
    """

    name: str
    atoms: list[Atoms]
    above: list[float]
    texts: list[str]
    crystals: list[int]

    @property
    def volumes(self) -> list[float]:
        """Å³/atom."""
        return [atoms.get_volume() / len(atoms) for atoms in self.atoms]


def landscape(
    evolution: Evolution, marked: Sequence[Marked], first: int
) -> tuple[Chart, list[Crystal]]:
    """
    Draw the landscape of a search.

    Parameters
    ----------
    evolution : Evolution
        The search; of several islands the one with the best.
    marked : sequence of Marked
        Shown on top; the first structure of the first is the one distances count from.
    first : int
        Index that the first of the crystals returned will have on the page.

    Returns
    -------
    tuple of Chart and list of Crystal
        Crystals are what the search has kept, of what is shown.
    """
    zero = evolution.best_energy
    shown = sorted(
        (i for i in evolution.individuals if 1000 * (i.energy - zero) <= HIGHEST),
        key=lambda individual: individual.energy,
    )[:MOST_SHOWN]
    ids = {individual.id for individual in shown}
    kept = [member for member in evolution.archive.members if member.id in ids]
    have_structure = {member.id for member in kept}
    others = [individual for individual in shown if individual.id not in have_structure]
    crystals = [
        bare_crystal(f"structure_{member.id + 1}", f"structure {member.id + 1}", member.structure)
        for member in kept
    ]
    found = _Found(kept, _above(kept, zero), list(range(first, first + len(kept))))
    apart = _distances(evolution, kept, marked)
    hidden = points(
        [i.volume for i in others], _above(others, zero), "search, not kept", GREY, size=4,
        opacity=0.35,
    )  # fmt: skip
    by_volume = [hidden, found.at([i.volume for i in kept])]
    by_distance = [found.at(apart)]
    for set_, colour, symbol in zip(
        marked, (COLOURS[1], COLOURS[7]), ("circle", "diamond"), strict=False
    ):
        by_volume.append(_on_top(set_, set_.volumes, colour, symbol))
        by_distance.append(_on_top(set_, _apart(evolution, set_.atoms, marked), colour, symbol))
    label = f"{evolution.fitness.quantity} above the best (meV/atom)"
    panels = [
        Panel("volume (Å³/atom)", label, by_volume),
        Panel("structural distance from the best", label, by_distance),
    ]
    return Chart("Energy landscape", SENTENCE, panels), crystals


class _Found(NamedTuple):
    """What the search has kept, how far above its best (meV/atom), and indices on the page."""

    kept: list[Individual]
    above: list[float]
    crystals: list[int]

    def at(self, x: list[float]) -> dict[str, Any]:
        """Points that open their structures."""
        return points(
            x, self.above, "search", COLOURS[0], size=5, opacity=0.7,
            texts=[_text(i) for i in self.kept], crystals=self.crystals,
        )  # fmt: skip


def _on_top(marked: Marked, x: list[float], colour: str, symbol: str) -> dict[str, Any]:
    """Points of structures by the reference engine."""
    return points(
        x, marked.above, marked.name, colour, texts=marked.texts, crystals=marked.crystals,
        size=9, symbol=symbol, line={"color": "white", "width": 1},
    )  # fmt: skip


def _above(individuals: Sequence[Individual], zero: float) -> list[float]:
    return [1000 * (individual.energy - zero) for individual in individuals]


def _text(individual: Individual) -> str:
    group = "" if individual.space_group is None else f", space group {individual.space_group}"
    return f"structure {individual.id + 1}, {individual.operator}{group}"


def _distances(
    evolution: Evolution, kept: Sequence[Individual], marked: Sequence[Marked]
) -> list[float]:
    """Distances of what the search has kept from the best."""
    archive = evolution.archive
    if not len(archive):
        return []
    places = {member.id: number for number, member in enumerate(archive.members)}
    vectors = archive.fingerprints[[places[member.id] for member in kept]]
    return distances(_origin(evolution, marked), vectors).tolist()


def _apart(evolution: Evolution, atoms: Sequence[Atoms], marked: Sequence[Marked]) -> list[float]:
    """Distances of other crystals from the best."""
    vectors = np.array([_vector(evolution, one) for one in atoms])
    return distances(_origin(evolution, marked), vectors).tolist() if len(vectors) else []


def _origin(evolution: Evolution, marked: Sequence[Marked]) -> np.ndarray:
    if marked and marked[0].atoms:
        return _vector(evolution, marked[0].atoms[0])
    return evolution.archive.fingerprints[0]


def _vector(evolution: Evolution, atoms: Atoms) -> np.ndarray:
    archive = evolution.archive
    return fingerprint(atoms, archive.elements, archive.options)
