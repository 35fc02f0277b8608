"""The page of a search on its own, from what it keeps in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launch.errors import CampaignError
from launch.report.page.campaign import METHOD, TOOLS
from launch.report.page.charts import search_progress
from launch.report.page.content import Page
from launch.report.page.crystals import Crystal, appearance
from launch.report.page.hull import hull_chart
from launch.report.page.landscape import landscape
from launch.report.page.neighbors import bond_limits
from launch.report.page.ranking import MOST_FOUND, Table, add_found, add_ranking
from launch.report.pressure import at_pressure
from launch.report.system_search import ranked_on_hull, system_of
from search.composition_space import CompositionSpace
from search.run.islands import merge_archives
from workflows.composition import Target
from workflows.documents.search import POTENTIAL, SearchDocument
from workflows.stages.search_documents import island_document, search_document
from workflows.system import SystemTarget

if TYPE_CHECKING:
    from search.state.evolution import Evolution

#: Of the states that a search keeps.
ISLANDS = "island_*.json"


def is_search(folder: Path) -> bool:
    """Whether a search was begun in a folder."""
    return any(folder.glob(ISLANDS))


def read_islands(folder: Path) -> list[Evolution]:
    """
    Read the states of a search.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    SearchStateError
        If one is broken.
    """
    from search.run.driver import load

    paths = sorted(folder.glob(ISLANDS), key=lambda path: (len(path.name), path.name))
    return [load(path) for path in paths]


def search_page(islands: Sequence[Evolution], cpu_seconds: float = 0.0) -> Page:
    """
    Put the page of a search together.

    Parameters
    ----------
    islands : sequence of Evolution
        At least one.
    cpu_seconds : float
        That it took; zero: nobody knows.

    Raises
    ------
    CampaignError
        If it has found nothing yet.
    """
    if not any(len(island.archive) for island in islands):
        raise CampaignError("This search has found no structure yet: give it more.")
    first = islands[0]
    space = first.composition
    target: Target
    if isinstance(space, CompositionSpace):
        target, elements = system_of(first), list(space.elements)
    else:
        formula = "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in space.items())
        target = Target(formula, tuple(first.options.formula_units), first.fitness.pressure)
        elements = list(space)
    found = search_document(
        target, [island_document(island, cpu_seconds / len(islands)) for island in islands],
        MOST_FOUND, POTENTIAL,
    )  # fmt: skip
    limits = bond_limits(elements)
    table = Table(limits)
    more: list[Crystal] = []
    if isinstance(target, SystemTarget):
        prediction = ranked_on_hull(target, merge_archives(islands)[:MOST_FOUND], POTENTIAL)
        add_ranking(table, prediction)
        chart = hull_chart(prediction, len(prediction.candidates))
        told = f"On the hull: {', '.join(prediction.hulls[0].stable)}; of"
    else:
        add_found(table, found.candidates, target.formula)
        leader = min(islands, key=lambda island: island.best_fitness)
        chart, more = landscape(leader, [], len(table.crystals))
        told = f"The {len(table.rows)} best of"
    return Page(
        title=f"{target.formula}: crystal structures of a search",
        subtitle=f"{told} {found.n_structures} structures, by energies of the potential"
        f"{at_pressure(target.pressure)}.",
        columns=table.columns(),
        rows=table.rows,
        crystals=[*table.crystals, *more],
        elements=appearance(set(elements)),
        bonds=[[*pair, length] for pair, length in limits.items()],
        warnings=[found.warning] if found.warning else [],
        charts=[*([] if chart is None else [chart]), search_progress(found)],
        facts=_facts(found, islands, cpu_seconds),
        citations=[METHOD, *TOOLS],
    )


def _facts(
    found: SearchDocument, islands: Sequence[Evolution], cpu_seconds: float
) -> list[list[str]]:
    """What a search did, and how it ended."""
    facts = {
        "structures relaxed": f"{found.n_structures} in {found.generations} generations",
        "formula units": ", ".join(map(str, found.formula_units)),
        "seed": ", ".join(str(island.seed) for island in islands),
        "CPU time": f"{cpu_seconds:.0f} s" if cpu_seconds else "",
        "ended": "; ".join(dict.fromkeys(found.ended)),
        "left out": "; ".join(f"{n} times {reason}" for reason, n in found.discarded),
    }
    return [[name, value] for name, value in facts.items() if value]
