"""Searches of each composition of a system."""

from __future__ import annotations

from collections.abc import Callable

from jobflow import Flow, Job, OnMissing, job
from pymatgen.core import Composition

from workflows.composition import Target
from workflows.documents.schemas import SearchDocument
from workflows.jobs.tags import tag
from workflows.stages.at_pressures import above_lowest
from workflows.stages.search_documents import NothingFoundError
from workflows.stages.table import STAGES
from workflows.system import SystemTarget


def search_compositions(target: Target, make: Callable[[Target], Job]) -> Job | Flow:
    """Search each composition of a system by itself."""
    if not isinstance(target, SystemTarget):
        return make(target)
    searches = []
    for formula in target.compounds:
        unit = int(Composition(formula).num_atoms)
        units = tuple(size // unit for size in target.cell_sizes if size % unit == 0)
        one = Target(formula, units, target.pressure, target.pressures)
        work = make(one)
        work.name += f" of {formula}"
        searches.append(work)
    together = join_compositions(target, [work.output for work in searches])
    tag(together, STAGES["search"], name="all compositions")
    together.config.on_missing_references = OnMissing.NONE
    return Flow([*searches, together], output=together.output, name="search")


@job
def join_compositions(target: SystemTarget, searches: list[SearchDocument | None]) -> SearchDocument:
    """Join."""
    found = [search for search in searches if search is not None]
    if not found:
        raise NothingFoundError("no search found a structure of any composition")
    first = found[0]
    candidates = [one for search in found for one in search.candidates]
    above = above_lowest(candidates)
    candidates = [c.model_copy(update={"above_hull": a}) for c, a in zip(candidates, above, strict=True)]
    candidates.sort(key=lambda c: c.above_hull)
    return first.model_copy(update={
        "formula": target.formula, "formula_units": [],
        "n_structures": sum(search.n_structures for search in found),
        "cpu_seconds": sum(search.cpu_seconds for search in found),
        "candidates": candidates,
        "unknown": [one for search in found for one in search.unknown],
    })


