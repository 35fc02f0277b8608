"""Melts at more than one pressure or composition: what they share, and what tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from jobflow import Flow, Job
from pymatgen.core import Composition

from search.relax.pressure import in_gpa
from workflows.chains.melt_quench import MeltQuenchRuns
from workflows.composition import Target
from workflows.jobs.tags import add_to_names, derive_seed
from workflows.stages.dynamics import DynamicsMaker
from workflows.system import SystemTarget, melt_compositions


class Melt(NamedTuple):
    """
    A melt of a campaign.

    Attributes
    ----------
    formula : str
    pressure : float
        kbar.
    """

    formula: str
    pressure: float


def melts_of(target: Target, compositions: int | None = None) -> list[Melt]:
    """
    List the melts of a campaign: at each composition, at each pressure where there is one.

    Parameters
    ----------
    target : Target
        What is looked for.
    compositions : int or None
        Of a system, how many; none: by its size.
    """
    formulas: Sequence[str] = (target.formula,)
    if isinstance(target, SystemTarget):
        formulas = melt_compositions(target, compositions)
    return [Melt(formula, pressure) for formula in formulas for pressure in target.melt_pressures]


def richest(melts: Sequence[Melt]) -> int:
    """Which melt has the most elements, of those the first: its plane waves do for all."""
    return max(range(len(melts)), key=lambda k: (len(Composition(melts[k].formula)), -k))


def at_melt(dynamics: DynamicsMaker, melts: Sequence[Melt], melt: Melt) -> DynamicsMaker:
    """
    Dynamics of a melt; the seed differs where there are several.

    Parameters
    ----------
    dynamics : DynamicsMaker
        Of all melts.
    melts : sequence of Melt
        All.
    melt : Melt
        One of them.
    """
    first = melts[0]
    if melt == first:
        return dynamics
    seed = dynamics.seed
    if melt.formula != first.formula:
        seed = derive_seed(seed, "composition", melt.formula)
    if melt.pressure != first.pressure:
        seed = derive_seed(seed, "pressure", melt.pressure)
    return replace(dynamics, seed=seed)


def name_by_melt(works: Iterable[tuple[Job | Flow, Melt]], melts: Sequence[Melt]) -> None:
    """Say in the names of jobs, and of all in a flow, of which melt they are, if of several."""
    several = len({melt.formula for melt in melts}) > 1, len({melt.pressure for melt in melts}) > 1
    for work, melt in works:
        words = [f" of {melt.formula}"] * several[0] + [f" at {in_gpa(melt.pressure)}"] * several[1]
        add_to_names(work, "".join(words))


def joined(runs: Sequence[MeltQuenchRuns]) -> MeltQuenchRuns:
    """Join the runs of several melts, whose frames make one training set."""
    return MeltQuenchRuns(
        jobs=[work for run in runs for work in run.jobs],
        structures=[structure for run in runs for structure in run.structures],
        segments=[part for run in runs for part in run.segments],
        search_runs=[part for run in runs for part in run.search_runs],
    )
