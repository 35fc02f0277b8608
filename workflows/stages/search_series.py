"""Searches of one composition at several pressures, side by side on one potential."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from jobflow import Flow, Job, OnMissing, job

from search.relax.pressure import in_gpa
from workflows.composition import Target
from workflows.documents.improvement import ImproveDocument
from workflows.documents.search import SearchCandidate, SearchDocument
from workflows.jobs.tags import add_to_names, tag
from workflows.stages.at_pressures import interleaved
from workflows.stages.search_documents import NothingFoundError
from workflows.stages.table import STAGES


def search_at_each(target: Target, make: Callable[[Target], Job | Flow]) -> Job | Flow:
    """
    Search at each pressure of a target.

    Parameters
    ----------
    target : Target
        At one pressure, or at several.
    make : callable
        Makes the search at the pressure of the target that it is given.

    Returns
    -------
    Job or Flow
        The search, if there is one pressure. Else a flow whose output is a
        :class:`~workflows.documents.search.SearchDocument` of all together.
    """
    if not target.pressures:
        return make(target)
    searches = [make(target.at(pressure)) for pressure in target.pressures]
    name_by_pressure(zip(searches, target.pressures, strict=True))
    together = join_searches(target, [work.output for work in searches])
    tag(together, STAGES["search"], name="all pressures")
    # a pressure at which nothing was found is left out, not a dead campaign
    together.config.on_missing_references = OnMissing.NONE
    return Flow([*searches, together], output=together.output, name="search")


@job
def join_searches(target: Target, searches: list[SearchDocument | None]) -> SearchDocument:
    """
    Join what was found at several pressures; each structure keeps its own.

    Parameters
    ----------
    target : Target
        What was looked for.
    searches : list of SearchDocument or None
        By rising pressure; none where the search failed.

    Raises
    ------
    NothingFoundError
        If nothing was found at any pressure.
    """
    found = [search for search in searches if search is not None]
    if not found:
        raise NothingFoundError("no search found a structure at any of the pressures")
    first = found[0]
    discarded = sum((Counter(dict(search.discarded)) for search in found), Counter[str]())
    without = [
        f"nothing was found at {in_gpa(pressure)}"
        for pressure, search in zip(target.pressures, searches, strict=True)
        if search is None
    ]
    return SearchDocument(
        formula=first.formula,
        formula_units=first.formula_units,
        generations=max(search.generations for search in found),
        n_structures=sum(search.n_structures for search in found),
        ended=[sentence for search in found for sentence in search.ended],
        n_went_on=sum(search.n_went_on for search in found),
        energies_of=first.energies_of,
        pressure=first.pressure,
        pressures=[search.pressure for search in found],
        best_energy=first.best_energy,
        best_enthalpy=first.best_energy if first.best_enthalpy is None else first.best_enthalpy,
        candidates=interleaved([search.candidates for search in found]),
        unknown=interleaved([search.unknown for search in found]),
        histories=[_with_pressure(history, one) for one in found for history in one.histories],
        shares=first.shares,
        discarded=discarded.most_common(),
        warning="; ".join([*without, *_warnings(found)]) or None,
        cpu_seconds=sum(search.cpu_seconds for search in found),
    )


def candidates_at(candidates: Iterable[SearchCandidate], target: Target) -> list[SearchCandidate]:
    """Structures that were found at the pressure of a target, if that is one of several."""
    if not target.pressures:
        return list(candidates)
    return [one for one in candidates if one.pressure == target.pressure]


def relaxed_at(improved: ImproveDocument, target: Target) -> ImproveDocument:
    """Rounds of learning with what they relaxed at the pressure of a target, if one of several."""
    if not target.pressures:
        return improved
    own = [one for one in improved.relaxed if one.pressure == target.pressure]
    return improved.model_copy(update={"relaxed": own})


def name_by_pressure(works: Iterable[tuple[Job | Flow, float]]) -> None:
    """Say in the names of jobs, and of all in a flow, at which pressure (kbar) they are."""
    for work, pressure in works:
        add_to_names(work, f" at {in_gpa(pressure)}")


def _with_pressure(
    history: dict[str, list[float]], search: SearchDocument
) -> dict[str, list[float]]:
    """Say at which pressure a history is; without one its energies are enthalpies."""
    values = history["best_enthalpy" if search.pressure else "best_energy"]
    return {
        "structures": history["structures"],
        "best_enthalpy": values,
        "pressure": [search.pressure],
    }


def _warnings(searches: Iterable[SearchDocument]) -> list[str]:
    return [f"{one.warning} (at {in_gpa(one.pressure)})" for one in searches if one.warning]
